"""Figures and texts made fit for people: honest rounding, durations, inert text.

Nothing here knows about a run. Numbers come in as int, float or Decimal (or None), texts come in
as anything; both go out as `str` that is safe to show on a terminal or in a page.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from loaders.redact import redact

UNKNOWN = "unknown"
_MOST_DIGITS = 12
_OPERATORS = {">=": "≥", "<=": "≤", "==": "=", "!=": "≠"}

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[@-Z\\-_]?"
)
_ASCII = str.maketrans({
    "✓": "[ok]", "✗": "[x]", "⚠": "[!]", "≥": ">=", "≤": "<=", "≠": "!=", "→": "->", "…": "...",
    "·": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u00d7": "x", "\u00a0": " ",
    "\u202f": " ",
})  # fmt: skip


def number(value: Any) -> Decimal | None:
    """Return `value` as a Decimal, or None for what is not a finite number (bool included)."""
    if value is None or isinstance(value, bool):
        return None
    try:
        if isinstance(value, Fraction):
            return Decimal(value.numerator) / Decimal(value.denominator)
        # the shortest text of a float is what was meant; subclasses have a repr of their own
        text = float.__repr__(value) if isinstance(value, float) else str(value).strip()
        result = Decimal(text)
    except (InvalidOperation, ValueError):
        return None
    return result if result.is_finite() else None


def _sign(left: Decimal, right: Decimal) -> int:
    return (left > right) - (left < right)


def round_honestly(value: Decimal, limits: Iterable[Decimal], digits: int) -> Decimal:
    """Round to `digits` decimals, or to as many more as it takes to stay on the right side.

    The rounded figure is below, at or above each of `limits` exactly when `value` is: what
    missed a threshold by a hair never reads as if it had met it.
    """
    marks = tuple(limits)
    for places in range(digits, _MOST_DIGITS + 1):
        shown = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
        if all(_sign(shown, mark) == _sign(value, mark) for mark in marks):
            return shown
    return value


def _trimmed(value: Decimal) -> str:
    text = f"{value:,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def count(value: Any) -> str:
    """Format a number of things, as in "340,000"; "unknown" when there is none."""
    figure = number(value)
    if figure is None:
        return UNKNOWN
    return _trimmed(round_honestly(figure, (Decimal(0),), 0 if figure == int(figure) else 3))


def plural(value: Any, noun: str, nouns: str | None = None) -> str:
    """Format a number with its noun, as in "1 retry" or "340,000 records"."""
    return f"{count(value)} {noun if number(value) == 1 else nouns or noun + 's'}"


def listed(items: Sequence[str], most: int = 5) -> str:
    """Return things with commas, and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more:,} more" if more > 0 else "")


def decimals(value: Any, digits: int) -> str:
    """Format a number with exactly so many decimals (more where it would read 0)."""
    figure = number(value)
    if figure is None:
        return UNKNOWN
    return f"{round_honestly(figure, (Decimal(0),), digits):,f}"


def share(value: Any, *, against: Any = None, trim: bool = True) -> str:
    """Format a fraction as percent with two decimals, or more where rounding would mislead.

    Args:
        value: The fraction, 0 to 1.
        against: A threshold (fraction) that the shown figure must stay on the right side of.
        trim: Whether zeros at the end go; columns align better with them.
    """
    figure = number(value)
    if figure is None:
        return UNKNOWN
    limits = [Decimal(0), Decimal(100)]
    threshold = number(against)
    if threshold is not None:
        limits.append(threshold * 100)
    shown = round_honestly(figure * 100, limits, 2)
    return (_trimmed(shown) if trim else f"{shown:,f}") + "%"


def share_of(part: int, whole: int, *, bad: bool = False) -> str:
    """Format a part of a whole as percent with two decimals, never better than it is; "-" without a whole.

    A good share is rounded down and a bad one up, so that what is not met never looks met.
    """
    if not whole:
        return "-"
    hundredths = -(-part * 10_000 // whole) if bad else part * 10_000 // whole
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def points(value: Any, reference: Any) -> str:
    """Format how far a fraction lies from another in percentage points, as in "4.04 points"."""
    left, right = number(value), number(reference)
    if left is None or right is None:
        return UNKNOWN
    gap = abs(left - right) * 100
    return plural(round_honestly(gap, (Decimal(0),), 2).normalize(), "point")


def duration(seconds: Any, *, against: Any = None) -> str:
    """Format seconds as in "4.1 s", "42 s", "9 min 12 s" or "1 h 5 min".

    Args:
        seconds: The time in seconds.
        against: A limit in seconds that the shown figure must stay on the right side of.
    """
    figure = number(seconds)
    if figure is None:
        return UNKNOWN
    if figure < 0:
        return "-" + duration(-figure)
    limit = number(against)
    limits = [Decimal(0)] if limit is None else [Decimal(0), limit]
    if limit is None and figure >= 3600:
        figure = Decimal(int(figure / 60 + Decimal("0.5")) * 60)
    shown = round_honestly(figure, limits, 1 if figure < Decimal("9.95") else 0)
    whole_minutes, rest = divmod(shown, 60)
    hours, minutes = divmod(int(whole_minutes), 60)
    parts = [f"{hours:,} h" if hours else "", f"{minutes} min" if minutes else ""]
    parts.append(f"{_trimmed(rest)} s" if rest or not (hours or minutes) else "")
    return " ".join(part for part in parts if part)


def measure(value: Any, kind: str, *, against: Any = None) -> str:
    """Format a figure honestly rounded against a threshold.

    The kind is a metric's unit: "fraction", "s", "min", "MB", "GB", "cores" or "count".
    1,000 MB (10^6 bytes) and more read as GB (10^9 bytes).
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    figure, limit = number(value), number(against)
    if figure is None:
        return UNKNOWN if value is None else plain_text(value, 120)
    if kind == "fraction":
        return share(figure, against=limit)
    if kind in {"s", "min"}:
        factor = 60 if kind == "min" else 1
        return duration(figure * factor, against=None if limit is None else limit * factor)
    digits = 0 if kind == "MB" or figure == int(figure) else 2 if kind == "cores" else 3
    if kind == "GB" or (kind == "MB" and figure >= 1000):
        scale = 1 if kind == "GB" else 1000
        figure, limit = figure / scale, None if limit is None else limit / scale
        kind, digits = "GB", 2
    limits = [Decimal(0)] if limit is None else [Decimal(0), limit]
    text = _trimmed(round_honestly(figure, limits, digits))
    return text if kind == "count" else f"{text} {kind}"


def operator_sign(operator: Any) -> str:
    """Return the sign for an operator as people write it: ">=" becomes "≥"."""
    text = plain_text(operator or "", 8)
    return _OPERATORS.get(text, text)


def plain_text(value: Any, limit: int = 2_000, *, keep_indent: bool = False) -> str:
    """Return `value` as one line for a terminal: no control, no format characters, no secrets.

    Escape sequences go as a whole, line breaks and tabs become spaces, characters that reorder
    or hide text are dropped. What is longer than `limit` characters ends with "…".
    """
    text = "" if value is None else str(value)
    text = _ESCAPE_SEQUENCE.sub("", text[: limit + 1_000])
    kept = []
    for char in text:
        category = unicodedata.category(char)
        if category in {"Zl", "Zp"} or char in "\t\n\r\v\f\x85":
            kept.append(" ")
        elif category not in {"Cc", "Cf", "Cs"}:
            kept.append(char)
    clean = redact("".join(kept))
    clean = clean.rstrip() if keep_indent else clean.strip()
    return clean if len(clean) <= limit else clean[: max(limit - 1, 0)].rstrip() + "…"


def visible_text(value: Any) -> str:
    """Return `value` with every control or invisible character shown as a sign of itself.

    For showing data as it was received: a NUL reads "␀", a direction override "⟨U+202E⟩".
    """
    pieces = []
    for char in "" if value is None else str(value):
        code = ord(char)
        if char == " " or char.isprintable():
            pieces.append(char)
        elif code < 0x20 or code == 0x7F:
            pieces.append(chr(0x2421 if code == 0x7F else 0x2400 + code))
        elif unicodedata.category(char) in {"Zs", "Co", "Cn"}:
            pieces.append(char)
        else:
            pieces.append(f"⟨U+{code:04X}⟩")
    return "".join(pieces)


def encodable(text: str, encoding: str | None) -> str:
    r"""Return `text` so that a stream with this encoding takes it.

    On anything but UTF-8 our own signs become ASCII ("✓" reads "[ok]"), other characters that
    don't fit become escapes such as "\u4e2d".
    """
    if (encoding or "ascii").lower().replace("_", "-") in {"utf-8", "utf8"}:
        return text
    name = encoding or "ascii"
    return ascii_signs(text).encode(name, "backslashreplace").decode(name)


def ascii_signs(text: str) -> str:
    """Replace our own signs (marks, comparison signs, dashes) with ASCII ones."""
    return text.translate(_ASCII)
