"""What a run hands to others: it knows what it needs of them and not who they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from supervisor.record.events import Emit
from supervisor.warehouse.base import Session, Warehouse

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


class Reports(Protocol):
    """Whoever writes the report of a run."""

    def write(self, path: Path, summary: Summary, warehouse: Warehouse | None, *, published: bool) -> None:
        """Write a run's report.

        Args:
            path: The page.
            summary: The content of its `summary.json`.
            warehouse: Where the rows behind the figures are; None for a report without them.
            published: Whether the day was published; otherwise dbt's views hold it.

        Raises:
            OSError: It can't be written.
        """

    def write_again(self, session: Session, run: Summary, path: Path) -> str:
        """Write an earlier run's report; returns what it lacks, "" when it is whole."""


Notify = Callable[["Summary"], dict[str, Any] | None]
"""Alerts people, from the content of `summary.json`, if they don't know yet; returns what is kept of it, None for nothing."""


@dataclass(frozen=True)
class Outlets:
    """Where everything goes that leaves a run.

    Attributes:
        emit: Takes an event to whoever listens.
        reports: Writes the report.
        notify: Tells people of an incident.
    """

    emit: Emit
    reports: Reports
    notify: Notify
