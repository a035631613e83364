"""Read CSV as text columns: Arrow's parser while the file is sound, a careful one from where it is not.

The careful parser keeps every physical line that can't be read as a rejected record: an unclosed
quote costs its own line and not the rest of the file.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from loaders.attempt import BATCH_BYTES
from loaders.formats.files import NO_QUOTE, Landed, Opened, Options, Piece, Unreadable, too_large
from loaders.formats.raw import TEXT, Rejected
from loaders.formats.streams import ANY_LINE_END, LongLine, escaped, line_chunks, utf8_blocks

_JOINED_LINES = 1000
_DELIMITERS = ",;\t|"
_FIELD_BYTES = 64
"""What Python keeps for a field beside its characters."""
csv.field_size_limit(2**31 - 1)


def open_csv(file: Landed, options: Options) -> Opened:
    """Open a CSV file: its columns are those of its first line, or those that the options name.

    Raises:
        Unreadable: When its first part can't be decompressed, or the header is larger than a record may be.
    """
    names, _ = _open(file, options)
    return Opened(file, names, lambda columns: _read(file, columns, options))


def _open(file: Landed, options: Options) -> tuple[tuple[str, ...], Iterator[bytes]]:
    """Return the names of the columns, and chunks of the lines below the header."""
    chunks = line_chunks(utf8_blocks(file, options), options.max_record_bytes, ANY_LINE_END)
    if not options.csv_header:
        return options.columns, chunks
    for chunk in chunks:
        if isinstance(chunk, LongLine):
            raise Unreadable("record_too_large", f"the header is larger than {options.max_record_bytes:,} bytes")
        position = 0
        for line in _lines(chunk):
            position += len(line)
            if line.strip():
                text = escaped(line.rstrip(b"\r\n"))
                header = tuple(next(_parser([text], options)))
                if len(header) == 1 and options.csv_quote not in text:
                    _check_delimiter(text, options)
                return header, chain([chunk[position:]], chunks)
    return (), chunks


def _check_delimiter(header: str, options: Options) -> None:
    """Raise `Unreadable` when the only column's name is several with another delimiter between them."""
    seen = max(_DELIMITERS, key=header.count)
    if seen in header:
        told = f"the header {header[:100]!r} is one column with csv_delimiter = {options.csv_delimiter!r}; it holds {seen!r}"
        raise Unreadable("csv_delimiter", told)


def _parser(lines: Iterable[str], options: Options, strict: bool = False) -> Iterator[list[str]]:
    quoted = options.csv_quote != NO_QUOTE
    return csv.reader(
        lines,
        delimiter=options.csv_delimiter,
        quotechar=options.csv_quote if quoted else None,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        escapechar=options.csv_escape,
        strict=strict,
    )


def _read(file: Landed, names: list[str], options: Options) -> Iterator[Piece]:
    _, chunks = _open(file, options)
    row = 1
    for chunk in chunks:
        if isinstance(chunk, LongLine):
            piece = Piece(rejected=(too_large(file, row, options, escaped(chunk)),))
        elif (sound := _sound(file, chunk, names, row, options)) is not None:
            piece = sound
        else:
            yield from _careful(file, chain([chunk], chunks), names, row, options)
            return
        yield piece
        row += piece.count + len(piece.rejected)


def _sound(file: Landed, chunk: bytes, names: list[str], first: int, options: Options) -> Piece | None:
    """Return a chunk's records, or None when Arrow's parser can't be trusted with it."""
    invalid: dict[int, Rejected] = {}

    def keep(row: Any) -> str:
        detail = f"{row.actual_columns} fields instead of {row.expected_columns}"
        number = first + row.number - 1
        invalid[number] = Rejected(file.key, number, "csv_ragged_line", detail, row.text.rstrip("\r\n"))
        return "skip"

    if not chunk.strip(ANY_LINE_END):
        return Piece()
    quotes = chunk.count(options.csv_quote.encode()) if options.csv_quote != NO_QUOTE else 0
    # a record may go on in the next chunk, and which quotes an escape takes away only a parser knows
    if quotes % 2 or (options.csv_escape and options.csv_escape.encode() in chunk):
        return None
    try:
        chunk.decode()
        table = pacsv.read_csv(
            io.BytesIO(chunk),
            # one thread and one block: only then rows are numbered
            pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(chunk) + 1),
            pacsv.ParseOptions(
                delimiter=options.csv_delimiter,
                quote_char=options.csv_quote if quotes else False,
                newlines_in_values=quotes > 0,
                invalid_row_handler=keep,
            ),
            pacsv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False),
        )
    except (pa.ArrowException, ValueError):
        return None
    # a record over several lines is sound CSV, or has two stray quotes far apart
    texts = [pa.array([row.payload for row in invalid.values()], TEXT), *table.columns] if quotes else []
    ends = [end for end in "\n\r" if end.encode() in chunk]
    if any(pc.any(pc.match_substring(text, end)).as_py() for text in texts for end in ends):
        return None
    numbers = np.arange(first, first + table.num_rows + len(invalid), dtype=np.int64)
    good = pa.array(numbers[~np.isin(numbers, list(invalid))])
    columns = {name: column.combine_chunks() for name, column in zip(names, table.columns, strict=True)}
    return Piece(columns, table.num_rows, good, tuple(invalid.values()))


def _careful(file: Landed, chunks: Iterable[bytes], names: list[str], first: int, options: Options) -> Iterator[Piece]:
    rows: list[tuple[int, list[str]]] = []
    rejected: list[Rejected] = []
    size = 0

    def piece() -> Piece:
        columns = {name: pa.array([fields[i] for _, fields in rows], TEXT) for i, name in enumerate(names)}
        return Piece(columns, len(rows), pa.array([number for number, _ in rows], pa.int64()), tuple(rejected))

    for number, fields, problem in _records(file, chunks, len(names), first, options):
        if problem is None:
            rows.append((number, fields))
        else:
            rejected.append(problem)
        size += sum(map(len, fields)) + _FIELD_BYTES * len(fields)
        if size >= BATCH_BYTES:
            yield piece()
            rows, rejected, size = [], [], 0
    if rows or rejected:
        yield piece()


def _lines(chunk: bytes) -> list[bytes]:
    """Return a chunk's lines with their ends, of whatever kind; a long one is a line."""
    return [chunk] if isinstance(chunk, LongLine) else chunk.splitlines(keepends=True)


def _records(
    file: Landed, chunks: Iterable[bytes], expected: int, first: int, options: Options
) -> Iterator[tuple[int, list[str], Rejected | None]]:
    """Yield each record's number with its fields, or with its text and why it is rejected."""
    source = chain.from_iterable(map(_lines, chunks))
    ahead: deque[bytes] = deque()
    number = first - 1
    while (line := ahead.popleft() if ahead else next(source, None)) is not None:
        data = line.rstrip(ANY_LINE_END)
        if not data:
            continue
        number += 1
        if isinstance(line, LongLine):
            head = escaped(line)
            yield number, [head], too_large(file, number, options, head)
            continue
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = escaped(data)
            yield number, [text], Rejected(file.key, number, "undecodable_text", "the line is not UTF-8", text)
            continue
        fields, is_open = _fields(text, options)
        code, detail = "csv_ragged_line", f"{len(fields)} fields instead of {expected}"
        if is_open:
            fields = _joined(line, source, ahead, expected, options)
            code, detail = "csv_unclosed_quote", "a quote is not closed"
        if len(fields) == expected:
            yield number, fields, None
        else:
            yield number, [text], Rejected(file.key, number, code, detail, text)


def _joined(line: bytes, source: Iterator[bytes], ahead: deque[bytes], expected: int, options: Options) -> list[str]:
    """Return the fields of a record that goes on over the next lines, none when it has no end.

    Every line is read once: the parser keeps its state from one to the next.
    """
    used = 0

    def following() -> Iterator[str]:
        nonlocal used
        size = len(line)
        yield _unified(line)
        while used < _JOINED_LINES - 1:
            if len(ahead) == used:
                ahead.extend(islice(source, 1))
            if len(ahead) == used or isinstance(ahead[used], LongLine):
                return
            size += len(ahead[used])
            if size > options.max_record_bytes:
                return
            used += 1
            yield _unified(ahead[used - 1])

    try:
        fields = next(_parser(following(), options, strict=True))
    except (csv.Error, UnicodeDecodeError):
        return []
    if len(fields) != expected:
        return []
    for _ in range(used):
        ahead.popleft()
    return fields


def _unified(line: bytes) -> str:
    """Return a line with its end, two characters made one."""
    return line[:-2].decode() + "\n" if line.endswith(b"\r\n") else line.decode()


def _fields(text: str, options: Options) -> tuple[list[str], bool]:
    """Return a line's fields and whether its last quote is still open."""
    if options.csv_quote not in text and (options.csv_escape or options.csv_quote) not in text:
        return text.split(options.csv_delimiter), False
    try:
        return next(_parser([text], options, strict=True)), False
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return [], True
    # a stray quote inside one line is forgiven, one that joins lines is not
    try:
        return next(_parser([text], options)), False
    except csv.Error:
        return [], False
