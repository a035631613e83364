"""What the tests of the PostgreSQL warehouse share."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
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
        "options": "-c timezone=UTC",
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


EXPORT = """
    select
        event_id, source, user_id, event_type, occurred_at, amount, quantity, currency, country, device, load_date,
        is_complete, is_in_range, is_anomaly, is_late, correction_count, source_object, source_row
    from analytics.events
    where load_date = '{day}'
"""


def export(rows: Iterable[Sequence[Any]]) -> bytes:
    """Write the published events of a day as CSV, in the order of their bytes; timestamps in UTC."""
    lines = [",".join(_cell(value) for value in row) for row in rows]
    return "\n".join(sorted(lines)).encode()


def _cell(value: Any) -> str:
    if isinstance(value, dt.datetime):
        value = value.astimezone(dt.UTC).isoformat()
    # a null is nothing at all, an empty text a pair of quotes
    return "" if value is None else json.dumps(str(value), ensure_ascii=False)
