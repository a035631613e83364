"""Templates with the load date in them, such as `raw/{date:%Y/%m/%d}/`."""

from __future__ import annotations

import string
from datetime import date

from loaders.errors import ConfigurationError


def check_template(template: str, where: str) -> str:
    """Return `template` when it uses nothing but `{date}` or `{date:<strftime format>}`.

    Attribute access, indexing, conversions and nested fields are refused: a template is data,
    not code.

    Raises:
        ConfigurationError: Naming `where` and the part that is refused.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(
            f"{where}: bad template {template!r} ({error}). Write a literal brace twice: {{{{ }}}}."
        ) from error
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if field != "date" or conversion or "{" in (spec or ""):
            raise ConfigurationError(
                f"{where}: bad template {template!r}: {{{field}}} is not known. Only {{date}} "
                "with a strftime format is, for example {date:%Y/%m/%d}."
            )
        if spec and "%" not in spec:
            raise ConfigurationError(
                f"{where}: bad template {template!r}: {spec!r} is not a strftime format. "
                "Use for example {date:%Y-%m-%d}."
            )
    return template


def fill_template(template: str, day: date) -> str:
    """Return `template` with the day in it; check it first with `check_template`."""
    return template.format(date=day)
