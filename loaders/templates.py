"""Templates with the load date in them, such as `raw/{date:%Y/%m/%d}/`."""

from __future__ import annotations

import string
from datetime import date


def check_template(template: str) -> str:
    """Return `template` when it uses nothing but `{date}` or `{date:<strftime format>}`.

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
        if field != "date" or conversion or "{" in (spec or ""):
            raise ValueError(
                f"{bad} {{{field}}} is not known. Only {{date}} with a strftime format is, for example {{date:%Y/%m/%d}}."
            )
        if spec and "%" not in spec:
            raise ValueError(f"{bad} {spec!r} is not a strftime format. Use for example {{date:%Y-%m-%d}}.")
    return template


def fill_template(template: str, day: date) -> str:
    """Return `template` with the day in it; check it first with `check_template`."""
    return template.format(date=day)
