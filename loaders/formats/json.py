"""Cut JSON documents into records without changing a character of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_SPACE = re.compile(r"[ \t\r\n]*")
# numbers stay text: they are only skipped over, and huge ones must not fail
_scan = json.JSONDecoder(parse_int=str, parse_float=str).scan_once  # type: ignore[attr-defined]
_scan_string = json.decoder.scanstring  # type: ignore[attr-defined]


class BrokenJson(ValueError):
    """Raised where a document stops being JSON; `position` is the character offset."""

    def __init__(self, text: str, position: int) -> None:
        super().__init__(f"{text} at character {position}")
        self.position = position


class Trailing(BrokenJson):
    """Raised when a sound document is followed by something, such as a second document."""


class NotThere(LookupError):
    """Raised when a document is JSON but has nothing at the selector."""


def simple_path(selector: str | None) -> list[str] | None:
    """Return the keys of a plain dotted selector (`$`, `data`, `$.data.items`), else None."""
    if selector is None or selector.strip() in ("", "$"):
        return []
    keys = selector.strip().removeprefix("$.").split(".")
    return keys if all(re.fullmatch(r"[\w-]+", key) for key in keys) else None


def records(text: str, path: list[str]) -> Iterator[str]:
    """Yield each record's text at `path`, exactly as written: a list's elements, or one value.

    Numbers such as 2^70, 1.10 or NaN, key order, spacing and escapes stay as received.

    Raises:
        NotThere: When the document has no such path.
        BrokenJson: Where the document breaks, after the records before it were yielded; also
            when something follows the end of it.
    """
    start = _skip(text, 0)
    for key in path:
        start = _skip(text, _find(text, start, key))
    if text[start : start + 1] == "[":
        position = _skip(text, start + 1)
        if text[position : position + 1] == "]":
            end = position + 1
        else:
            while True:
                end = _value_end(text, position)
                yield text[position:end]
                position = _skip(text, end)
                mark = text[position : position + 1]
                if mark == "]":
                    end = position + 1
                    break
                if mark != ",":
                    raise BrokenJson("a comma or a closing bracket is missing", position)
                position = _skip(text, position + 1)
    else:
        end = _value_end(text, start)
        if text[start:end] != "null":
            yield text[start:end]
    _check_rest(text, end, len(path))


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


def _check_rest(text: str, end: int, depth: int) -> None:
    """Walk from the selected value to the end, so that a document cut short is noticed."""
    for _ in range(depth):
        position = _skip(text, end)
        while text[position : position + 1] == ",":
            position = _skip(text, position + 1)
            try:
                _, position = _scan_string(text, position + 1, True)
            except json.JSONDecodeError as error:
                raise BrokenJson(error.msg, error.pos) from error
            position = _skip(text, position)
            position = _skip(text, _value_end(text, _skip(text, position + 1)))
        if text[position : position + 1] != "}":
            raise BrokenJson("the document is cut short", position)
        end = position + 1
    if _skip(text, end) != len(text):
        raise Trailing("something follows the document", end)
