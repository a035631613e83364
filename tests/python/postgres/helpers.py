"""What the tests of the PostgreSQL warehouse share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg2

PROJECT = Path(__file__).resolve().parents[3]
GOLDEN_DAY = "2025-11-16"


def connect(env: Mapping[str, str], **login: Any) -> Any:
    """Connect to the warehouse of an environment; each statement commits at once."""
    settings = {
        "host": env["POSTGRES_HOST"],
        "port": env["POSTGRES_PORT"],
        "user": env["POSTGRES_USER"],
        "password": env["POSTGRES_PASSWORD"],
        "dbname": env["POSTGRES_DB"],
        # what waits for a lock that nobody lets go is an error, and no test that never ends
        "options": "-c timezone=UTC -c lock_timeout=60s",
    }
    connection = psycopg2.connect(**{**settings, **login})
    connection.autocommit = True
    return connection


def query(connection: Any, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows; none when it has no result."""
    with connection.cursor() as cursor:
        cursor.execute(sql, tuple(parameters) or None)
        return list(cursor.fetchall()) if cursor.description else []


def clean_env() -> dict[str, str]:
    """This process' environment without anything that configures a run."""
    ours = ("SANDBOX_", "SOURCES__", "DUCKDB_", "GOALKEEPER_", "POSTGRES_", "PG")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {"DO_NOT_TRACK": "1"}


def dbt(
    folder: Path, env: Mapping[str, str], target: str, *arguments: str, output: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run dbt on the project in `folder`, with the product's profiles; what it writes goes to `output`, or there too."""
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments]
    paths = ["--profiles-dir", str(PROJECT / "profiles"), "--target", target, "--project-dir", str(folder)]
    written = str((output or folder) / target)
    done = subprocess.run(
        [*command, *paths, "--target-path", written, "--log-path", written],
        cwd=folder,
        env={**clean_env(), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    return done


_EXPORTED = """
    select
        event_id, source, cast(user_id as varchar), event_type, {occurred_at}, cast(amount as varchar), cast(quantity as varchar),
        currency, country, device, cast(load_date as varchar), cast(is_complete as varchar), cast(is_in_range as varchar),
        cast(is_anomaly as varchar), cast(is_late as varchar), cast(correction_count as varchar), source_object,
        cast(source_row as varchar)
    from analytics.events
    where load_date = date '{day}'
    order by event_id{bytewise}, source
"""


def export_postgres(connection: Any, day: str, path: Path) -> Path:
    """Write the published events of a day as CSV, in the order of their ids' bytes, without the run's own columns."""
    time = "to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    sql = _EXPORTED.format(occurred_at=time, day=day, bytewise=' collate "C"')
    with connection.cursor() as cursor, path.open("wb") as file:
        cursor.copy_expert(f"copy ({sql}) to stdout (format csv, force_quote *)", file)
    return path


def export_duckdb(connection: Any, day: str, path: Path) -> Path:
    """Write the same from the embedded warehouse."""
    time = "strftime(occurred_at at time zone 'UTC', '%Y-%m-%d %H:%M:%S.%f')"
    sql = _EXPORTED.format(occurred_at=time, day=day, bytewise="")
    connection.execute(f"copy ({sql}) to '{path}' (format csv, header false, force_quote *)")
    return path
