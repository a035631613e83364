"""The shape of a raw table: the source's columns, then the fixed ones, as Arrow batches.

| column | type | what it holds |
|---|---|---|
| the source's own | text (reference tables: their own types) | as received |
| `payload` | text | a JSON record or a rejected line as received; not in tables that keep their types |
| `load_date` | date | the day that was asked for |
| `source_object` | text | file key, schema.table or page |
| `source_row` | bigint | place in the object, from 1; 0 for an object as a whole |
| `load_id` | text | the run's id |
| `loaded_at` | timestamptz | when the load began, UTC |
| `reject_reason` | text | short code when the record could not be read, else null |
| `reject_detail` | text | the same for people |

A source column whose normalized name is taken already gets a suffix: `load_date_2`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.attempt import Stamp

TEXT = pa.string()
REPLACEMENT = "\ufffd"
FIXED = (
    ("load_date", pa.date32()),
    ("source_object", TEXT),
    ("source_row", pa.int64()),
    ("load_id", TEXT),
    ("loaded_at", pa.timestamp("us", "UTC")),
    ("reject_reason", TEXT),
    ("reject_detail", TEXT),
)
PAYLOAD = "payload"
_RESERVED = {name for name, _ in FIXED} | {"_dlt_id", "_dlt_load_id"}
_MAX_NAME = 60


@dataclass(frozen=True)
class Rejected:
    """A record that could not be read; `payload` is the raw line, or None."""

    source_object: str
    source_row: int
    reason: str
    detail: str
    payload: str | None = None


def column_names(names: Iterable[str]) -> list[str]:
    """Return warehouse names for a source's column names, unique and in the same order.

    Names are put into snake case the way dlt does (`eventId` and `Event ID` both give `event_id`). Of equal ones the first that
    is spelled so keeps the name, else the first; the next is `event_id_2`. Fixed columns are never taken.
    """
    given = list(names)
    bases = [_snake(name) for name in given]
    used = set(_RESERVED)
    result: dict[int, str] = {}
    for index in sorted(range(len(given)), key=lambda index: given[index] != bases[index]):
        unique, number = bases[index], 1
        while unique in used:
            number += 1
            unique = f"{bases[index]}_{number}"
        used.add(unique)
        result[index] = unique
    return [result[index] for index in range(len(given))]


def shared_column_names(headers: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the warehouse names of several files' columns: a column has one name, wherever it stands in a file.

    Spellings that never meet in one file (`eventId` here, `Event ID` there) are one column. Where two do meet, each spelling has
    a column of its own in all files.
    """
    # a name may stand in a header twice: its places are told apart by their number
    numbered = [[(name, header[:at].count(name)) for at, name in enumerate(header)] for header in headers]
    met = {base for header in headers for base, count in Counter(map(_snake, header)).items() if count > 1}
    columns: dict[Any, str] = {}
    for name, number in (key for header in numbered for key in header):
        base = _snake(name)
        columns.setdefault((name, number) if base in met else base, name if base in met else base)
    unique = dict(zip(columns, column_names(columns.values()), strict=True))
    return [[unique[key if _snake(key[0]) in met else _snake(key[0])] for key in header] for header in numbered]


def _snake(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    snake = re.sub(r"([a-z\d])([A-Z])|([A-Z])(?=[A-Z][a-z])", r"\1\3_\2", plain).lower()
    # dlt reserves double underscores for paths
    base = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]", "_", snake)).strip("_")[:_MAX_NAME].rstrip("_")
    return base if base and not base[0].isdigit() else f"column_{base}".rstrip("_")


def raw_schema(fields: Sequence[pa.Field], with_payload: bool = True) -> pa.Schema:
    """Return the Arrow schema of a raw table with these source columns."""
    own = list(fields)
    if with_payload and PAYLOAD not in {field.name for field in own}:
        own.append(pa.field(PAYLOAD, TEXT))
    return pa.schema([*own, *(pa.field(name, kind) for name, kind in FIXED)])


def stamped(
    schema: pa.Schema,
    columns: dict[str, pa.Array | pa.ChunkedArray],
    count: int,
    *,
    stamp: Stamp,
    source_object: str,
    source_rows: pa.Array | int,
) -> pa.Table:
    """Return `count` records as rows of a raw table.

    Args:
        schema: From `raw_schema`; columns that are not given are null.
        columns: The source's columns by name, `count` long each.
        count: Number of records.
        stamp: What all rows of the load share.
        source_object: Where the records came from.
        source_rows: Row numbers, or the number of the first of consecutive ones.
    """
    if isinstance(source_rows, int):
        source_rows = pa.array(np.arange(source_rows, source_rows + count, dtype=np.int64))
    fixed = {**vars(stamp), "source_object": source_object}

    def column(field: pa.Field) -> pa.Array | pa.ChunkedArray:
        if field.name in fixed:
            return pa.repeat(pa.scalar(fixed[field.name], field.type), count)
        array = source_rows if field.name == "source_row" else columns.get(field.name)
        return pa.nulls(count, field.type) if array is None else array

    return pa.table([column(field) for field in schema], schema=schema)


def rejected_table(schema: pa.Schema, rows: Sequence[Rejected], stamp: Stamp) -> pa.Table:
    """Return rejected records as rows of a raw table, all the source's columns null."""
    given = [
        {
            **vars(stamp),
            PAYLOAD: row.payload and without_nul(row.payload),
            "source_object": without_nul(row.source_object),
            "source_row": row.source_row,
            "reject_reason": row.reason,
            "reject_detail": without_nul(row.detail),
        }
        for row in rows
    ]
    return pa.Table.from_pylist(given, schema=schema)


def without_nul(text: str) -> str:
    """Return `text` as every target can store it: no NUL, no lone surrogate."""
    return text.replace("\x00", REPLACEMENT).encode("utf-8", "replace").decode()


def clean_text(array: pa.Array) -> pa.Array:
    """Return a string array without NUL characters, which PostgreSQL can't store.

    Looking for a zero byte in the data first keeps the usual case at memory speed.
    """
    data = array.buffers()[2]
    if data is None or not data.size or np.frombuffer(data, dtype=np.uint8).min():
        return array
    return pc.replace_substring(array, pattern="\x00", replacement=REPLACEMENT)


def undecodable(array: pa.Array) -> list[int]:
    """Return the places of the texts that are not UTF-8."""
    try:
        array.view(TEXT).validate(full=True)
        return []
    except pa.ArrowInvalid:
        values = enumerate(array.view(pa.binary()).to_pylist())
        return [place for place, value in values if value and value.decode(errors="ignore").encode() != value]
