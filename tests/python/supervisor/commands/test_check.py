"""`check` tries everything that a run needs, names each right that is missing, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from supervisor_asks import ask

from sandbox.process import running_sandbox
from supervisor.warehouse.check import check_warehouse
from supervisor.warehouse.duckdb import DuckDBWarehouse
from supervisor.warehouse.postgres import PostgresWarehouse

DAY = "2025-11-16"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Sources that all answer, one of them without the right to read, and a PostgreSQL to be the warehouse."""
    with running_sandbox(DAY, 0.01, "postgres=denied", warehouse=True) as env:
        yield env


@pytest.fixture
def configured(servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in servers.items():
        monkeypatch.setenv(name, value)
    return servers


def as_owner(env: dict[str, str]) -> Any:
    connection = psycopg2.connect(
        host=env["POSTGRES_HOST"],
        port=env["POSTGRES_PORT"],
        user=env["POSTGRES_USER"],
        password=env["POSTGRES_PASSWORD"],
        dbname=env["POSTGRES_DB"],
    )
    connection.autocommit = True
    return connection


def query(env: dict[str, str], sql: str) -> list[Any]:
    connection = as_owner(env)
    with connection.cursor() as cursor:
        cursor.execute(sql)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


def test_a_missing_right_is_named_and_fails_the_check(configured: dict[str, str], tmp_path: Path) -> None:
    answer = ask(tmp_path, "check", "--date", DAY)
    assert answer.exit_code == 1
    assert f"postgres lacks: SELECT on public.transactions_{DAY.replace('-', '_')}" in answer.output
    data = ask(tmp_path, "check", "--date", DAY, "--json").data
    failed = [(one["what"], one["check"]) for one in data["checks"] if not one["ok"]]
    assert failed == [("postgres", "read")]
    assert {one["what"] for one in data["checks"]} == {"api", "postgres", "project", "s3", "warehouse"}
    assert configured["SOURCES__POSTGRES__CREDENTIALS__PASSWORD"] not in answer.output + answer.errors
    assert not list(tmp_path.iterdir())


def test_a_day_without_data_fails_the_check(configured: dict[str, str], tmp_path: Path) -> None:
    data = ask(tmp_path, "check", "--date", "2025-11-20", "--json").data
    assert ("s3", "day") in [(one["what"], one["check"]) for one in data["checks"] if not one["ok"]]


def test_a_duckdb_file_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    checks = check_warehouse(DuckDBWarehouse(tmp_path / "w.duckdb"), ["s3"])
    assert all(one.ok for one in checks)
    assert [one.name for one in checks][-1] == "drop"
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_warehouse_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_text("not a database")
    (check,) = check_warehouse(DuckDBWarehouse(tmp_path / "w.duckdb"), ["s3"])
    assert (check.name, check.ok) == ("connect", False)
    assert str(tmp_path / "w.duckdb") in check.detail


def test_the_owner_of_a_postgres_warehouse_may_do_everything(configured: dict[str, str]) -> None:
    checks = check_warehouse(PostgresWarehouse(), ["s3"])
    assert all(one.ok for one in checks), checks
    assert {"connect", "version", "create schema", "write", "drop"} <= {one.name for one in checks}
    assert query(configured, "select nspname from pg_namespace where nspname like 'goalkeeper%'") == []


def test_each_right_that_a_role_lacks_is_named(configured: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    query(configured, "create role guest login password 'guest-password'")
    query(configured, "create schema analytics; create table analytics.events (event_id text)")
    query(configured, "grant usage on schema analytics to guest; grant select on analytics.events to guest")
    monkeypatch.setenv("POSTGRES_USER", "guest")
    monkeypatch.setenv("POSTGRES_PASSWORD", "guest-password")
    failed = [one for one in check_warehouse(PostgresWarehouse(), ["lake"]) if not one.ok]
    missing = {one.missing_right for one in failed}
    assert {
        "CREATE on schema analytics for guest",
        "ownership of analytics.events for guest",
        "schema raw_lake, or CREATE on database warehouse for guest",
    } <= missing
    assert any("grant create on schema analytics to guest" in one.detail for one in failed)


def test_a_wrong_password_is_an_error_without_the_password(
    configured: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", "wrong-canary")
    (check,) = check_warehouse(PostgresWarehouse(), ["s3"])
    assert (check.name, check.ok) == ("connect", False)
    assert "wrong-canary" not in check.detail
