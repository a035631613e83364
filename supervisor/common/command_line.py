"""The commands that are printed for people to run next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import date
from typing import Any

from supervisor.common.text import plain_text

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
    text = command({"date": day.isoformat() if day else "", "target": target}, words)
    return text if source_filter is None else f"{text} --source-filter {shlex.quote(source_filter)}"


def command(summary: Mapping[str, Any], words: str = "", *, dated: bool = True) -> str:
    """Return a command of this product for the run's day and target, ready to be pasted."""
    parts = [PROGRAM] + ([words] if words else [])
    date = plain_text(summary.get("date"), 20)
    if dated and date:
        parts.append(f"--date {shlex.quote(date)}")
    target = plain_text(summary.get("target"), 40)
    if target and target != _DEFAULT_TARGET:
        parts.append(f"--target {shlex.quote(target)}")
    return " ".join(parts)
