"""Landed files as text: decompressed under a cap, decoded, cut at line ends."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa

from loaders.attempt import BATCH_BYTES
from loaders.formats.files import PAYLOAD_LIMIT, Landed, Options, Unreadable
from loaders.formats.raw import REPLACEMENT

NEWLINE = b"\n"
ANY_LINE_END = b"\r\n"
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PAR1": "Parquet"}
"""How what is no text begins."""


def _undecodable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    # becomes a byte that UTF-8 never holds: whoever cuts the text into lines rejects this one
    return "\udcff", error.end


codecs.register_error("undecodable", _undecodable)


class LongLine(bytes):
    """The head of a line that is larger than the cap; the rest of it was passed over."""


def raw_blocks(file: Landed, limit: int) -> Iterator[bytes]:
    """Yield a file's bytes, decompressed when its name says so.

    Raises:
        Unreadable: When the file is not compressed so, is cut short, or holds more than `limit` bytes.
    """
    with _stream(file) as opened:
        size = 0
        while True:
            try:
                block = opened.read(BATCH_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                raise Unreadable("file_unreadable", f"broken {file.compression or 'file'}: {error}") from error
            if not block:
                return
            size += len(block)
            if size > limit:
                raise Unreadable("file_too_large", f"more than {limit} bytes when decompressed")
            yield block


def _stream(file: Landed) -> BinaryIO:
    if file.compression == "zstd":
        return cast(BinaryIO, pa.CompressedInputStream(pa.OSFile(str(file.path)), "zstd"))
    return cast(BinaryIO, (gzip.open if file.compression else open)(file.path, "rb"))


def utf8_blocks(file: Landed, options: Options) -> Iterator[bytes]:
    """Yield a file's content as UTF-8 without its byte-order mark, which wins over the encoding of the options.

    What is not UTF-8 is passed on as it is, and so that it can't be taken for UTF-8 what is not in another encoding: who cuts
    the text into lines judges line by line.

    Raises:
        Unreadable: After the blocks before the break were yielded; also when the content is no text.
    """
    blocks = raw_blocks(file, options.max_object_bytes)
    first = next(blocks, b"")
    if packed := next((what for start, what in _PACKED.items() if first.startswith(start)), None):
        raise Unreadable("file_unreadable", f"the content is {packed}, and the name says otherwise")
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS.items() if first.startswith(mark)), (b"", options.encoding)
    )
    blocks = chain([first[len(mark) :]], blocks)
    if encoding == "utf-8":
        return blocks
    texts = codecs.iterdecode(blocks, encoding, "undecodable")
    return (text.encode("utf-8", "surrogateescape") for text in texts)


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
