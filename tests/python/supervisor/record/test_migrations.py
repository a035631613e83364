"""The supervisor's own tables come up to date by numbered steps, on both engines, and keep what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from supervisor.record.migrations import MIGRATIONS, Migration, applied_versions, migrate
from supervisor.warehouse.base import Session, Warehouse, WarehouseError

ALL = [migration.version for migration in MIGRATIONS]
# as the first release made it, before steps were counted
FIRST_RELEASE = (
    "create schema metadata",
    MIGRATIONS[0].statements[0],
    "insert into metadata.pipeline_runs values ('20250101_020000', date '2025-01-01', 'x', 'SUCCESS', 0, "
    "timestamptz '2025-01-01 02:00:00+00', timestamptz '2025-01-01 02:01:00+00', 333100, '{}')",
)
NEXT = Migration(
    len(MIGRATIONS) + 1,
    "a column and a table more",
    (
        "alter table metadata.pipeline_runs add column operator varchar(64)",
        "create table metadata.operators (operator varchar(64) not null)",
    ),
)


@contextmanager
def changing(warehouse: Warehouse) -> Iterator[Session]:
    with warehouse.transaction() as session:
        yield session


def read(warehouse: Warehouse, sql: str) -> list[dict[str, Any]]:
    with warehouse.session() as session:
        rows: list[dict[str, Any]] = session.query(sql)
        return rows


def test_the_steps_are_numbered_without_gaps() -> None:
    assert list(range(1, len(MIGRATIONS) + 1)) == ALL


def test_a_first_run_creates_what_it_needs_and_a_second_nothing(warehouse: Warehouse) -> None:
    with changing(warehouse) as session:
        assert migrate(session) == ALL
    with changing(warehouse) as session:
        assert migrate(session) == []
        assert applied_versions(session) == set(ALL)


def test_a_warehouse_of_the_first_release_keeps_its_history(warehouse: Warehouse) -> None:
    with changing(warehouse) as session:
        for statement in FIRST_RELEASE:
            session.execute(statement)
    with changing(warehouse) as session:
        assert migrate(session) == ALL
    rows = read(warehouse, "select run_id, count_published from metadata.pipeline_runs")
    assert rows == [{"run_id": "20250101_020000", "count_published": 333_100}]
    assert read(warehouse, "select count(*) as found from metadata.decisions") == [{"found": 0}]


def test_what_plain_dbt_has_made_before_the_first_run_is_of_this_release(warehouse: Warehouse) -> None:
    with changing(warehouse) as session:
        session.execute("create schema if not exists quality")
        session.execute("create table quality.corrections (entity varchar, record_key varchar)")
    with changing(warehouse) as session:
        assert migrate(session) == ALL
    assert read(warehouse, "select entity, record_key from quality.corrections") == []


def test_a_further_step_keeps_the_rows(warehouse: Warehouse) -> None:
    with changing(warehouse) as session:
        migrate(session)
        session.execute(FIRST_RELEASE[-1])
    with changing(warehouse) as session:
        assert migrate(session, [*MIGRATIONS, NEXT]) == [NEXT.version]
    assert read(warehouse, "select run_id, operator from metadata.pipeline_runs") == [
        {"run_id": "20250101_020000", "operator": None}
    ]
    names = read(warehouse, "select version, name from metadata.schema_migrations order by version")
    assert names[-1] == {"version": NEXT.version, "name": NEXT.name}


def test_a_step_that_fails_leaves_nothing_of_itself(warehouse: Warehouse) -> None:
    with changing(warehouse) as session:
        migrate(session)
    broken = Migration(NEXT.version, "broken", (*NEXT.statements, "alter table metadata.nowhere add column x integer"))
    with pytest.raises(Exception, match="nowhere"), changing(warehouse) as session:
        migrate(session, [*MIGRATIONS, broken])
    with changing(warehouse) as session:
        assert applied_versions(session) == set(ALL)
        assert migrate(session, [*MIGRATIONS, NEXT]) == [NEXT.version]


def test_a_newer_release_is_not_overwritten(warehouse: Warehouse) -> None:
    with changing(warehouse) as session:
        migrate(session, [*MIGRATIONS, NEXT])
    newer = f"version {NEXT.version}, this release knows {len(MIGRATIONS)}"
    with pytest.raises(WarehouseError, match=newer), changing(warehouse) as session:
        migrate(session)
