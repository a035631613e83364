"""How a command can end: one table, from which the help, the docs, alerts, `status`, `explain` and the report read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Literal, Self

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
        meaning: Line of the exit code in the help; lines of one code are joined.
        headline: Closing words of a run.
        told: What came of the day, in the words of `explain`.
        verdict: First words of the report.
        answer: What the report says to whoever wants to use the day's numbers.
    """

    status: str
    exit_code: int
    is_published: bool
    mark: Mark
    meaning: str
    headline: str
    told: str
    verdict: str
    answer: str

    @property
    def sign(self) -> str:
        """The sign of its mark."""
        return _SIGNS[self.mark]

    @property
    def colour(self) -> str:
        """The colour of its mark, as rich calls it."""
        return _COLOURS[self.mark]

    @property
    def is_good(self) -> bool:
        """Whether nobody needs to look."""
        return self.exit_code == 0

    @property
    def incident(self) -> str:
        """What an alert calls a day that ended so; "" where nobody needs to know."""
        return "" if self.is_good else "partial" if self.is_published else self.status.lower()


_SIGNS: dict[Mark, str] = {"ok": "✓", "warning": "⚠", "failed": "✗"}
_COLOURS: dict[Mark, str] = {"ok": "green", "warning": "yellow", "failed": "red"}
_UNCHANGED = "There are no new numbers. What was published before this run is unchanged."


@unique
class Outcome(Row, Enum):
    """Every way in which a command ends, the worst last: a backfill ends as its worst day."""

    SUCCESS = (
        *("SUCCESS", 0, True, "ok", "goal met", "SUCCESS", "the day was published"),
        *("Published, goal met", "You can use this day's numbers."),
    )
    NOTHING_TO_DO = (
        *("NOTHING_TO_DO", 0, True, "ok", "nothing to do", "NOTHING TO DO", "the day was complete before"),
        *("Nothing to do", "Nothing had to be done: this day is complete."),
    )
    PARTIAL = (
        *("PARTIAL", 3, True, "warning", "published, but partial: a source is missing or incomplete"),
        *("PARTIAL SUCCESS", "the day was published, and a source is missing or incomplete"),
        *("Published in part", "Use this day's numbers with care: they are incomplete."),
    )
    LIMIT_MISSED = (
        *("SUCCESS", 3, True, "warning", "a limit was missed"),
        *("PUBLISHED, goal not met in full", "the day was published, and a limit was missed"),
        *("Published, goal not met in full", "The numbers are published; read first what was not met."),
    )
    ESCALATED = (
        *("ESCALATED", 4, False, "failed", "escalated: nothing was published"),
        *("ESCALATED", "nothing was published", "Not published, escalated", _UNCHANGED),
    )
    FAILED = (
        *("FAILED", 1, False, "failed", "unexpected error"),
        *("FAILED", "it broke off", "Not published, failed", _UNCHANGED),
    )
    LOCKED = (
        *("LOCKED", 5, False, "failed", "another run holds the lock"),
        *("LOCKED", "another run holds the lock", "Not run, another run holds the lock", _UNCHANGED),
    )
    USAGE = (
        *("USAGE", 2, False, "failed", "usage or configuration"),
        *("USAGE", "the command can't be run", "Not run, usage", _UNCHANGED),
    )

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


PUBLISHED_CODES = frozenset(one.exit_code for one in Outcome if one.is_published)
PUBLISHED_STATUSES = tuple(
    dict.fromkeys(one.status for one in Outcome if one.is_published and one is not Outcome.NOTHING_TO_DO)
)
"""Statuses of a run that has published its day."""


def exit_code_lines() -> list[tuple[int, str]]:
    """Return each exit code with its meaning, in the order of the codes."""
    meanings: dict[int, list[str]] = {}
    for one in Outcome:
        meanings.setdefault(one.exit_code, []).append(one.meaning)
    return [(code, ", or ".join(said)) for code, said in sorted(meanings.items())]
