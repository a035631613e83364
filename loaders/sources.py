"""What every source can do, whatever its kind."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import ClassVar, Protocol

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.kinds.checks import CHECK_TIMEOUT_S, Check


class Source(Protocol):
    """A configured source; its class in `loaders.kinds` says how its kind does these things.

    Attributes:
        kind: Word of the configuration.
        nothing_came: What is said when it delivered nothing, such as "no rows".
        allow_empty: Whether a day without records is a day.
    """

    kind: ClassVar[str]
    nothing_came: ClassVar[str]

    @property
    def title(self) -> str:
        """What people call the kind, such as "PostgreSQL"."""

    @property
    def place(self) -> str:
        """What people call a location of the kind, such as "Bucket"."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """Modules that it reads with; they are imported before its thread starts."""

    @property
    def name(self) -> str:
        """Name in the configuration; the raw schema is `raw_<name>`."""

    @property
    def allow_empty(self) -> bool:
        """Whether a day without records is a day."""

    def location(self, day: date) -> str:
        """Where the source's day is, for people: prefix, tables or the first page's URL."""

    def subject(self, day: date) -> str:
        """What is asked for the day, for errors that don't say so themselves."""

    def fallback(self) -> tuple[str, Source] | None:
        """The address to ask once when the first is down, and the source there; None without one."""

    def references(self) -> Source | None:
        """The source with its reference tables only; None when it has none.

        That it holds no records of the day is what was asked for, and no failure.
        """

    def reference_tables(self) -> tuple[str, ...]:
        """Names of its reference tables."""

    def open(self, attempt: Attempt) -> Extraction:
        """Ask for the day, and return how to read it.

        Raises:
            SourceError: When the day can't be had.
        """

    def check(self, day: date, deadline: Deadline) -> list[Check]:
        """Try the source without loading anything; later steps are left out when an earlier one fails."""


def references_of(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Return the sources with their reference tables only; those that have none are left out."""
    return tuple(found for source in sources if (found := source.references()) is not None)


def check_source(source: Source, day: date, timeout_s: float = CHECK_TIMEOUT_S) -> list[Check]:
    """Try a source without loading anything.

    Args:
        source: Any configured source.
        day: The day whose data should be there.
        timeout_s: Seconds for all steps together.

    Returns:
        Checks named `reach`, `list`, `read` and `day`, as far as they apply to the kind.
    """
    return source.check(day, Deadline(timeout_s))
