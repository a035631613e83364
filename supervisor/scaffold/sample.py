"""The first records of a source's day, read as a run reads them, in a DuckDB file that is thrown away."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from loaders.attempt import Attempt, Deadline, Stamp
from loaders.events import Events
from loaders.formats.raw import FIXED, PAYLOAD
from loaders.retry import Retries
from loaders.sources import Source
from supervisor.common.errors import UsageError

RECORDS = 50_000
"""Most records of a table that are looked at."""
BYTES = 256 * 1024**2
"""Most bytes of them."""
TIMEOUT_S = 300.0
_FIXED = {name for name, _ in FIXED}


@dataclass(frozen=True)
class Sample:
    """The first records of a raw table.

    Attributes:
        table: Name of the raw table.
        relation: The table in the file, quoted.
        columns: The source's own columns, without those that every raw table has.
        has_payload: Whether it has a column for records as they were received.
        is_reference: Whether the source says that it is a reference table.
        count: Records in the file.
        rejected: Those of them that the loaders could not read.
        is_whole: Whether the day has no more.
    """

    table: str
    relation: str
    columns: tuple[str, ...]
    has_payload: bool
    is_reference: bool
    count: int
    rejected: int
    is_whole: bool


def take_samples(source: Source, day: date, connection: Any, folder: Path, table: str | None = None) -> list[Sample]:
    """Read the first records of each table of a source, or of one, into a DuckDB connection.

    Args:
        source: A configured source.
        day: The day that is read.
        connection: Where the samples go.
        folder: An empty folder for the files that the source saves.
        table: The only table that is wanted.

    Raises:
        UsageError: The source has no such table.
        SourceError: The day can't be read.
    """
    deadline = Deadline(TIMEOUT_S)
    stamp = Stamp(day, "map", datetime.now(UTC))
    retries = Retries(source.name, source.subject(day), deadline, Events(io.StringIO()))
    found = []
    for number, part in enumerate(_by_table(source, table)):
        attempt = Attempt(stamp, folder / str(number), deadline, progress=lambda text: None, retry=retries)
        found += _read(part, attempt, connection, table)
    if not found:
        raise UsageError(
            f"source '{source.name}' has no table '{table}'. Its tables: {', '.join(_names(source)) or 'unknown'}"
        )
    return found


_PARTS = {"tables": "name", "endpoints": "table"}
"""Where a source with several raw tables keeps them, and what says the name of each."""


def _names(source: Source) -> list[str]:
    named = [getattr(one, name) for parts, name in _PARTS.items() for one in getattr(source, parts, ())]
    return list(dict.fromkeys(named)) or [name for name in [getattr(source, "table", "")] if name]


def _by_table(source: Any, table: str | None) -> Iterator[Any]:
    """Yield a source with a single table each: what is wanted of one must not wait for the end of another."""
    for parts, name in _PARTS.items():
        if several := getattr(source, parts, ()):
            for one in _names(source):
                if table in (None, one):
                    yield replace(source, **{parts: tuple(part for part in several if getattr(part, name) == one)})
            return
    yield source


def _read(source: Source, attempt: Attempt, connection: Any, wanted: str | None) -> list[Sample]:
    extraction = source.open(attempt)
    schemas = {name: schema for name, schema in extraction.schemas.items() if wanted in (None, name)}
    relations = {name: f'"{name}"' for name in schemas}
    for name, schema in schemas.items():
        connection.register("batch", schema.empty_table())
        connection.execute(f"create or replace table {relations[name]} as from batch")
    counts, sizes, cut = dict.fromkeys(schemas, 0), dict.fromkeys(schemas, 0), set[str]()
    with closing(extraction.tables) as batches:  # type: ignore[type-var]
        for name, batch in batches:
            if name not in schemas or name in cut:
                continue
            part = batch.slice(0, RECORDS - counts[name])
            connection.register("batch", part)
            connection.execute(f"insert into {relations[name]} by name from batch")
            counts[name] += part.num_rows
            sizes[name] += part.nbytes
            if part.num_rows < batch.num_rows or counts[name] >= RECORDS or sizes[name] >= BYTES:
                cut.add(name)
            if len(cut) == len(schemas):
                break
    connection.unregister("batch")
    found = []
    for name, schema in schemas.items():
        sql = f"select count(reject_reason) from {relations[name]}"
        found.append(
            Sample(
                name,
                relations[name],
                tuple(column for column in schema.names if column not in _FIXED and column != PAYLOAD),
                has_payload=PAYLOAD in schema.names,
                is_reference=name in extraction.reference,
                count=counts[name],
                rejected=connection.execute(sql).fetchall()[0][0],
                is_whole=name not in cut,
            )
        )
    return found
