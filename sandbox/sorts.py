"""The sorts of malformed, missing and untidy values: how each one is written.

A sort turns the clean text of some records' field into what the source really sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Text: TypeAlias = pa.StringArray
"""A pyarrow string array; null means that the value is missing."""


@dataclass(frozen=True, slots=True)
class Sort:
    """One way to write a value.

    Attributes:
        make: From the clean text of some records to what is written instead.
        literal: In JSON: written as it is, not as a string.
        absent: In JSON: the key is left out.
    """

    make: Callable[[Text], Text]
    literal: bool = False
    absent: bool = False


def _is(value: str | None, literal: bool = False) -> Sort:
    return Sort(lambda text: pa.repeat(pa.scalar(value, pa.string()), len(text)), literal)


def _around(before: str, after: str = "") -> Sort:
    return Sort(lambda text: join(before, text, after))


def _swap(pattern: str, replacement: str) -> Sort:
    return Sort(lambda text: pc.replace_substring_regex(text, pattern, replacement))


def _via(function: Callable[[Text], Text], literal: bool = False) -> Sort:
    return Sort(function, literal)


def join(*parts: Any, separator: str = "") -> Text:
    """Concatenate strings and string arrays row by row."""
    return pc.binary_join_element_wise(*parts, separator)


def _shift(distance: int) -> Callable[[Text], Text]:
    return lambda text: pc.cast(pc.add(pc.cast(text, pa.int64()), distance), pa.string())


MISSING = (
    _is(None),
    _is(""),
    _is("   "),
    Sort(_is(None).make, absent=True),
    _is(" \t"),
)

UNPARSABLE: Mapping[str, tuple[Sort, ...]] = {
    "user_id": (
        _around("u-"),
        _around("", ".5"),
        _around("0x"),
        _is("1,234,567"),
        _is("NaN"),
        _around("--"),
        _is("12_345"),
        _is("12 345"),
        _is("null"),
        _around("", "e3"),
        _is("9223372036854775808000"),
        _is("\uff11\uff12\uff13\uff14\uff15"),  # full-width digits
    ),
    "event_time": (
        _swap(r"^(\d{4})-\d\d-\d\d", r"\1-02-30"),
        _swap(r"^(\d{4})-\d\d-\d\d", r"\1-13-01"),
        _swap(r"^(.{10})(.)\d\d", r"\1\225"),
        _swap(r"^(\d{4})-(\d\d)-(\d\d).(.{5}).*$", r"\3/\2/\1 \4"),
        _is("1763287200"),
        _is("1763287200000"),
        _is("now"),
        _is("yesterday"),
        _is("infinity"),
        _is("0000-00-00 00:00:00"),
        _swap(r"^(.{14})\d\d", r"\175"),
        _swap(r"^(.{19}).*$", r"\1 Europe/Berlin"),
        _is("Nov 16, 2025 10:15 AM"),
        _is("not a date"),
    ),
    "amount": (
        _around("$"),
        _around("", " USD"),
        _is("1,234.50"),
        _swap(r"\.", ","),
        _swap(r"^[+-]?(.*)$", r"(\1)"),
        _is("NaN"),
        _is("Infinity"),
        _is("1.2e3"),
        _around("--"),
        _is("12.3.4"),
        _is("1_000.00"),
        _is("0x1F"),
        _around("", "7"),
        _is("forty-two"),
        _is("1234567890123456.00"),
        _is("\u20ac12.00"),
    ),
    "quantity": (
        _is("two"),
        _is("1.5"),
        _around("", " pcs"),
        _is("1e2"),
        _is("0x2"),
        _is("2-3"),
        _is("1,000"),
        _is("99999999999999999999"),
        _is("\u00bd"),
    ),
}

# what only a JSON document can hold in place of a text
JSON_UNPARSABLE: Mapping[str, tuple[Sort, ...]] = {
    "user_id": (_is("true", literal=True), _is("12.5", literal=True)),
    "event_time": (_is("1763287200", literal=True),),
    "amount": (_is("false", literal=True),),
    "quantity": (_is("1.5", literal=True), _is("true", literal=True)),
}
NESTED_UNPARSABLE: Mapping[str, tuple[Sort, ...]] = {
    "amount": (
        _is('{"value":45.00}', literal=True),
        _is("[45.00]", literal=True),
    ),
}

UNKNOWN_TYPES = tuple(
    _is(text)
    for text in (
        "purchse",
        "login",
        "chargeback",
        "test",
        "refunds",
        "de posit",
        "0",
        "\u043fokupka",
    )
)

ORPHANS = (
    _via(_shift(3), literal=True),
    _via(_shift(-1)),
    _around("-"),
    _is("0"),
    _is("999999999999999999"),
)

BROKEN_PAYLOADS = (
    _via(lambda text: pc.utf8_slice_codeunits(text, 0, 40)),
    _via(lambda text: pc.utf8_slice_codeunits(text, 0, -1)),
    _around("[", "]"),
    _is("ERROR: upstream timed out after 30 s"),
    _is(""),
    _is(None),
    _is("null"),
    _is("42"),
    _is('"purchase"'),
    _via(lambda text: pc.replace_substring(text, '"', "'")),
    _around("", "}}"),
    _via(lambda text: join("event=", text)),
)

_SPACES = (_around(" "), _around("", " "), _around("  ", " "), _around("\t"), _around("", "\r\n"))
_CASES = (_via(pc.utf8_upper), _via(pc.utf8_lower), _via(pc.utf8_title), _via(pc.utf8_swapcase))

NOISE: Mapping[str, tuple[Sort, ...]] = {
    "event_id": (*_SPACES, _via(pc.utf8_upper), _via(pc.utf8_title)),
    "user_id": (*_SPACES, _around("+"), _around("00")),
    "event_type": (*_SPACES, *_CASES, _via(lambda text: join(" ", pc.utf8_upper(text), " "))),
    "event_time": _SPACES,
    "amount": (*_SPACES, _around("", "0"), _around("", "000")),
    "quantity": (*_SPACES, _around("+"), _around("0")),
    "currency": (*_SPACES, *_CASES),
    "country": (*_SPACES, *_CASES),
    "device": (*_SPACES, *_CASES),
}
