"""The commands that are printed for people to run next."""

from __future__ import annotations

import shlex
from datetime import date

from supervisor.summary_facts import command


def command_line(day: date | None, target: str, words: str = "", *, source_filter: str | None = None) -> str:
    """Return a command for a day and a target, ready to be pasted.

    Args:
        day: Left out where the command needs none.
        target: Named unless it is the default.
        words: Subcommand with its arguments; none for the main command.
        source_filter: Only this source is collected.
    """
    text = command({"date": day.isoformat() if day else "", "target": target}, words)
    return text if source_filter is None else f"{text} --source-filter {shlex.quote(source_filter)}"
