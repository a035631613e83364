"""Landed files as text: decompressed under a cap, decoded, cut at line ends."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from loaders.formats.raw import REPLACEMENT

CHUNK_BYTES = 16 * 1024**2
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Unreadable(Exception):
    """Raised when a file, or the rest of it, can't be read; carries a code and a detail."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class CappedReader:
    """Reads a file, gunzipping it when its name ends in `.gz`, up to a number of bytes.

    Args:
        path: The landed file.
        limit: Most decompressed bytes that are read before `Unreadable` is raised.
    """

    def __init__(self, path: Path, limit: int) -> None:
        opener = gzip.open if path.suffix == ".gz" else open
        self._file = cast(BinaryIO, opener(path, "rb"))
        self._limit = limit
        self._left = limit

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end.

        Raises:
            Unreadable: When the file is no gzip, is cut short, or is larger than the limit.
        """
        try:
            data = self._file.read(min(size, self._left + 1))
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise Unreadable("file_unreadable", f"gzip: {error}") from error
        self._left -= len(data)
        if self._left < 0:
            self._left = 0
            raise Unreadable("file_too_large", f"more than {self._limit} bytes when decompressed")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def utf8_chunks(path: Path, limit: int) -> Iterator[bytes]:
    """Yield a file's content in chunks that end at a line end, as UTF-8 without its BOM.

    UTF-16 with a BOM is re-encoded. Other bytes are passed on as they are: who cuts them into
    lines judges line by line. NUL becomes U+FFFD, since PostgreSQL can't store it.

    Raises:
        Unreadable: After the chunks before the break were yielded.
    """
    reader = CappedReader(path, limit)
    try:
        head = reader.read(CHUNK_BYTES)
        encoding = _UTF16.get(head[:2])
        decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
        block = head[2:] if encoding else head.removeprefix(codecs.BOM_UTF8)
        pending: list[bytes] = []
        while True:
            failure = None
            try:
                following = reader.read(CHUNK_BYTES) if block or head else b""
            except Unreadable as error:
                following, failure = b"", error
            if decoder:
                block = decoder.decode(block, final=not following).encode()
            if b"\x00" in block:
                block = block.replace(b"\x00", REPLACEMENT.encode())
            cut = block.rfind(b"\n") + 1
            if cut:
                yield b"".join((*pending, block[:cut]))
                pending = []
            if cut < len(block):
                pending.append(block[cut:])
            if failure or not following:
                break
            block = following
        if pending:
            yield b"".join(pending)
        if failure:
            raise failure
    finally:
        reader.close()


def whole_text(path: Path, limit: int) -> bytes:
    """Return a whole file as UTF-8 (see `utf8_chunks`)."""
    return b"".join(utf8_chunks(path, limit))


def escaped(data: bytes) -> str:
    r"""Return bytes as text, those that are not UTF-8 escaped as `\xNN`."""
    return data.decode("utf-8", "backslashreplace")
