"""Templates with the day in them, such as `raw/{date:%Y/%m/%d}/`."""

from __future__ import annotations

import string
from datetime import date, timedelta

FIELDS = ("date", "start", "end")
"""The day that is loaded, the first day of its window, and the day after it."""


def check_template(template: str) -> str:
    """Return `template` when it uses nothing but `FIELDS`, each plain or with a strftime format.

    Attribute access, indexing, conversions and nested fields are refused: a template is data, not code.

    Raises:
        ValueError: Naming the part that is refused.
    """
    bad = f"= {template!r} is a bad template:"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{bad} {error}. Write a literal brace twice: {{{{ }}}}.") from error
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS or conversion or "{" in (spec or ""):
            raise ValueError(
                f"{bad} {{{field}}} is not known. Only {{date}}, {{start}} and {{end}} with a strftime format are, "
                "for example {date:%Y/%m/%d}."
            )
        if spec and "%" not in spec:
            raise ValueError(f"{bad} {spec!r} is not a strftime format. Use for example {{date:%Y-%m-%d}}.")
    return template


def fill_template(template: str, day: date, late_days: int = 0) -> str:
    """Return `template` with the days in it; check it first with `check_template`.

    Args:
        template: What is filled in.
        day: The day that is loaded: `{date}`.
        late_days: How many days before it its window begins, at `{start}`.
    """
    # the last day of the calendar has none after it
    end = day if day == date.max else day + timedelta(days=1)
    return template.format(date=day, start=day - timedelta(days=late_days), end=end)
