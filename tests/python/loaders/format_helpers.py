"""What the tests of the file formats share: files made by hand, and what was read of them."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

from loaders.formats.files import Landed, Options, Piece, Unreadable, open_file
from loaders.formats.raw import column_names

LIMIT = 50 * 1024**2


def land(folder: Path, name: str, body: bytes) -> Landed:
    path = folder / name
    path.write_bytes(gzip.compress(body) if name.lower().endswith(".gz") else body)
    return Landed(name, path)


def read(file: Landed, **options: Any) -> tuple[dict[int, Any], dict[int, tuple[str, str | None]]]:
    """Return a file's good records and its rejected ones, by row number; where its rest can't be read, how that begins."""
    opened = open_file(file, Options(**{"max_object_bytes": LIMIT, **options}))
    return collect(opened.read(column_names(opened.names)))


def collect(pieces: Any) -> tuple[dict[int, Any], dict[int, tuple[str, str | None]]]:
    """Return good records and rejected ones by row number."""
    good: dict[int, Any] = {}
    bad: dict[int, tuple[str, str | None]] = {}
    try:
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
    except Unreadable as error:
        if not error.row:
            raise
        bad[error.row] = (error.code, error.payload)
    return good, bad


def peak_of_reading(file: Landed) -> tuple[int, int, list[str]]:
    """Read a file in a process of its own; return its peak memory in MiB, its records and why some were rejected."""
    done = subprocess.run(
        [sys.executable, "-c", _READ, file.key, str(file.path)], capture_output=True, text=True, check=True, timeout=120
    )
    peak, count, *reasons = done.stdout.split()
    return int(peak), int(count), reasons


_READ = """
import sys
from pathlib import Path
from loaders.formats.files import Landed, Options, Unreadable, open_file
from loaders.formats.raw import column_names
count, reasons = 0, []
try:
    opened = open_file(Landed(sys.argv[1], Path(sys.argv[2])), Options())
    for piece in opened.read(column_names(opened.names)):
        count += piece.count
        reasons += [rejected.reason for rejected in piece.rejected]
except Unreadable as error:
    reasons.append(error.code)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(peak.split()[1]) // 1024, count, *reasons)
"""
