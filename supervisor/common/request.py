"""What one run is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

Sandbox = Callable[[date], AbstractContextManager[Sequence[str]]]


@dataclass(frozen=True)
class Request:
    """What the user asked for, and what is known of the sources once they can be asked.

    Attributes:
        date: The day to load.
        target: Target of profiles.yml.
        source_filter: The only source to collect; None for what is missing.
        force: Run a complete day again, and collect every source anew.
        project_dir: Where dbt_project.yml is.
        work_dir: Where runs/, reports/ and the warehouse file are.
        archive: Folder or s3:// URL for the raw data; empty for none.
        goal_path: The goal file.
        sandbox: Called with the day when sources are about to be read; a context that yields lines for the user.
        sources: Names of all configured sources, or of a replay's, once they are known.
        sandbox_sources: Names of the sources that the sandbox will have when none are configured.
        options: Options that were given and that printed commands repeat, with their values.
        notes: Lines to show at the start, such as that the sandbox is used.
    """

    project_dir: Path
    work_dir: Path
    date: date
    target: str
    source_filter: str | None
    force: bool
    archive: str
    goal_path: Path
    sandbox: Sandbox
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sandbox_sources: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def days_between(first: date, last: date) -> list[date]:
    """Return every day from the first to the last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]
