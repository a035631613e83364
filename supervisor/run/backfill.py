"""Several days, one after the other; complete ones are skipped, so the same command goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.outcome import PUBLISHED_CODES, Outcome
from supervisor.common.request import Request, days_between
from supervisor.run.outcome import Result

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


@dataclass(frozen=True)
class DayOutcome:
    """How a day of a backfill ended; "NOT RUN" when an earlier one stopped it. Without a run `summary` is None."""

    date: date
    status: str
    exit_code: int | None
    summary: Summary | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a rerun would find nothing to do; a limit that was missed takes nothing from the day."""
        return self.exit_code == 0 or self.status == Outcome.SUCCESS.status

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "date": self.date.isoformat(),
            "status": self.status,
            "exit_code": self.exit_code,
            "run_id": None if self.summary is None else self.summary.run_id,
            "published": None if self.summary is None else self.summary.published,
            "repair_command": None if self.summary is None else self.summary.repair_command,
        }


@dataclass(frozen=True)
class Backfill:
    """How a backfill ended.

    Attributes:
        options: Options that were given and that the next command repeats, with their values.
        keep_going: Whether it was to go on after a day that failed.
    """

    target: str
    outcomes: tuple[DayOutcome, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    keep_going: bool = False

    @property
    def exit_code(self) -> int:
        """The worst of the days."""
        return max(
            (one.exit_code for one in self.outcomes if one.exit_code is not None), key=Outcome.severity, default=0
        )

    @property
    def open_days(self) -> list[DayOutcome]:
        """The days that are not complete."""
        return [one for one in self.outcomes if not one.is_complete]

    @property
    def next_command(self) -> str | None:
        """The command that runs the open days and no other: complete ones between them are skipped. None without any."""
        if not self.open_days:
            return None
        words = f"--from {self.open_days[0].date} --to {self.open_days[-1].date}"
        words += " --keep-going" if self.keep_going else ""
        return command_line(None, self.target, words, options=self.options)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "target": self.target,
            "from": self.outcomes[0].date.isoformat(),
            "to": self.outcomes[-1].date.isoformat(),
            "exit_code": self.exit_code,
            "next_command": self.next_command,
            "days": [one.as_dict() for one in self.outcomes],
        }


def days_of(first: date, last: date) -> list[date]:
    """Return the days of a backfill.

    Raises:
        UsageError: The last is before the first.
    """
    if last < first:
        raise UsageError(f"--from {first} is after --to {last}. Try: --from {last} --to {first}")
    return days_between(first, last)


def run_backfill(
    request: Request, days: Sequence[date], *, keep_going: bool, run: Callable[[Request, str], Result]
) -> Backfill:
    """Run days in their order, the oldest first: an event that two of them deliver belongs to the first.

    Args:
        request: What is asked for of each day.
        days: In their order.
        keep_going: Whether it goes on after a day that was escalated or failed.
        run: Runs a day; told where it stands among the others, such as "Day 3 of 7: 2025-11-03".

    It goes on after a partial day. A day that was escalated or failed stops it, unless it shall keep going; a wrong
    command, a lock that another run holds and a signal stop it always: every other day would meet the same.
    """
    outcomes: list[DayOutcome] = []
    stopped = False
    for number, day in enumerate(days, start=1):
        if stopped:
            outcomes.append(DayOutcome(day, "NOT RUN", None))
            continue
        result = run(replace(request, date=day), f"Day {number} of {len(days)}: {day}")
        status = (
            result.summary.status if result.summary else (Outcome.of_code(result.exit_code) or Outcome.FAILED).status
        )
        outcomes.append(DayOutcome(day, status, result.exit_code, result.summary))
        severity, failed = Outcome.severity(result.exit_code), Outcome.severity(Outcome.FAILED.exit_code)
        unpublished = result.exit_code not in PUBLISHED_CODES
        stopped = severity > failed or (unpublished and not keep_going)
    return Backfill(request.target, tuple(outcomes), request.options, keep_going)
