"""The Context lines of the goal file: facts about the job, some of which the plan uses.

A fact is informational: it is shown and planned with, never checked. Its key is one of a few
known ones, so that a typo can't hide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from supervisor.goal.grammar import Refusal, nearest

_FORMS = {
    "Frequency": '"Daily (automated at 2 AM)", "Weekdays at 06:30", "Weekly on Monday at 2 AM" '
                 'or "cron 0 2 * * *"',
    "Priority": '"Low", "Medium", "High" or "Critical", with a comment in parentheses or none',
    "Scale": '"Medium (100K-1M records per source)" or "100K-1M records per source"',
    "Sources": '"3" or "3 (S3, PostgreSQL, REST API)"',
    "Owner": "a name",
    "Contact": "a name or an address",
}  # fmt: skip
_KEYS = {**{key.lower(): key for key in _FORMS}, "schedule": "Frequency"}

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_WHEN = re.compile(
    rf"(?P<how>daily|weekdays|weekly on (?P<day>{'|'.join(_DAYS)}))\s+"
    r"(?:\((?:automated |runs )?at (?P<inside>[^()]+)\)|at (?P<plain>[^()]+))",
    re.I,
)
_TIME = re.compile(r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2}))?\s*(?P<half>am|pm)?", re.I)
_CRON = re.compile(r"cron((?:\s+\S+){5})", re.I)
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([1-9][0-9]?))?")
_PRIORITY = re.compile(r"(?:low|medium|high|critical)(?:\s+\([^()]+\))?", re.I)
_SCALE = re.compile(r"(?:small|medium|large)\s+\((?P<inside>[^()]+)\)|(?P<plain>[^()]+)", re.I)
_COUNT = r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([KkM])?"
_RANGE = re.compile(rf"{_COUNT}\s*(?:-|\u2013|to)\s*{_COUNT}\s+records per source")
_SOURCES = re.compile(r"([0-9]{1,4})(?:\s+\(([^()]+)\))?")


@dataclass(frozen=True, slots=True)
class ContextFact:
    """One line of Context, with what it means for the plan.

    Attributes:
        key: "Frequency", "Priority", "Scale", "Sources", "Owner" or "Contact".
        value: As written.
        schedule: Five-field cron expression, from Frequency.
        sources: Number of sources, from Sources.
        source_names: Their names, when they are given.
        scale: Fewest and most records per source and day, from Scale.
    """

    key: str
    value: str
    schedule: str | None = None
    sources: int | None = None
    source_names: tuple[str, ...] = ()
    scale: tuple[int, int] | None = None


def _refusal(key: str, value: str, why: str = "") -> Refusal:
    return Refusal(f'{key} can\'t be "{value}"{why and ": "}{why}; write {_FORMS[key]}')


def _cron(value: str, fields: list[str]) -> str:
    for field, (low, high) in zip(fields, _CRON_RANGES, strict=True):
        for part in field.split(","):
            found = _CRON_PART.fullmatch(part)
            numbers = [int(text) for text in found.groups()[:2] if text] if found else [-1]
            if numbers != sorted(numbers) or not all(low <= item <= high for item in numbers):
                raise _refusal("Frequency", value, f'"{part}" is no cron field of {low} to {high}')
    return " ".join(fields)


def _schedule(value: str) -> str:
    if found := _CRON.fullmatch(value):
        return _cron(value, found[1].split())
    when = _WHEN.fullmatch(value)
    if not when:
        raise _refusal("Frequency", value)
    time = _TIME.fullmatch((when["inside"] or when["plain"]).strip())
    if not time or not (time["half"] or time["minute"]):
        raise _refusal("Frequency", value, "the time of day is missing or unclear")
    hour, minute, half = int(time["hour"]), int(time["minute"] or 0), (time["half"] or "").lower()
    if minute > 59 or hour > 23 or (half and not 1 <= hour <= 12):
        raise _refusal("Frequency", value, "there is no such time of day")
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    how = when["how"].lower()
    weekday = {"daily": "*", "weekdays": "1-5"}.get(how) or str(_DAYS.index(when["day"].lower()))
    return f"{minute} {hour} * * {weekday}"


def _scale(value: str) -> tuple[int, int]:
    outer = _SCALE.fullmatch(value)
    found = _RANGE.fullmatch((outer["inside"] or outer["plain"]).strip()) if outer else None
    if not found:
        raise _refusal("Scale", value)
    low_text, low_unit, high_text, high_unit = found.groups()
    factors = {"K": 10**3, "k": 10**3, "M": 10**6}
    low = Fraction(low_text.replace(",", "")) * factors.get(low_unit, 1)
    high = Fraction(high_text.replace(",", "")) * factors.get(high_unit, 1)
    if high_unit and not low_unit and 0 < low < 1_000:
        raise _refusal("Scale", value, f"is the lower end {low_text} or {low_text}{high_unit}")
    if low > high or low.denominator != 1 or high.denominator != 1:
        raise _refusal("Scale", value, "the range is no range of whole numbers")
    return int(low), int(high)


def _sources(value: str) -> tuple[int, tuple[str, ...]]:
    found = _SOURCES.fullmatch(value)
    if not found or int(found[1]) < 1:
        raise _refusal("Sources", value)
    names = tuple(name.strip() for name in found[2].split(",")) if found[2] else ()
    if names and (len(names) != int(found[1]) or len(set(names)) != len(names) or "" in names):
        raise _refusal("Sources", value, f"{found[1]} announced, {len(set(names))} named")
    return int(found[1]), names


def compile_fact(text: str) -> ContextFact:
    """Compile a line of Context ("Key: value").

    Raises:
        Refusal: The key is unknown, or the value has none of its accepted forms.
    """
    head, colon, tail = text.partition(":")
    value = tail.strip()
    key = _KEYS.get(head.strip().lower())
    if not colon or key is None:
        hit = nearest(head.strip(), _KEYS)
        near = f'; the nearest is "{_KEYS[hit]}: ..."' if hit else ""
        raise Refusal(f'"{head.strip()}" is no fact that Context knows{near}; '
                      f'it knows {", ".join(_FORMS)}')  # fmt: skip
    if not value:
        raise _refusal(key, value)
    if key == "Frequency":
        return ContextFact(key, value, schedule=_schedule(value))
    if key == "Scale":
        return ContextFact(key, value, scale=_scale(value))
    if key == "Sources":
        count, names = _sources(value)
        return ContextFact(key, value, sources=count, source_names=names)
    if key == "Priority" and not _PRIORITY.fullmatch(value):
        raise _refusal(key, value)
    return ContextFact(key, value)
