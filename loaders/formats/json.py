"""Read JSON documents and JSON lines: cut into records without changing a character of them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.attempt import BATCH_BYTES
from loaders.formats.files import PAYLOAD_LIMIT, Landed, Opened, Options, Piece, Unreadable, too_large
from loaders.formats.raw import PAYLOAD, REPLACEMENT, TEXT, Rejected, undecodable
from loaders.formats.streams import NEWLINE, LongLine, escaped, line_chunks, utf8_blocks

_SPACE = re.compile(r"[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*(?=[^\] \t\r\n])")
# numbers stay text: they are only skipped over, and huge ones must not fail
_scan = json.JSONDecoder(parse_int=str, parse_float=str).scan_once  # type: ignore[attr-defined]
_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]


class BrokenJson(ValueError):
    """Raised where a document stops being JSON; `position` is the character offset, `start` that of the value that breaks."""

    def __init__(self, words: str, position: int, start: int = 0) -> None:
        super().__init__(f"{words} at character {position}")
        self.words = words
        self.position = position
        self.start = start

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
    """

    def __init__(self, text: str, more: Callable[[], str] = str, longest: int = 0) -> None:
        self.text = text
        self.base = 0
        self._more = more
        self._longest = longest

    def __getitem__(self, position: int) -> str:
        """Return the character at a position, nothing at the end."""
        return self.text[position - self.base : position - self.base + 1]

    def cut(self, start: int, end: int) -> str:
        """Return the text between two positions."""
        return self.text[start - self.base : end - self.base]

    def find(self, step: Callable[[str, int], int], position: int) -> int:
        """Return the position that a step finds, reading on as long as the end of the text decides; what is before is let go."""
        while True:
            broken = None
            try:
                found = step(self.text, position - self.base)
                # a number may go on behind what looks like its end: 1, 1. and 1e+
                if found < len(self.text) - 2:
                    return found + self.base
            except (BrokenJson, json.JSONDecodeError) as error:
                broken = error if isinstance(error, BrokenJson) else BrokenJson(error.msg, error.pos)
            if (broken and not broken.is_at_end(self.text)) or not self._grow(position):
                if broken:
                    raise type(broken)(broken.words, broken.position + self.base, position)
                return found + self.base

    def _grow(self, position: int) -> bool:
        if 0 < self._longest < len(self.text) - (position - self.base):
            raise TooLong(
                f"no end within max_record_bytes, {self._longest:,} bytes, of what begins", position, position
            )
        following = self._more()
        if following:
            self.text = self.text[position - self.base :] + following
            self.base = position
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
        end = window.find(_skip, start + 1)
        while window[end] != "]":
            position, end = end, window.find(_value_end, end)
            if window[position] in "-0123456789" and window[end] not in (*" \t\r\n,]",):
                # its last digits may be missing
                raise BrokenJson("a number is cut short", position, position)
            yield window.cut(position, end)
            # the usual case, without a step
            comma = _COMMA.match(window.text, end - window.base)
            end = comma.end() + window.base if comma else window.find(_following, end)
        end += 1
    elif list_only:
        raise NotThere("a list")
    else:
        end = window.find(_value_end, start)
        if (value := window.cut(start, end)) != "null":
            yield value
    window.find(lambda text, at: _check_rest(text, at, len(path)), end)


def _following(text: str, position: int) -> int:
    """Return where the next value begins, or the bracket that closes the list."""
    if comma := _COMMA.match(text, position):
        return comma.end()
    position = _skip(text, position)
    if text[position : position + 1] == ",":
        raise BrokenJson("no value", _skip(text, position + 1))
    if text[position : position + 1] != "]":
        raise BrokenJson("a comma or a closing bracket is missing", position)
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
        return int(_scan(text, position)[1])
    except StopIteration as error:
        # where inside of the value it stopped
        raise BrokenJson("no value", error.value) from error
    except RecursionError as error:
        raise BrokenJson("nested too deeply", position) from error


def _name(text: str, position: int) -> tuple[str, int]:
    """Return a member's name, and where its value begins."""
    if text[position : position + 1] != '"':
        raise BrokenJson("a name is missing", position)
    name, position = _scan_string(text, position + 1)
    position = _skip(text, position)
    if text[position : position + 1] != ":":
        raise BrokenJson("a colon is missing", position)
    return name, _skip(text, position + 1)


def _find(text: str, position: int, key: str) -> int:
    """Return where the value of `key` begins in the object at `position`."""
    if text[position : position + 1] != "{":
        _value_end(text, position)
        raise NotThere(key)
    position = _skip(text, position + 1)
    while text[position : position + 1] == '"':
        name, position = _name(text, position)
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
            _, position = _name(text, _skip(text, position + 1))
            position = _skip(text, _value_end(text, position))
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
    as JSON lines, whatever its name. Where a document breaks, `Unreadable` holds how its rest begins.
    """
    return Opened(file, (), lambda _: _read_document(file, options))


def open_json_lines(file: Landed, options: Options) -> Opened:
    """Open JSON lines: one payload per line, whatever is in it; lines that aren't UTF-8 are rejected."""
    return Opened(file, (), lambda _: _read_lines(file, options))


def _read_document(file: Landed, options: Options) -> Iterator[Piece]:
    blocks = _decoded(utf8_blocks(file, options))
    window = Window("", lambda: next(blocks, ""), options.max_record_bytes)
    row, size = 1, 0
    batch: list[str] = []
    failure: BrokenJson | Unreadable | None = None
    try:
        for record in _records_of(window, simple_path(options.data_selector) or []):
            if size >= BATCH_BYTES:
                yield _payloads(file, batch, row)
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
        yield _payloads(file, batch, row)
    row += len(batch)
    if isinstance(failure, BrokenJson):
        rest = window.text[failure.start - window.base if row > 1 else 0 :]
        while len(rest) < PAYLOAD_LIMIT and (following := next(blocks, "")):
            rest += following
        rest = rest[:PAYLOAD_LIMIT].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        code = "record_too_large" if isinstance(failure, TooLong) else "json_broken"
        failure = Unreadable(code, f"from record {row} on, no JSON: {failure}", row, rest)
    if failure:
        raise failure


def _records_of(window: Window, path: list[str]) -> Iterator[str]:
    # an array at the top has no keys to look for
    is_array = window[window.find(_skip, 0)] == "["
    try:
        yield from records(window, [] if is_array else path)
    except NotThere:
        # one object that is the record itself
        yield from records(window, [])


def _payloads(file: Landed, texts: list[str], first: int) -> Piece:
    try:
        return Piece({PAYLOAD: pa.array(texts, TEXT)}, len(texts), first)
    except UnicodeEncodeError:
        found = pa.array([text.encode("utf-8", "surrogateescape") for text in texts], pa.binary())
        return _decodable(file, found, np.arange(first, first + len(texts)), "record")


def _decoded(blocks: Iterator[bytes]) -> Iterator[str]:
    # a byte that is not UTF-8 costs its record: it stands in a text, where it breaks nothing
    texts = codecs.iterdecode(blocks, "utf-8", "surrogateescape")
    return (text.replace("\0", REPLACEMENT) for text in texts)


def _decodable(file: Landed, found: pa.Array, numbers: np.ndarray, unit: str) -> Piece:
    """Return bytes as payloads, those that are not UTF-8 as rejected records."""
    lost = undecodable(found)
    detail = f"the {unit} is not UTF-8"
    rejected = (
        Rejected(file.key, int(numbers[i]), "undecodable_text", detail, escaped(found[i].as_py())) for i in lost
    )
    if lost:
        kept = np.delete(np.arange(len(found)), lost)
        return Piece({PAYLOAD: found.take(kept).view(TEXT)}, len(kept), pa.array(numbers[kept]), tuple(rejected))
    return Piece({PAYLOAD: found.view(TEXT)}, len(found), pa.array(numbers))


def _read_lines(file: Landed, options: Options) -> Iterator[Piece]:
    row, blocks = 1, utf8_blocks(file, options)
    first = next(blocks, b"")
    # beside a newline a return is white space
    end = b"\r" if b"\r" in first and NEWLINE not in first else NEWLINE
    for chunk in line_chunks(chain([first], blocks), options.max_record_bytes, end):
        if isinstance(chunk, LongLine):
            yield Piece(rejected=(too_large(file, row, options, escaped(chunk)),))
            row += 1
            continue
        found = pc.split_pattern(pa.array([chunk]), end).values
        found = found.slice(0, len(found) - chunk.endswith(end))
        numbers = np.arange(row, row + len(found))
        row += len(found)
        piece = _decodable(file, found, numbers, "line")
        lines, numbers = piece.columns[PAYLOAD], np.asarray(piece.rows)
        if b"\r" in chunk:
            lines = pc.utf8_rtrim(lines, characters="\r")
        # blank lines count, but are no records
        blank = np.asarray(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(lines)), 0))
        if blank.any():
            lines, numbers = lines.filter(~blank), numbers[~blank]
        yield Piece({PAYLOAD: lines}, len(lines), pa.array(numbers), piece.rejected)
