"""What one run was asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

ConsoleMode = Literal["auto", "live", "plain", "quiet"]

Sandbox = Callable[[date], AbstractContextManager[Sequence[str]]]


@dataclass(frozen=True)
class Settings:
    """The options of a run, checked.

    Attributes:
        date: The day to load.
        target: Target of profiles.yml.
        sources: Names of all configured sources.
        source_filter: The only source to collect; None for what is missing.
        force: Run a complete day again, and collect every source anew.
        project_dir: Where dbt_project.yml is.
        work_dir: Where runs/, reports/ and the warehouse file are.
        archive: Folder or s3:// URL for the raw data; empty for none.
        goal_path: The goal file.
        notes: Lines to show at the start, such as that the sandbox is used.
        options: Options that were given and that printed commands repeat, with their values.
    """

    date: date
    target: str
    sources: tuple[str, ...]
    source_filter: str | None
    force: bool
    project_dir: Path
    work_dir: Path
    archive: str
    goal_path: Path
    notes: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What the user asked for, as options of the command line.

    Attributes:
        sandbox: Called with the day when sources are about to be read; a context that yields lines for the user.
        sandbox_sources: Names of the sources that it will have when none are configured.
        options: Options that were given and that printed commands repeat, with their values.
    """

    project_dir: Path
    work_dir: Path
    date: date
    target: str
    source_filter: str | None
    force: bool
    archive: str
    goal_path: Path
    console_mode: ConsoleMode
    sandbox: Sandbox
    sandbox_sources: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def days_between(first: date, last: date) -> list[date]:
    """Return every day from the first to the last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
