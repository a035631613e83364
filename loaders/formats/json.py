"""Read JSON documents and JSON lines: cut into records without changing a character of them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.formats.files import PAYLOAD_LIMIT, Landed, Opened, Options, Piece, Unreadable, rejected_piece, too_large
from loaders.formats.raw import BATCH_BYTES, PAYLOAD, TEXT, Rejected
from loaders.formats.streams import LongLine, escaped, line_chunks, utf8_blocks

_NEWLINE = 10

_SPACE = re.compile(r"[ \t\r\n]*")
# numbers stay text: they are only skipped over, and huge ones must not fail
_scan = json.JSONDecoder(parse_int=str, parse_float=str).scan_once  # type: ignore[attr-defined]
_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]


class BrokenJson(ValueError):
    """Raised where a document stops being JSON; `position` is the character offset."""

    def __init__(self, words: str, position: int) -> None:
        super().__init__(f"{words} at character {position}")
        self.words = words
        self.position = position

    def is_at_end(self, text: str) -> bool:
        """Return whether the text might be sound if it went on: `-Infinity` is the longest word that can be cut."""
        return self.words.startswith("Unterminated") or self.position > len(text) - len("-Infinity")


class Trailing(BrokenJson):
    """Raised when a sound document is followed by something, such as a second document."""


class TooLong(BrokenJson):
    """Raised where a record begins that has no end within the cap."""


class NotThere(LookupError):
    """Raised when a document is JSON but has nothing at the selector."""


def simple_path(selector: str | None) -> list[str] | None:
    """Return the keys of a plain dotted selector (`$`, `data`, `$.data.items`), else None."""
    if selector is None or selector.strip() in ("", "$"):
        return []
    keys = selector.strip().removeprefix("$.").split(".")
    return keys if all(re.fullmatch(r"[\w-]+", key) for key in keys) else None


class Window:
    """A text of which only the part that is being read is held; positions are those in the whole.

    Args:
        text: How it begins.
        more: Returns what follows, nothing at the end.
        longest: Most characters that one record, or what is beside the records, may take.

    Attributes:
        text: The part that is held.
        base: Where it begins.
        done: What is before this position is not needed any more.
    """

    def __init__(self, text: str, more: Callable[[], str] = str, longest: int = 0) -> None:
        self.text = text
        self.base = 0
        self.done = 0
        self._more = more
        self._longest = longest

    def __getitem__(self, position: int) -> str:
        """Return the character at a position, nothing at the end."""
        return self.text[position - self.base : position - self.base + 1]

    def find(self, step: Callable[[str, int], int], position: int) -> int:
        """Return the position that a step finds, reading on as long as the end of the text decides."""
        while True:
            try:
                found = step(self.text, position - self.base)
                # a number may go on behind what looks like its end: 1, 1. and 1e+
                if found < len(self.text) - 2 or not self._grow(position):
                    return found + self.base
            except BrokenJson as error:
                if not error.is_at_end(self.text) or not self._grow(position):
                    raise type(error)(error.words, error.position + self.base) from error

    def _grow(self, position: int) -> bool:
        if 0 < self._longest < len(self.text) - (position - self.base):
            raise TooLong(f"no end within max_record_bytes, {self._longest:,} bytes, of what begins", position)
        following = self._more()
        if following:
            self.text = self.text[self.done - self.base :] + following
            self.base = self.done
        return bool(following)


def records(text: str | Window, path: list[str], list_only: bool = False) -> Iterator[str]:
    """Yield each record's text at `path`, exactly as written: a list's elements, or, unless it must be a list, one value.

    Numbers such as 2^70, 1.10 or NaN, key order, spacing and escapes stay as received.

    Raises:
        NotThere: When the document has no such path, or no list there that must be one.
        BrokenJson: Where the document breaks, after the records before it were yielded; also
            when something follows the end of it.
    """
    window = Window(text) if isinstance(text, str) else text
    start = window.find(lambda text, at: _start(text, at, path), 0)
    if window[start] == "[":
        position = window.find(_skip, start + 1)
        if window[position] == "]":
            end = position + 1
        else:
            while True:
                end = window.find(_value_end, position)
                window.done = position
                yield window.text[position - window.base : end - window.base]
                position = window.find(_following, end)
                if window[position] == "]":
                    end = position + 1
                    break
    elif list_only:
        raise NotThere("a list")
    else:
        end = window.find(_value_end, start)
        value = window.text[start - window.base : end - window.base]
        if value != "null":
            yield value
        window.done = end
    window.find(lambda text, at: _check_rest(text, at, len(path)), end)


def _following(text: str, position: int) -> int:
    """Return where the next value begins, or the bracket that closes the list."""
    position = _skip(text, position)
    mark = text[position : position + 1]
    if mark == "]":
        return position
    if mark != ",":
        raise BrokenJson("a comma or a closing bracket is missing", position)
    position = _skip(text, position + 1)
    if text[position : position + 1] == "]":
        raise BrokenJson("no value", position)
    return position


def _start(text: str, position: int, path: list[str]) -> int:
    start = _skip(text, position)
    for key in path:
        start = _skip(text, _find(text, start, key))
    return start


def _skip(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]


def _value_end(text: str, position: int) -> int:
    try:
        _, end = _scan(text, position)
    except StopIteration as error:
        raise BrokenJson("no value", position) from error
    except json.JSONDecodeError as error:
        raise BrokenJson(error.msg, error.pos) from error
    except RecursionError as error:
        raise BrokenJson("nested too deeply", position) from error
    return int(end)


def _find(text: str, position: int, key: str) -> int:
    """Return where the value of `key` begins in the object at `position`."""
    if text[position : position + 1] != "{":
        _value_end(text, position)
        raise NotThere(key)
    position = _skip(text, position + 1)
    while text[position : position + 1] == '"':
        try:
            name, position = _scan_string(text, position + 1, True)
        except json.JSONDecodeError as error:
            raise BrokenJson(error.msg, error.pos) from error
        position = _skip(text, position)
        if text[position : position + 1] != ":":
            raise BrokenJson("a colon is missing", position)
        position = _skip(text, position + 1)
        if name == key:
            return position
        position = _skip(text, _value_end(text, position))
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
    if text[position : position + 1] != "}":
        raise BrokenJson("a closing brace is missing", position)
    raise NotThere(key)


def _check_rest(text: str, end: int, depth: int) -> int:
    """Walk from the selected value to the end, so that a document cut short is noticed."""
    for _ in range(depth):
        position = _skip(text, end)
        while text[position : position + 1] == ",":
            position = _skip(text, position + 1)
            if text[position : position + 1] != '"':
                raise BrokenJson("a name is missing", position)
            try:
                _, position = _scan_string(text, position + 1, True)
            except json.JSONDecodeError as error:
                raise BrokenJson(error.msg, error.pos) from error
            position = _skip(text, position)
            position = _skip(text, _value_end(text, _skip(text, position + 1)))
        if text[position : position + 1] != "}":
            raise BrokenJson("the document is cut short", position)
        end = position + 1
    end = _skip(text, end)
    if end != len(text):
        raise Trailing("something follows the document", end)
    return end


def open_json(file: Landed, options: Options) -> Opened:
    """Open a JSON document: one payload per record, an array's elements or a single value.

    With a selector an object's `selector` is the record list. A file of several documents is read
    as JSON lines, whatever its name. From where a document breaks, the rest is one rejected record.
    """
    return Opened(file, (), lambda _: _read_document(file, options))


def open_json_lines(file: Landed, options: Options) -> Opened:
    """Open JSON lines: one payload per line, whatever is in it; lines that aren't UTF-8 are rejected."""
    return Opened(file, (), lambda _: _read_lines(file, options))


def _read_document(file: Landed, options: Options) -> Iterator[Piece]:
    blocks = _decoded(utf8_blocks(file, options.max_object_bytes))
    window = Window("", lambda: next(blocks, ""), options.max_record_bytes)
    row, size = 1, 0
    batch: list[str] = []
    failure: BrokenJson | Unreadable | None = None
    try:
        for record in _records_of(window, simple_path(options.data_selector) or []):
            if size >= BATCH_BYTES:
                yield _payloads(batch, row)
                row, size, batch = row + len(batch), 0, []
            batch.append(record)
            # a text costs about as much again as a short record has characters
            size += len(record) + 64
    except (BrokenJson, Unreadable) as error:
        if isinstance(error, Trailing) and row == 1 and len(batch) == 1:
            # a second document after a first of one record: these are lines
            yield from _read_lines(file, options)
            return
        failure = error
    if batch:
        yield _payloads(batch, row)
    row += len(batch)
    if isinstance(failure, Unreadable):
        raise failure
    if failure:
        rest = window.text[failure.position - window.base if row > 1 else 0 :]
        while len(rest) < PAYLOAD_LIMIT and (following := next(blocks, "")):
            rest += following
        code = "record_too_large" if isinstance(failure, TooLong) else "json_broken"
        yield rejected_piece(Rejected(file.key, row, code, str(failure), rest[:PAYLOAD_LIMIT]))


def _records_of(window: Window, path: list[str]) -> Iterator[str]:
    # an array at the top has no keys to look for
    is_array = window[window.find(_skip, 0)] == "["
    try:
        yield from records(window, [] if is_array else path)
    except NotThere:
        # one object that is the record itself
        yield from records(window, [])


def _payloads(texts: list[str], first_row: int) -> Piece:
    return Piece({PAYLOAD: pa.array(texts, TEXT)}, len(texts), first_row)


def _decoded(blocks: Iterator[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    for block in _and_end(blocks):
        size += len(block)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            # the decoder's object is this block behind what was left of the one before
            place = size - len(error.object) + error.start
            raise Unreadable("undecodable_text", f"not UTF-8 at byte {place}") from error
        if text:
            yield text


def _and_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from (block for block in blocks if block)
    yield b""


def _read_lines(file: Landed, options: Options) -> Iterator[Piece]:
    row = 1
    for chunk in line_chunks(utf8_blocks(file, options.max_object_bytes), options.max_record_bytes):
        if isinstance(chunk, LongLine):
            yield rejected_piece(too_large(file, row, options, escaped(chunk)))
            row += 1
            continue
        array, count = _cut(chunk)
        numbers = pa.array(np.arange(row, row + count, dtype=np.int64))
        row += count
        rejected: tuple[Rejected, ...] = ()
        try:
            array.view(TEXT).validate(full=True)
        except pa.ArrowInvalid:
            array, numbers, rejected = _without_undecodable(file, array, numbers)
        lines = array.view(TEXT)
        if b"\r" in chunk:
            lines = pc.utf8_rtrim(lines, characters="\r")
        # blank lines count, but are no records
        blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(lines)), 0)
        if pc.any(blank).as_py():
            keep = pc.invert(blank)
            lines, numbers = lines.filter(keep), numbers.filter(keep)
        yield Piece({PAYLOAD: lines}, len(lines), numbers, rejected)


def _cut(chunk: bytes) -> tuple[pa.Array, int]:
    """Return a chunk's lines as binary, without a Python object per line: newlines are dropped and the offsets moved up."""
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


def _without_undecodable(
    file: Landed, array: pa.Array, numbers: pa.Array
) -> tuple[pa.Array, pa.Array, tuple[Rejected, ...]]:
    bad = []
    for index, value in enumerate(array.to_pylist()):
        try:
            value.decode()
        except UnicodeDecodeError:
            bad.append(index)
    keep = np.ones(len(array), dtype=bool)
    keep[bad] = False
    mask = pa.array(keep)
    rejected = tuple(
        Rejected(file.key, numbers[i].as_py(), "undecodable_text", "the line is not UTF-8", escaped(array[i].as_py()))
        for i in bad
    )
    return array.filter(mask), numbers.filter(mask), rejected
