"""What one try at a source is given, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from loaders.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


@dataclass(frozen=True)
class Stamp:
    """What every row of one load has in common."""

    load_date: date
    load_id: str
    loaded_at: datetime


class Deadline:
    """A point in time, in seconds from its creation, on a clock that never jumps."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left, never below zero."""
        return max(0.0, self._end - time.monotonic())

    def check(self, subject: str) -> None:
        """Raise a transient `Timeout` when nothing is left."""
        if self.remaining() <= 0:
            raise SourceError(
                f"Timeout, {subject}",
                code="Timeout",
                transient=True,
                detail=f"{subject}: not finished within {self.seconds:g} s",
            )


class Retry(Protocol):
    """Runs a step again while it fails for a passing reason (see `loaders.retry`)."""

    def __call__(self, step: Callable[[], T], within: Deadline | None = None) -> T:
        """Return the step's result, or raise its last `SourceError`; no wait passes `within`."""


@dataclass
class Attempt:
    """The surroundings of one try: the day, where bytes land, how long it may take.

    `memory` outlives the try: what a source keeps there, its next try finds again. `retry` is for
    sources that can repeat a single step, such as one page, instead of the whole. `max_columns` is what a table of the target
    holds, None when that has no bound.
    """

    stamp: Stamp
    landing: Path
    deadline: Deadline
    progress: Callable[[str], None]
    retry: Retry
    memory: dict[str, Any] = field(default_factory=dict)
    max_columns: int | None = None


@dataclass
class Extraction:
    """An opened source: the schema of each of its raw tables, and their rows to come.

    `detail` may be filled while the tables are read; it ends up in the `source_finished` event.
    `reference` names the tables that hold no records of the day.
    """

    schemas: dict[str, pa.Schema]
    tables: Iterator[tuple[str, pa.Table]]
    reference: frozenset[str] = frozenset()
    detail: dict[str, Any] = field(default_factory=dict)
