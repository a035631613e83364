"""The answer of `status` for people."""

from __future__ import annotations

from datetime import date

from loaders.config import configured_source_names
from supervisor.commands.answer import Place, answer, print_json
from supervisor.common.command_line import command_line
from supervisor.common.text import count
from supervisor.record.status import DayStatus, Status, read_status
from supervisor.run.backfill import days_of
from supervisor.show.terminal import Column, Terminal
from supervisor.warehouse.lock import lock_path

_STYLES = {
    "complete": "green",
    "partial": "yellow",
    "escalated": "red",
    "failed": "red",
    "interrupted": "yellow",
    "running": "cyan",
    "never run": "dim",
}
_MOST_NOTES = 8


def show_status(status: Status, out: Terminal) -> None:
    """Write the days as a table, then what should be known and what comes next."""
    out.line(f"Warehouse: {status.warehouse} (target {status.target})")
    if status.running is not None:
        out.line(f"Running now: {status.running.describe()}", "cyan")
    if status.from_runs:
        out.line("That run has the warehouse; the days below are those of the folders in runs/.", "dim")
    out.line()
    if not status.days:
        out.line("No day has been run yet. Begin with:")
        out.command("python orchestrate.py --date YYYY-MM-DD")
        return
    has_missing = any(day.missing for day in status.days)
    out.table(
        [
            Column("Date", keep=True),
            Column("State", keep=True),
            Column("Published", align="right", keep=True),
            *([Column("Missing")] if has_missing else []),
            Column("By run", keep=True),
            Column("Ended (UTC)", keep=True),
        ],
        [_row(day, has_missing) for day in status.days],
    )
    _show_notes(status, out)
    _show_next(status, out)


def _row(day: DayStatus, has_missing: bool) -> list[str | tuple[str, str]]:
    return [
        day.date.isoformat(),
        (day.state, _STYLES[day.state]),
        "-" if day.published is None else count(day.published),
        *([", ".join(day.missing)] if has_missing else []),
        day.run_id or day.last_run_id or "-",
        "-" if day.finished_at is None else f"{day.finished_at:%Y-%m-%d %H:%M}",
    ]


def _show_notes(status: Status, out: Terminal) -> None:
    noted = [day for day in status.days if day.note]
    if noted:
        out.line()
    for day in noted[-_MOST_NOTES:]:
        out.line(f"{day.date}: {day.note}", "dim")
    if len(noted) > _MOST_NOTES:
        out.line(f"and {len(noted) - _MOST_NOTES} earlier days with a note (--json has them all)", "dim")


def _show_next(status: Status, out: Terminal) -> None:
    waiting = [day for day in status.days if day.next_command]
    if not waiting:
        return
    out.line()
    runnable = [day for day in waiting if day.state not in ("escalated",)]
    escalated = [day for day in waiting if day.state == "escalated"]
    if len(runnable) == 1:
        out.line(f"To complete {runnable[0].date}:")
        out.command(runnable[0].next_command)
    elif runnable:
        span = f"--from {runnable[0].date} --to {runnable[-1].date}"
        out.line(f"To complete {len(runnable)} days, one after the other (complete days are skipped):")
        out.command(command_line(None, status.target, span))
    for day in escalated[-_MOST_NOTES:]:
        out.line(f"Why {day.date} was not published:")
        out.command(day.next_command)


def status(place: Place, span: tuple[date, date] | None, as_json: bool) -> int:
    """Say which days are there and what they lack."""

    def work(out: Terminal) -> int:
        if span is not None:
            days_of(*span)
        warehouse = place.warehouse()
        lock = lock_path(warehouse, place.work_dir)
        found = read_status(warehouse, lock, place.work_dir, configured_source_names(), span)
        if as_json:
            print_json(found.as_dict())
        else:
            show_status(found, out)
        return 0

    return answer(work)
