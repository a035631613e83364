"""How a command can end: one table, from which the help, the docs, alerts, `status`, `explain` and the report read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, Literal, Self

Mark = Literal["ok", "warning", "failed"]
SIGNAL_CODE = 128
"""What a shell adds to the number of the signal that ended a program."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        status: Word in `summary.json` and in the ledger.
        exit_code: Of the process.
        is_published: Whether the day is in the published tables.
        mark: How it is shown: fine, worth a look, bad.
        headline: Closing words of a run.
        told: What came of the day, for people.
        meaning: Line of the exit code in the help; lines of one code are joined.
    """

    status: str
    exit_code: int
    is_published: bool
    mark: Mark
    headline: str
    told: str
    meaning: str


@unique
class Outcome(Row, Enum):
    """Every way in which a command ends, the worst last: a backfill ends as its worst day."""

    SUCCESS = "SUCCESS", 0, True, "ok", "SUCCESS", "the day was published", "goal met"
    NOTHING_TO_DO = "NOTHING_TO_DO", 0, True, "ok", "NOTHING TO DO", "the day was complete before", "nothing to do"
    PARTIAL = (
        *("PARTIAL", 3, True, "warning", "PARTIAL SUCCESS", "the day was published without a source"),
        "published, but partial: a source is missing",
    )
    LIMIT_MISSED = (
        *("SUCCESS", 3, True, "warning", "SUCCESS", "the day was published, and a limit was missed"),
        "a limit was missed",
    )
    ESCALATED = (
        *("ESCALATED", 4, False, "failed", "ESCALATED", "nothing was published"),
        "escalated: nothing was published",
    )
    FAILED = "FAILED", 1, False, "failed", "FAILED", "it broke off", "unexpected error"
    LOCKED = "LOCKED", 5, False, "failed", "LOCKED", "another run holds the lock", "another run holds the lock"
    USAGE = "USAGE", 2, False, "failed", "USAGE", "the command can't be run", "usage or configuration"

    @classmethod
    def of(cls, status: str, exit_code: int | None = None) -> Self:
        """Return the outcome of a status, and of its exit code where one status has several.

        A run that a signal stopped has a code of its own; its status decides.
        """
        rows = [one for one in cls if one.status == status]
        return next((one for one in rows if one.exit_code == exit_code), rows[0] if rows else cls["FAILED"])

    @classmethod
    def of_code(cls, exit_code: int) -> Self | None:
        """Return the first outcome with an exit code; None for a code of no outcome, such as that of a signal."""
        return next((one for one in cls if one.exit_code == exit_code), None)

    @classmethod
    def severity(cls, exit_code: int) -> int:
        """Return how bad an exit code is, higher for worse; a signal's is the worst of all."""
        return next((place for place, one in enumerate(cls) if one.exit_code == exit_code), len(cls))

    @property
    def is_good(self) -> bool:
        """Whether nobody needs to look."""
        return self.exit_code == 0


PUBLISHED_CODES = frozenset(one.exit_code for one in Outcome if one.is_published)
PUBLISHED_STATUSES = tuple(
    dict.fromkeys(one.status for one in Outcome if one.is_published and one is not Outcome.NOTHING_TO_DO)
)
"""Statuses of a run that has published its day."""


def exit_code_lines(outcomes: Iterable[Any] = Outcome) -> list[tuple[int, str]]:
    """Return each exit code with its meaning, in the order of the codes."""
    meanings: dict[int, list[str]] = {}
    for one in outcomes:
        meanings.setdefault(one.exit_code, []).append(one.meaning)
    return [(code, ", or ".join(said)) for code, said in sorted(meanings.items())]
