"""The commands that are printed for people to run next."""

from __future__ import annotations

import shlex
from datetime import date

PROGRAM = "python orchestrate.py"
_DEFAULT_TARGET = "duckdb"


def command_line(day: date | None, target: str, words: str = "", *, source_filter: str | None = None) -> str:
    """Return a command for a day and a target, ready to be pasted.

    Args:
        day: Left out where the command needs none.
        target: Named unless it is the default.
        words: Subcommand with its arguments; none for the main command.
        source_filter: Only this source is collected.
    """
    parts = [PROGRAM, words, f"--date {day}" if day else ""]
    parts.append("" if target == _DEFAULT_TARGET else f"--target {shlex.quote(target)}")
    parts.append("" if source_filter is None else f"--source-filter {shlex.quote(source_filter)}")
    return " ".join(part for part in parts if part)
