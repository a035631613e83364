"""Cut text into lines without a Python object per line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.formats.raw import TEXT

_NEWLINE = 10


@dataclass(frozen=True)
class LineBlock:
    """Lines that are not blank, their numbers from 1, and those that aren't UTF-8."""

    lines: pa.Array
    numbers: pa.Array
    undecodable: tuple[tuple[int, bytes], ...]


def split_lines(chunks: Iterable[bytes]) -> Iterator[LineBlock]:
    """Yield the lines of chunks that end at line ends; blank lines count but are left out."""
    first = 1
    for chunk in chunks:
        array, total = _cut(chunk)
        numbers = pa.array(np.arange(first, first + total, dtype=np.int64))
        first += total
        undecodable: tuple[tuple[int, bytes], ...] = ()
        try:
            array.view(TEXT).validate(full=True)
        except pa.ArrowInvalid:
            array, numbers, undecodable = _part(array, numbers)
        lines = array.view(TEXT)
        if b"\r" in chunk:
            lines = pc.utf8_rtrim(lines, characters="\r")
        blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(lines)), 0)
        if pc.any(blank).as_py():
            keep = pc.invert(blank)
            lines, numbers = lines.filter(keep), numbers.filter(keep)
        yield LineBlock(lines, numbers, undecodable)


def _cut(chunk: bytes) -> tuple[pa.Array, int]:
    """Return a chunk's lines as binary: newlines are dropped and the offsets moved up."""
    data = np.frombuffer(chunk, dtype=np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    total = len(ends) + (not chunk.endswith(b"\n"))
    offsets = np.zeros(total + 1, dtype=np.int32)
    offsets[1 : len(ends) + 1] = ends - np.arange(len(ends))
    if total > len(ends):
        offsets[-1] = len(data) - len(ends)
    text = pa.py_buffer(data[data != _NEWLINE].tobytes())
    buffers = [None, pa.py_buffer(offsets.tobytes()), text]
    return pa.Array.from_buffers(pa.binary(), total, buffers), total


def _part(array: pa.Array, numbers: pa.Array) -> tuple[pa.Array, pa.Array, tuple[tuple[int, bytes], ...]]:
    bad = []
    for index, value in enumerate(array.to_pylist()):
        try:
            value.decode()
        except UnicodeDecodeError:
            bad.append(index)
    mask = np.ones(len(array), dtype=bool)
    mask[bad] = False
    undecodable = tuple((numbers[i].as_py(), array[i].as_py()) for i in bad)
    keep = pa.array(mask)
    return array.filter(keep), numbers.filter(keep), undecodable
