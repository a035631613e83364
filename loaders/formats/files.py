"""What a landed file is, and which reader its name asks for. A new format is a module here and a line in `FORMATS`.

A format's opener takes a `Landed` file and `Options`, and returns the file's columns and how to read them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from loaders.formats.raw import Rejected

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


@dataclass(frozen=True)
class Options:
    """How files are read; sizes in bytes when decompressed and decoded, `header` names the columns of CSV without a header line."""

    max_object_bytes: int = 4096 * MIB
    max_record_bytes: int = 64 * MIB
    data_selector: str | None = None
    csv_delimiter: str = ","
    header: tuple[str, ...] = ()


@dataclass(frozen=True)
class Landed:
    """A file as received, and where it came from."""

    key: str
    path: Path

    @property
    def is_gzip(self) -> bool:
        """Whether its name says that it is gzipped."""
        return self.key.lower().endswith(".gz")


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
    """Raised when a file, or the rest of it, can't be read; carries a code and a detail."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def format_of(key: str) -> str | None:
    """Return the title of the format that a key's extension names, None when it is not known."""
    end = _extension(key)
    return FORMATS[end][0] if end else None


def open_file(file: Landed, options: Options) -> Opened:
    """Open a file of a known format for its columns.

    Raises:
        Unreadable: When it is not what its name says.
    """
    module, opener = FORMATS[_extension(file.key) or ""][1].split(":")
    opened: Opened = getattr(import_module(module), opener)(file, options)
    return opened


def _extension(key: str) -> str | None:
    name = key.lower().removesuffix(".gz")
    return next((end for end in FORMATS if name.endswith(end)), None)


def too_large(file: Landed, row: int, options: Options, head: str) -> Rejected:
    """Return the record that stands for one above the cap; `head` is how it begins."""
    detail = f"the record is larger than max_record_bytes, {options.max_record_bytes:,} bytes"
    return Rejected(file.key, row, "record_too_large", detail, head[:PAYLOAD_LIMIT])
