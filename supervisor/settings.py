"""What one run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path


class UsageError(Exception):
    """Raised for what the user must correct before anything can run; says what, its value and the next command."""


@dataclass(frozen=True)
class Settings:
    """The options of a run, checked.

    Attributes:
        date: The day to load.
        target: Target of profiles.yml: duckdb or postgres.
        sources: Names of all configured sources.
        source_filter: The only source to collect; None for what is missing.
        force: Run a complete day again, and collect every source anew.
        project_dir: Where dbt_project.yml is.
        work_dir: Where runs/, reports/ and the warehouse file are.
        archive: Folder or s3:// URL for the raw data; empty for none.
        goal_path: The goal file.
        notes: Lines to show at the start, such as that the sandbox is used.
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
    sandboxed: bool = False
