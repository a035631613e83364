"""Several days, one after the other; complete ones are skipped, so the same command goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.request import Request, days_between
from supervisor.common.text import count, plural
from supervisor.run.command import run_command
from supervisor.run.outcome import EXIT_LOCKED, EXIT_USAGE, Result
from supervisor.show.terminal import Column, Terminal

# the exit codes of a day, the worst last; what is wrong with the command itself is worse than any day
_SEVERITY = (0, 3, 4, 1, EXIT_LOCKED, EXIT_USAGE)
_STATUS_OF_CODE = {1: "FAILED", 4: "ESCALATED", EXIT_LOCKED: "LOCKED", EXIT_USAGE: "USAGE"}
_STYLES = {"SUCCESS": "green", "NOTHING_TO_DO": "green", "PARTIAL": "yellow", "NOT RUN": "dim"}


def _severity(exit_code: int) -> int:
    # a signal ends everything
    return _SEVERITY.index(exit_code) if exit_code in _SEVERITY else len(_SEVERITY)


@dataclass(frozen=True)
class DayOutcome:
    """How a day of a backfill ended; "NOT RUN" when an earlier one stopped it. Without a run `summary` is None."""

    date: date
    status: str
    exit_code: int | None
    summary: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "date": self.date.isoformat(),
            "status": self.status,
            "exit_code": self.exit_code,
            "run_id": None if self.summary is None else self.summary["run_id"],
            "published": None if self.summary is None else self.summary["published"],
            "repair_command": None if self.summary is None else self.summary["repair_command"],
        }


@dataclass(frozen=True)
class Backfill:
    """How a backfill ended."""

    target: str
    outcomes: tuple[DayOutcome, ...]
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The worst of the days."""
        return max((one.exit_code for one in self.outcomes if one.exit_code is not None), key=_severity, default=0)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "target": self.target,
            "from": self.outcomes[0].date.isoformat(),
            "to": self.outcomes[-1].date.isoformat(),
            "exit_code": self.exit_code,
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
    request: Request, days: Sequence[date], *, keep_going: bool, run: Callable[[Request], Result] = run_command
) -> Backfill:
    """Run days in their order, the oldest first: an event that two of them deliver belongs to the first.

    It goes on after a partial day. A day that was escalated or failed stops it, unless it shall keep going; a wrong
    command, a lock that another run holds and a signal stop it always: every other day would meet the same.
    """
    outcomes: list[DayOutcome] = []
    stopped = False
    for day in days:
        if stopped:
            outcomes.append(DayOutcome(day, "NOT RUN", None))
            continue
        result = run(replace(request, date=day))
        status = result.summary["status"] if result.summary else _STATUS_OF_CODE.get(result.exit_code, "FAILED")
        outcomes.append(DayOutcome(day, status, result.exit_code, result.summary))
        stopped = _severity(result.exit_code) > _severity(1) or (result.exit_code in (1, 4) and not keep_going)
    return Backfill(request.target, tuple(outcomes), request.options)


def show_backfill(backfill: Backfill, out: Terminal) -> None:
    """Write how the days ended, and how to go on."""
    out.line()
    out.table(
        [
            Column("Date", keep=True),
            Column("Outcome", keep=True),
            Column("Published", align="right", keep=True),
            Column("Run", keep=True),
        ],
        [
            (
                one.date.isoformat(),
                (one.status, _STYLES.get(one.status, "red")),
                count(one.summary["published"]) if one.summary and one.exit_code in (0, 3) else "-",
                str(one.summary["run_id"]) if one.summary else "-",
            )
            for one in backfill.outcomes
        ],
    )
    open_days = [one for one in backfill.outcomes if one.exit_code != 0]
    if not open_days:
        return
    escalated = [one for one in open_days if one.status == "ESCALATED" and one.summary]
    for one in escalated:
        assert one.summary is not None
        out.line(f"Why {one.date} was not published:")
        out.command(command_line(None, backfill.target, f"explain {one.summary['run_id']}"))
    span = f"--from {open_days[0].date} --to {open_days[-1].date}"
    out.line(f"{plural(len(open_days), 'day')} left. To go on, once the cause is mended:")
    out.command(command_line(None, backfill.target, span, options=backfill.options))
