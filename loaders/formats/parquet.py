"""Read landed files as Arrow tables of text: Parquet, CSV, JSON and JSON lines, also gzipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from loaders.formats.json import BrokenJson, NotThere, Trailing, records, simple_path
from loaders.formats.lines import split_lines
from loaders.formats.raw import PAYLOAD, TEXT, Rejected, clean_text
from loaders.formats.streams import CappedReader, Unreadable, escaped, utf8_chunks, whole_text

FORMATS = {
    ".parquet": "Parquet",
    ".csv": "CSV",
    ".json": "JSON",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
}
BATCH_ROWS = 65_536
PAYLOAD_LIMIT = 65_536
"""Characters of a broken rest that are kept as payload; the landed file holds all of it."""


@dataclass(frozen=True)
class Landed:
    """A file as received, and where it came from."""

    key: str
    path: Path


@dataclass(frozen=True)
class Piece:
    """Some records of one file: equally long text columns, or rejected records.

    `rows` holds each record's number, or the number of the first of consecutive ones.
    """

    columns: dict[str, pa.Array]
    count: int
    rows: pa.Array | int
    rejected: tuple[Rejected, ...] = ()


def format_of(key: str) -> str | None:
    """Return the format that a key's extension names, None when it is not known."""
    name = key.lower().removesuffix(".gz")
    return next((kind for end, kind in FORMATS.items() if name.endswith(end)), None)


def rejected_piece(*rows: Rejected) -> Piece:
    """Return a piece that holds nothing but rejected records."""
    return Piece({}, 0, 0, rows)


def read_json_lines(file: Landed, limit: int) -> Iterator[Piece]:
    """Yield one payload per line, whatever is in it; lines that aren't UTF-8 are rejected."""
    for block in split_lines(utf8_chunks(file.path, limit)):
        rejected = tuple(
            Rejected(file.key, row, "undecodable_text", "the line is not UTF-8", escaped(data))
            for row, data in block.undecodable
        )
        yield Piece({PAYLOAD: block.lines}, len(block.lines), block.numbers, rejected)


def read_json(file: Landed, limit: int, selector: str | None) -> Iterator[Piece]:
    """Yield one payload per record: an array's elements, or a single value.

    With a selector an object's `selector` is the record list. A file of several documents is read
    as JSON lines, whatever its name. From where a document breaks, the rest is one rejected record.
    """
    data = whole_text(file.path, limit)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("undecodable_text", f"not UTF-8 at byte {error.start}") from error
    row = 1
    batch: list[str] = []
    failure: BrokenJson | None = None
    try:
        for record in _records_of(text, simple_path(selector) or []):
            batch.append(record)
            if len(batch) == BATCH_ROWS:
                yield _payloads(batch, row)
                row, batch = row + len(batch), []
    except BrokenJson as error:
        if isinstance(error, Trailing) and row == 1 and len(batch) == 1:
            # a second document after a first of one record: these are lines
            yield from read_json_lines(file, limit)
            return
        failure = error
    if batch:
        yield _payloads(batch, row)
    row += len(batch)
    if failure:
        rest = text[failure.position if row > 1 else 0 :][:PAYLOAD_LIMIT]
        yield rejected_piece(Rejected(file.key, row, "json_broken", str(failure), rest))


def _records_of(text: str, path: list[str]) -> Iterator[str]:
    try:
        yield from records(text, path)
    except NotThere:
        # an array at the top, or one object that is the record itself
        yield from records(text, [])


def _payloads(texts: list[str], first_row: int) -> Piece:
    return Piece({PAYLOAD: pa.array(texts, TEXT)}, len(texts), first_row)


def open_parquet(file: Landed, limit: int) -> pq.ParquetFile:
    """Open a Parquet file and check that its decoded size is under the cap.

    Raises:
        Unreadable: When it is no Parquet file, lacks its footer or is too large.
    """
    try:
        if file.path.suffix == ".gz":
            reader = CappedReader(file.path, limit)
            blocks = iter(lambda: reader.read(1024**2), b"")
            opened = pq.ParquetFile(pa.BufferReader(b"".join(blocks)))
        else:
            opened = pq.ParquetFile(file.path)
        meta = opened.metadata
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable("file_unreadable", _first_line(error)) from error
    if size > limit:
        raise Unreadable("file_too_large", f"{size} bytes when decoded, the limit is {limit}")
    return opened


def read_parquet(file: Landed, opened: pq.ParquetFile, names: list[str]) -> Iterator[Piece]:
    """Yield a Parquet file's rows, every column as text.

    Args:
        file: Where the rows came from.
        opened: The file, from `open_parquet`.
        names: The warehouse's names for the file's columns, in order.

    Raises:
        Unreadable: When a row group can't be read, after those before it were yielded.
    """
    row = 1
    try:
        for batch in opened.iter_batches(batch_size=BATCH_ROWS):
            columns = {name: as_text(batch.column(i)) for i, name in enumerate(names)}
            bad = _invalid_rows(columns)
            if bad:
                yield from _without(file, batch.num_rows, columns, bad, row)
            else:
                clean = {name: clean_text(array) for name, array in columns.items()}
                yield Piece(clean, batch.num_rows, row)
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise Unreadable("file_unreadable", f"from row {row} on: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def as_text(array: pa.Array) -> pa.Array:
    """Return any Arrow array as text: timestamps in ISO with their zone, nested ones as JSON."""
    kind = array.type
    if kind == TEXT:
        return array
    if pa.types.is_dictionary(kind):
        return as_text(array.dictionary_decode())
    if pa.types.is_timestamp(kind):
        return _timestamp_text(array)
    if pa.types.is_nested(kind):
        values = (
            None if value is None else json.dumps(value, default=str, ensure_ascii=False) for value in array.to_pylist()
        )
        return pa.array(values, TEXT)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        # bytes keep their bits; `_invalid_rows` finds those that are no text
        return array.cast(pa.binary()).view(TEXT)
    if pa.types.is_fixed_size_binary(kind):
        return as_text(array.cast(pa.binary()))
    if isinstance(kind, pa.BaseExtensionType):
        return as_text(array.storage)
    return array.cast(TEXT)


def _timestamp_text(array: pa.Array) -> pa.Array:
    zone = array.type.tz
    if array.type.unit == "ns":
        # true nanoseconds stay as they are
        with suppress(pa.ArrowInvalid):
            array = array.cast(pa.timestamp("us", zone))
    if zone is not None:
        array = array.cast(pa.timestamp(array.type.unit, "UTC"))
    return array.cast(TEXT)


def _invalid_rows(columns: dict[str, pa.Array]) -> dict[int, list[str]]:
    """Return the rows, with their columns, whose bytes are not UTF-8."""
    bad: dict[int, list[str]] = {}
    for name, array in columns.items():
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            for index, value in enumerate(array.view(pa.binary())):
                try:
                    (value.as_py() or b"").decode()
                except UnicodeDecodeError:
                    bad.setdefault(index, []).append(name)
    return bad


def _without(
    file: Landed, count: int, columns: dict[str, pa.Array], bad: dict[int, list[str]], first: int
) -> Iterator[Piece]:
    good = pa.array([index for index in range(count) if index not in bad], pa.int64())
    binary = {name: array.view(pa.binary()) for name, array in columns.items()}
    rejected = []
    for index, names in bad.items():
        row: dict[str, Any] = {
            name: None if (value := array[index].as_py()) is None else escaped(value) for name, array in binary.items()
        }
        rejected.append(
            Rejected(
                file.key,
                first + index,
                "undecodable_text",
                f"not UTF-8: {', '.join(names)}",
                json.dumps(row, ensure_ascii=False),
            )
        )
    taken = {name: clean_text(array.take(good).view(TEXT)) for name, array in binary.items()}
    yield Piece(taken, len(good), pc.add(good, first), tuple(rejected))
