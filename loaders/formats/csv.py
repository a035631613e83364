"""Read CSV as text columns: Arrow's parser for sound files, a careful one for broken files.

The careful parser keeps every physical line that can't be read as a rejected record: an unclosed
quote costs its own line and not the rest of the file.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from loaders.formats.parquet import Landed, Piece, rejected_piece
from loaders.formats.raw import TEXT, Rejected
from loaders.formats.streams import escaped, utf8_chunks

_BLOCK_BYTES = 16 * 1024**2
_IN_MEMORY_BYTES = 256 * 1024**2
_JOINED_LINES = 1000
_BATCH_ROWS = 50_000
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class CsvPlan:
    """What a first pass found: the header, and how the file can be read."""

    header: tuple[str, ...]
    has_quotes: bool
    sound: bool
    skip_lines: int


def plan_csv(file: Landed, limit: int, delimiter: str, header: tuple[str, ...]) -> CsvPlan:
    """Look through a file once.

    Args:
        file: The landed file.
        limit: Most bytes when decompressed.
        delimiter: One character.
        header: Column names of files without a header line; empty when there is one.

    Raises:
        Unreadable: When the file can't be decompressed.
    """
    quotes, size, sound, skip = 0, 0, True, 0
    given = bool(header)
    for chunk in utf8_chunks(file.path, limit):
        size += len(chunk)
        quotes += chunk.count(b'"')
        try:
            # a chunk ends at a line end, so no character is cut in two
            chunk.decode()
        except UnicodeDecodeError:
            sound = False
        if not given and not header:
            lines = io.BytesIO(chunk)
            for line in lines:
                skip += 1
                if line.strip():
                    text = escaped(line.rstrip(b"\r\n"))
                    header = tuple(next(csv.reader([text], delimiter=delimiter)))
                    # a header over several lines is read by the careful parser
                    sound = sound and text.count('"') % 2 == 0
                    break
    sound = sound and quotes % 2 == 0 and size <= _IN_MEMORY_BYTES
    return CsvPlan(header, quotes > 0, sound, skip)


def read_csv(file: Landed, plan: CsvPlan, names: list[str], limit: int, delimiter: str) -> Iterator[Piece]:
    """Yield a file's records with the warehouse's column names.

    Raises:
        Unreadable: When the file can't be decompressed to its end.
    """
    pieces = _read_sound(file, plan, names, limit, delimiter) if plan.sound else None
    if pieces is None:
        yield from _read_careful(file, plan, names, limit, delimiter)
    else:
        yield from pieces


def _read_sound(file: Landed, plan: CsvPlan, names: list[str], limit: int, delimiter: str) -> list[Piece] | None:
    """Return the pieces, or None when Arrow's parser can't be trusted with the file."""
    invalid: list[tuple[int, str, str]] = []

    def keep(row: Any) -> str:
        detail = f"{row.actual_columns} fields instead of {row.expected_columns}"
        invalid.append((row.number - plan.skip_lines, detail, row.text))
        return "skip"

    body = b"".join(utf8_chunks(file.path, limit))
    lines = body.split(b"\n", plan.skip_lines)
    body = lines[-1] if len(lines) > plan.skip_lines else b""
    if not body.strip():
        return []
    try:
        table = pacsv.read_csv(
            io.BytesIO(body),
            # one thread: only then rows are numbered
            pacsv.ReadOptions(column_names=names, use_threads=False, block_size=_BLOCK_BYTES),
            pacsv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if plan.has_quotes else False,
                newlines_in_values=plan.has_quotes,
                invalid_row_handler=keep,
            ),
            pacsv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False),
        )
    except pa.ArrowException:
        return None
    if plan.has_quotes and _over_lines(table, invalid):
        return None
    offset = plan.skip_lines
    total = table.num_rows + len(invalid)
    numbers = np.arange(1, total + 1, dtype=np.int64)
    bad = [number + offset for number, _, _ in invalid]
    good = numbers[~np.isin(numbers, bad)]
    pieces = []
    start = 0
    for batch in table.to_batches():
        rows = pa.array(good[start : start + batch.num_rows])
        start += batch.num_rows
        pieces.append(Piece(dict(zip(names, batch.columns, strict=True)), batch.num_rows, rows))
    rejected = tuple(
        Rejected(file.key, number, "csv_ragged_line", detail, text.rstrip("\r\n"))
        for number, (_, detail, text) in zip(bad, invalid, strict=True)
    )
    return [*pieces, rejected_piece(*rejected)] if rejected else pieces


def _over_lines(table: pa.Table, invalid: list[tuple[int, str, str]]) -> bool:
    """Return whether a record spans lines: sound CSV, or two stray quotes far apart."""
    return any("\n" in text for _, _, text in invalid) or any(
        pc.any(pc.match_substring(column, "\n")).as_py() for column in table.columns
    )


def _read_careful(file: Landed, plan: CsvPlan, names: list[str], limit: int, delimiter: str) -> Iterator[Piece]:
    rows: list[list[str]] = []
    numbers: list[int] = []
    rejected: list[Rejected] = []
    for number, fields, problem in _records(file, plan, limit, delimiter, len(names)):
        if problem is None:
            rows.append(fields)
            numbers.append(number)
        else:
            rejected.append(Rejected(file.key, number, problem[0], problem[1], fields[0]))
        if len(rows) + len(rejected) >= _BATCH_ROWS:
            yield _piece(names, rows, numbers, rejected)
            rows, numbers, rejected = [], [], []
    if rows or rejected:
        yield _piece(names, rows, numbers, rejected)


def _piece(names: list[str], rows: list[list[str]], numbers: list[int], rejected: list[Rejected]) -> Piece:
    columns = {name: pa.array([row[i] for row in rows], TEXT) for i, name in enumerate(names)}
    return Piece(columns, len(rows), pa.array(numbers, pa.int64()), tuple(rejected))


def _physical_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for line in chunk.split(b"\n")[: -1 if chunk.endswith(b"\n") else None]:
            yield line.removesuffix(b"\r")


def _records(
    file: Landed, plan: CsvPlan, limit: int, delimiter: str, expected: int
) -> Iterator[tuple[int, list[str], tuple[str, str] | None]]:
    """Yield (number, fields, None), or (number, [raw line], (code, detail)) for a bad line."""
    source = _physical_lines(utf8_chunks(file.path, limit))
    ahead: deque[bytes] = deque()
    for _ in range(plan.skip_lines):
        next(source, None)
    number = 0
    while True:
        line = ahead.popleft() if ahead else next(source, None)
        if line is None:
            return
        if not line.strip():
            continue
        number += 1
        try:
            text = line.decode()
        except UnicodeDecodeError:
            problem = ("undecodable_text", "the line is not UTF-8")
            yield number, [escaped(line)], problem
            continue
        fields, is_open = _fields(text, delimiter)
        if is_open:
            joined = _join(text, source, ahead, delimiter, expected)
            if joined is None:
                yield number, [text], ("csv_unclosed_quote", "a quote is not closed")
                continue
            fields = joined
        if len(fields) != expected:
            detail = f"{len(fields)} fields instead of {expected}"
            yield number, [text], ("csv_ragged_line", detail)
        else:
            yield number, fields, None


def _join(text: str, source: Iterator[bytes], ahead: deque[bytes], delimiter: str, expected: int) -> list[str] | None:
    """Return the fields of a record that goes on over the next lines, None when none does."""
    for used in range(1, _JOINED_LINES):
        if len(ahead) < used:
            following = next(source, None)
            if following is None:
                return None
            ahead.append(following)
        try:
            text += "\n" + ahead[used - 1].decode()
        except UnicodeDecodeError:
            return None
        fields, is_open = _fields(text, delimiter)
        if not is_open:
            if len(fields) != expected:
                return None
            for _ in range(used):
                ahead.popleft()
            return fields
    return None


def _fields(text: str, delimiter: str) -> tuple[list[str], bool]:
    """Return a record's fields and whether its last quote is still open."""
    if '"' not in text:
        return text.split(delimiter), False
    # the reader wants its line ends kept to join quoted lines
    *first, last = text.split("\n")
    lines = [*(line + "\n" for line in first), last]
    try:
        return next(csv.reader(lines, delimiter=delimiter, strict=True)), False
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return [], True
    # a stray quote inside one line is forgiven, one that joins lines is not
    if len(lines) > 1:
        return [], False
    try:
        return next(csv.reader(lines, delimiter=delimiter)), False
    except csv.Error:
        return [], False
