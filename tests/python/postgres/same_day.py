"""What is published of a day and said of it, in a form in which two engines can be compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from end_to_end.helpers import Run
from postgres.helpers import connect, export_duckdb, export_postgres, query

_RECORD = "entity, source, source_object, source_row, record_key"
_OF_THE_DAY = "where load_date = '{day}'"
TABLES = {
    "scores": "select entity, source, dimension, attempted, failed, score, threshold, passed, iteration from quality.quality_scores "
    f"{_OF_THE_DAY}",
    "corrections": f"select {_RECORD}, field, value_before, value_after, rule_id from quality.corrections {_OF_THE_DAY}",
    "quarantine": f"select {_RECORD}, reasons, payload, status from quarantine.quarantined_records {_OF_THE_DAY}",
    "findings": f"select {_RECORD}, dimension, check_name, field, outcome from intermediate.int_findings",
    "lineage": "select entity, source, source_location, raw_schema, target_table, count_collected, count_published from metadata.lineage "
    f"{_OF_THE_DAY}",
    "statistics": "select entity, field, group_value, count_values, mean_value, stddev_value from intermediate.int_outlier_statistics",
}


@dataclass(frozen=True)
class Content:
    """A day as an engine published it.

    Attributes:
        events: The export of the published events.
        tables: The rows of `TABLES`, sorted, by table.
    """

    events: Path
    tables: dict[str, list[str]]


@dataclass(frozen=True)
class First:
    """The first run of the golden day on a server.

    Attributes:
        content: What was published, before any test changed it.
        sent: All that the run sent to the server, its blanks made one.
    """

    run: Run
    content: Content
    sent: bytes


def read_postgres(env: Mapping[str, str], day: str, folder: Path) -> Content:
    """Read a day from a server."""
    with closing(connect(env)) as connection:
        events = export_postgres(connection, day, folder / "events.csv")
        return Content(events, _tables(lambda sql: query(connection, sql), day))


def read_duckdb(folder: Path, day: str) -> Content:
    """Read a day from the embedded warehouse of a folder."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("set timezone = 'UTC'")
        events = export_duckdb(connection, day, folder / "events.csv")
        return Content(events, _tables(lambda sql: connection.execute(sql).fetchall(), day))


def _tables(ask: Callable[[str], list[tuple[Any, ...]]], day: str) -> dict[str, list[str]]:
    return {name: sorted(without_port(repr(row)) for row in ask(sql.format(day=day))) for name, sql in TABLES.items()}


def without_port(text: str) -> str:
    """The sandbox serves the same records at another port each time."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", text)
