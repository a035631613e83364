"""Landed files as text: decompressed under a cap, decoded, cut at line ends."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

import numpy as np

from loaders.attempt import BATCH_BYTES
from loaders.formats.files import PAYLOAD_LIMIT, Landed, Unreadable
from loaders.formats.raw import REPLACEMENT

NEWLINE = b"\n"
ANY_LINE_END = b"\r\n"
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class LongLine(bytes):
    """The head of a line that is larger than the cap; the rest of it was passed over."""


def raw_blocks(file: Landed, limit: int) -> Iterator[bytes]:
    """Yield a file's bytes, gunzipped when its name says so.

    Raises:
        Unreadable: When the file is no gzip, is cut short, or holds more than `limit` bytes.
    """
    with cast(BinaryIO, (gzip.open if file.is_gzip else open)(file.path, "rb")) as opened:
        size = 0
        while True:
            try:
                block = opened.read(BATCH_BYTES)
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise Unreadable("file_unreadable", f"gzip: {error}") from error
            if not block:
                return
            size += len(block)
            if size > limit:
                raise Unreadable("file_too_large", f"more than {limit} bytes when decompressed")
            yield block


def utf8_blocks(file: Landed, limit: int) -> Iterator[bytes]:
    """Yield a file's content as UTF-8 without its BOM.

    UTF-16 with a BOM is re-encoded. Other bytes are passed on as they are: who cuts them into lines judges line by line.

    Raises:
        Unreadable: After the blocks before the break were yielded.
    """
    decoder = None
    for number, block in enumerate(raw_blocks(file, limit)):
        if number == 0 and block[:2] in _UTF16:
            decoder = codecs.getincrementaldecoder(_UTF16[block[:2]])("replace")
            block = block[2:]
        elif number == 0:
            block = block.removeprefix(codecs.BOM_UTF8)
        if decoder:
            block = decoder.decode(block).encode()
        yield block
    if decoder:
        yield decoder.decode(b"", final=True).encode()


def line_chunks(blocks: Iterable[bytes], longest: int, ends: bytes = NEWLINE) -> Iterator[bytes]:
    """Yield chunks that end at a line end, and a `LongLine` in place of each line of more than `longest` bytes.

    NUL becomes U+FFFD, since PostgreSQL can't store it. What stands behind the last line end when the blocks break off belongs
    to what can't be read.
    """
    pending: list[bytes] = []
    skipping = False
    for block in blocks:
        if skipping:
            found = re.search(rb"[" + ends + rb"]", block)
            if not found:
                continue
            block, skipping = block[found.end() :], False
        block = block.replace(b"\0", REPLACEMENT.encode())
        # a return at the end may be half of a line end
        cut = max(block.rfind(ends[i : i + 1], 0, len(block) - (ends[i] != 10)) for i in range(len(ends))) + 1
        if cut:
            yield from _capped(b"".join((*pending, block[:cut])), longest, ends)
            pending = []
        pending.append(block[cut:])
        if sum(map(len, pending)) > longest + 1:
            head = b"".join(pending)[: longest + 2]
            yield LongLine(head[:PAYLOAD_LIMIT])
            pending, skipping = [], True
    if any(pending):
        yield from _capped(b"".join(pending), longest, ends)


def _capped(chunk: bytes, longest: int, ends: bytes) -> Iterator[bytes]:
    start = 0
    if len(chunk) > longest:
        data = np.frombuffer(chunk, dtype=np.uint8)
        stops = np.append(np.flatnonzero(np.isin(data, list(ends))), len(chunk))
        starts = np.append(0, stops[:-1] + 1)
        for index in np.flatnonzero(stops - starts > longest):
            if starts[index] > start:
                yield chunk[start : starts[index]]
            yield LongLine(chunk[starts[index] : stops[index]][:PAYLOAD_LIMIT])
            start = int(stops[index]) + 1
    if start < len(chunk):
        yield chunk[start:]


def escaped(data: bytes) -> str:
    r"""Return bytes as text, those that are not UTF-8 escaped as `\xNN`."""
    return data.decode("utf-8", "backslashreplace")
