"""What a landed file is, and which reader its name asks for. A new format is a module here and a line in `FORMATS`.

A format's opener takes a `Landed` file and `Options`, and returns the file's columns and how to read them.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Self

import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass as settings_dataclass

from loaders.fields import SETTINGS, Count, Texts
from loaders.formats.raw import TEXT, Rejected

MIB = 1024**2
PAYLOAD_LIMIT = 65_536
"""How much of a record that is broken or too large is kept as its payload; the landed file holds all of it."""

FORMATS = {
    ".parquet": ("Parquet", "loaders.formats.parquet:open_parquet"),
    ".csv": ("CSV", "loaders.formats.csv:open_csv"),
    ".json": ("JSON", "loaders.formats.json:open_json"),
    ".jsonl": ("JSON lines", "loaders.formats.json:open_json_lines"),
    ".ndjson": ("JSON lines", "loaders.formats.json:open_json_lines"),
}
"""Extension: the format's title, and its opener; imported when a file needs it."""
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
"""Extension behind that of the format: how the file is compressed."""
NO_QUOTE = "none"


def _encoding(value: str) -> str:
    try:
        # not every codec of Python's is of a text
        "".encode(value)
        return codecs.lookup(value).name
    except (LookupError, ValueError):
        raise ValueError(f"= {value!r} is no encoding. Use for example utf-8, cp1252, latin-1 or utf-16.") from None


def _quote(value: str) -> str:
    if len(value) != 1 and value != NO_QUOTE:
        raise ValueError(f"= {value!r} is not one character, nor {NO_QUOTE!r} for CSV without quotes.")
    return value


Character = Annotated[str, Field(min_length=1, max_length=1)]


@settings_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Options:
    """How files are read; sizes in bytes when decompressed and decoded, `columns` are there in any case.

    Without a `csv_header` they name the fields of CSV in their order. A byte-order mark wins over the `encoding`.
    """

    max_object_bytes: Count = 4096 * MIB
    max_record_bytes: Annotated[Count, Field(le=1024 * MIB)] = 64 * MIB
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    data_selector: str | None = None
    csv_delimiter: Character = ","
    csv_quote: Annotated[str, AfterValidator(_quote)] = '"'
    csv_escape: Character | None = None
    csv_header: bool = True
    columns: Texts = ()

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if not self.csv_header and not self.columns:
            raise ValueError("columns is missing: with csv_header = false it names the columns in their order.")
        return self


@dataclass(frozen=True)
class Landed:
    """A file as received, where it came from, and the columns that its folders' names give to each of its records."""

    key: str
    path: Path
    partitions: tuple[tuple[str, str | None], ...] = ()

    @property
    def compression(self) -> str | None:
        """How its name says that it is compressed."""
        return next((how for end, how in COMPRESSIONS.items() if self.key.lower().endswith(end)), None)


@dataclass(frozen=True)
class Piece:
    """Some records of one file: equally long text columns, or rejected records.

    `rows` holds each record's number, or the number of the first of consecutive ones.
    """

    columns: dict[str, pa.Array] = field(default_factory=dict)
    count: int = 0
    rows: pa.Array | int = 0
    rejected: tuple[Rejected, ...] = ()

    def slice(self, start: int, count: int) -> Piece:
        """Return some of the records; the rejected ones go with the first."""
        rows = self.rows + start if isinstance(self.rows, int) else self.rows.slice(start, count)
        columns = {name: array.slice(start, count) for name, array in self.columns.items()}
        return Piece(columns, min(count, self.count - start), rows, () if start else self.rejected)


@dataclass(frozen=True)
class Opened:
    """A file that can be read: its columns' own names, and its records once the warehouse's names are known.

    `read` raises `Unreadable` at what can't be read, after the records before it. `types` are those that the columns have in
    the file, where its format has some.
    """

    file: Landed
    names: tuple[str, ...]
    read: Callable[[list[str]], Iterator[Piece]]
    types: tuple[str, ...] = ()


class Unreadable(Exception):
    """Raised when a file, or the rest of it, can't be read: a short code, and the reason for people.

    Args:
        code: As in `Rejected.reason`.
        detail: Stands alone: it is told beside the file's name.
        row: Number of the record at which the rest begins; 0 when nothing could be read.
        payload: How the rest begins, where it has text.
    """

    def __init__(self, code: str, detail: str, row: int = 0, payload: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.row = row
        self.payload = payload


def format_of(key: str) -> str | None:
    """Return the title of the format that a key's extension names, None when it is not known."""
    end = _extension(key)
    return FORMATS[end][0] if end else None


def open_file(file: Landed, options: Options) -> Opened:
    """Open a file of a known format for its columns; those of its folders come behind its own.

    Raises:
        Unreadable: When it is not what its name says.
    """
    module, opener = FORMATS[_extension(file.key) or ""][1].split(":")
    opened: Opened = getattr(import_module(module), opener)(file, options)
    own, names = len(opened.names), (*opened.names, *(name for name, _ in file.partitions))

    def read(columns: list[str]) -> Iterator[Piece]:
        values = dict(zip(columns[own:], (value for _, value in file.partitions), strict=True))
        for piece in opened.read(columns[:own]):
            constant = {name: pa.repeat(pa.scalar(value, TEXT), piece.count) for name, value in values.items()}
            yield replace(piece, columns={**piece.columns, **constant})

    return Opened(file, names, read, opened.types) if file.partitions else opened


def _extension(key: str) -> str | None:
    name = key.lower()
    for end in COMPRESSIONS:
        name = name.removesuffix(end)
    return next((end for end in FORMATS if name.endswith(end)), None)


def too_large(file: Landed, row: int, options: Options, head: str) -> Rejected:
    """Return the record that stands for one above the cap; `head` is how it begins."""
    detail = f"the record is larger than max_record_bytes, {options.max_record_bytes:,} bytes"
    return Rejected(file.key, row, "record_too_large", detail, head[:PAYLOAD_LIMIT])
