"""The commands that are printed for people to run next: this is the only place that writes one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

PROGRAM = "python orchestrate.py"
DEFAULT_TARGET = "duckdb"
REPEATED = {"--goal": ("", "replay", "plan"), "--archive": ("", "prune")}
"""Options that a printed command repeats when they were given, and the commands that take them; "" is the main one."""
_NONE: Mapping[str, str] = MappingProxyType({})


def command_line(
    day: date | str | None,
    target: str,
    words: str = "",
    *,
    source_filter: str | None = None,
    options: Mapping[str, str] = _NONE,
) -> str:
    """Return a command for a day and a target, ready to be pasted.

    Args:
        day: Left out where the command needs none.
        target: Named unless it is the default.
        words: Subcommand with its arguments; none for the main command.
        source_filter: Only this source is collected.
        options: Those of `REPEATED` that the run was given, with their values.
    """
    parts = [PROGRAM, *([words] if words else [])]
    if day:
        parts.append(f"--date {shlex.quote(str(day))}")
    if target and target != DEFAULT_TARGET:
        parts.append(f"--target {shlex.quote(target)}")
    name = "" if words.startswith("-") else words.partition(" ")[0]
    parts += [
        f"{option} {shlex.quote(options[option])}"
        for option in REPEATED
        if option in options and name in REPEATED[option]
    ]
    if source_filter is not None:
        parts.append(f"--source-filter {shlex.quote(source_filter)}")
    return " ".join(parts)
