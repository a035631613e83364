"""What the tests of the file formats share: files made by hand, and what was read of them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from loaders.formats.files import Landed, Options, Piece, open_file
from loaders.formats.raw import column_names

LIMIT = 50 * 1024**2


def land(folder: Path, name: str, body: bytes) -> Landed:
    path = folder / name
    path.write_bytes(gzip.compress(body) if name.lower().endswith(".gz") else body)
    return Landed(name, path)


def read(file: Landed, **options: Any) -> tuple[dict[int, Any], dict[int, tuple[str, str | None]]]:
    """Return a file's good records and its rejected ones, by row number."""
    opened = open_file(file, Options(**{"max_object_bytes": LIMIT, **options}))
    return collect(opened.read(column_names(opened.names)))


def collect(pieces: Any) -> tuple[dict[int, Any], dict[int, tuple[str, str | None]]]:
    """Return good records and rejected ones by row number."""
    good: dict[int, Any] = {}
    bad: dict[int, tuple[str, str | None]] = {}
    for piece in pieces:
        assert isinstance(piece, Piece)
        first = piece.rows
        rows = range(first, first + piece.count) if isinstance(first, int) else first.to_pylist()
        names = list(piece.columns)
        for index, row in enumerate(rows):
            record = tuple(piece.columns[name][index].as_py() for name in names)
            assert row not in good
            good[row] = record[0] if names == ["payload"] else record
        for rejected in piece.rejected:
            bad[rejected.source_row] = (rejected.reason, rejected.payload)
    return good, bad
