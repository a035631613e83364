"""The pipeline under the documented roles, over TLS: it works, and the roles can't do more than they need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from end_to_end.helpers import Run, orchestrate
from postgres.helpers import GOLDEN_DAY, PROJECT, connect, query
from postgres.tls_proxy import make_certificates, proxy

from supervisor.warehouse.postgres import PostgresSettings, PostgresWarehouse

LOGINS = {"goalkeeper_loader": "loads-only", "goalkeeper_transformer": "builds-only", "analyst": "reads-only"}


@dataclass(frozen=True)
class Roles:
    """A run under the documented roles.

    Attributes:
        env: What the run was given.
        owner: The database's owner.
        before: Rights that were missing before docs/postgres_roles.sql was run.
        after: And after it.
    """

    env: dict[str, str]
    owner: dict[str, str]
    before: list[str]
    after: list[str]
    run: Run


@pytest.fixture(scope="module")
def roles(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    """Run docs/postgres_roles.sql and then the golden day, through TLS that verifies the server."""
    folder = tmp_path_factory.mktemp("roles")
    owner = connect(servers)
    query(owner, "create role goalkeeper_transformer login")
    query(owner, "create role goalkeeper_loader login")
    for name, password in LOGINS.items():
        verb = "create" if name == "analyst" else "alter"
        query(owner, f"{verb} role {name} login password '{password}'")
    query(owner, f"grant connect on database {servers['POSTGRES_DB']} to goalkeeper_transformer, goalkeeper_loader")
    with proxy(servers["POSTGRES_HOST"], int(servers["POSTGRES_PORT"]), certificates=make_certificates(folder)) as port:
        env = {
            **servers,
            "POSTGRES_PORT": str(port),
            "POSTGRES_USER": "goalkeeper_transformer",
            "POSTGRES_PASSWORD": LOGINS["goalkeeper_transformer"],
            "POSTGRES_LOADER_USER": "goalkeeper_loader",
            "POSTGRES_LOADER_PASSWORD": LOGINS["goalkeeper_loader"],
            "POSTGRES_SSLMODE": "verify-full",
            "POSTGRES_SSLROOTCERT": str(folder / "authority.pem"),
        }
        before = _missing(env)
        script = (PROJECT / "docs" / "postgres_roles.sql").read_text()
        query(owner, script)
        # whoever adds a source runs it again
        query(owner, script)
        query(owner, "grant goalkeeper_reader to analyst")
        after = _missing(env)
        yield Roles(
            env,
            servers,
            before,
            after,
            orchestrate(folder, "--date", GOLDEN_DAY, "--target", "postgres", "--json", env=env),
        )
    owner.close()


def _missing(env: dict[str, str]) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        found = PostgresWarehouse(PostgresSettings.from_env()).missing_rights(["s3", "postgres", "api"])
    assert all(one.remedy and one.purpose for one in found)
    return [f"{one.role}: {one.right}" for one in found]


def test_every_missing_right_is_named(roles: Roles) -> None:
    assert "goalkeeper_transformer: schema analytics, or CREATE on database warehouse" in roles.before
    assert "goalkeeper_loader: schema raw_s3, or CREATE on database warehouse" in roles.before


def test_the_documented_roles_lack_nothing(roles: Roles) -> None:
    assert roles.after == []


def test_the_day_is_published_under_least_privilege_and_over_tls(roles: Roles) -> None:
    assert roles.run.exit_code == 0, roles.run.errors[-3_000:]
    assert roles.run.summary["published"] == 3_331
    names = {
        row[0]
        for row in query(connect(roles.owner), "select distinct pg_get_userbyid(relowner) from pg_class where relkind in ('r', 'p') "
                         "and relnamespace::regnamespace::text like 'raw%'")
    }  # fmt: skip
    assert names == {"goalkeeper_loader"}


def test_a_wrong_password_of_the_loader_is_not_blamed_on_the_sources(roles: Roles, tmp_path: Path) -> None:
    env = {**roles.env, "POSTGRES_LOADER_PASSWORD": "another-one"}
    day = ["--date", GOLDEN_DAY, "--target", "postgres", "--force", "--json"]
    refused = orchestrate(tmp_path, *day, env=env)
    assert refused.exit_code == 4, refused.errors
    escalation = refused.summary["escalation"]
    assert escalation["reason"].startswith("the warehouse can't be used: there is nothing new to publish")
    assert f"python orchestrate.py check --date {GOLDEN_DAY} --target postgres" in escalation["recommendation"]
    assert 'password authentication failed for user "goalkeeper_loader"' in refused.errors


def test_a_server_that_nobody_vouches_for_is_refused_by_every_part(roles: Roles, tmp_path: Path) -> None:
    stranger = make_certificates(tmp_path).authority
    env = {**roles.env, "POSTGRES_SSLROOTCERT": str(stranger)}
    refused = orchestrate(tmp_path, "--date", GOLDEN_DAY, "--target", "postgres", env=env)
    assert refused.exit_code != 0
    assert "certificate verify failed" in refused.errors, refused.errors
    for part, message in _refusals_of_children(env, tmp_path).items():
        assert "certificate verify failed" in message, f"{part}: {message}"


def _refusals_of_children(env: dict[str, str], folder: Path) -> dict[str, str]:
    """What the loaders and dbt say when they are started with these settings by themselves."""
    import subprocess
    import sys

    from postgres.helpers import clean_env

    commands = {
        "loaders": ["-m", "loaders", "--date", GOLDEN_DAY, "--run-id", "x", "--target", "postgres", "--source", "api",
                    "--workdir", str(folder / "loaders"), "--backoff-s", "0.01"],
        "dbt": ["-c", "from dbt.cli.main import cli; cli()", "debug", "--profiles-dir", str(PROJECT / "profiles"),
                "--target", "postgres", "--project-dir", str(PROJECT), "--log-path", str(folder)],
    }  # fmt: skip
    running = {
        part: subprocess.Popen(
            [sys.executable, *command], cwd=PROJECT, env={**clean_env(), **env}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )
        for part, command in commands.items()
    }  # fmt: skip
    return {part: process.communicate(timeout=60)[0] for part, process in running.items()}


@pytest.mark.parametrize(
    ("login", "statement"),
    [
        ("goalkeeper_loader", "select count(*) from analytics.events"),
        ("goalkeeper_loader", "select count(*) from metadata.pipeline_runs"),
        ("goalkeeper_loader", "drop table intermediate.int_events_checked"),
        ("goalkeeper_loader", "create table analytics.smuggled (id integer)"),
        ("goalkeeper_loader", "create schema raw_new"),
        ("goalkeeper_loader", "create table public.smuggled (id integer)"),
        ("goalkeeper_transformer", "insert into raw_s3.events select * from raw_s3.events"),
        ("goalkeeper_transformer", "drop table raw_s3.events"),
        ("goalkeeper_transformer", "create table raw_s3.smuggled (id integer)"),
        ("goalkeeper_transformer", "create schema smuggled"),
        ("goalkeeper_transformer", "create role smuggler"),
        ("goalkeeper_transformer", "select rolpassword from pg_authid"),
        ("analyst", "select count(*) from raw_s3.events"),
        ("analyst", "select count(*) from staging.stg_s3__events"),
        ("analyst", "select count(*) from intermediate.int_events_checked"),
        ("analyst", "delete from analytics.events"),
        ("analyst", "insert into metadata.decisions select * from metadata.decisions"),
        ("analyst", "create table analytics.smuggled (id integer)"),
        ("analyst", "create temporary table smuggled (id integer)"),
    ],
)
def test_a_role_can_not_do_what_is_not_its_work(roles: Roles, login: str, statement: str) -> None:
    with (
        connect(roles.owner, user=login, password=LOGINS[login]) as connection,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        query(connection, statement)


@pytest.mark.parametrize(
    "table",
    ["analytics.events", "quarantine.quarantined_records", "quality.quality_scores", "quality.corrections", "metadata.lineage",
     "metadata.pipeline_runs", "metadata.load_outcomes", "metadata.decisions"],
)  # fmt: skip
def test_a_reader_reads_everything_that_is_published(roles: Roles, table: str) -> None:
    reader = connect(roles.owner, user="analyst", password=LOGINS["analyst"])
    assert query(reader, f"select count(*) from {table}")[0][0] > 0
    reader.close()


def test_no_password_is_left_anywhere(roles: Roles) -> None:
    left = [path for path in roles.run.folder.rglob("*") if path.is_file()]
    assert len(left) > 10
    for password in LOGINS.values():
        assert [str(path) for path in left if password.encode() in path.read_bytes()] == []
        assert password not in roles.run.errors + json.dumps(roles.run.summary)
