"""`status`: which days are there, what each lacks, and the command that comes next. Starts nothing, writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loaders.config import configured_source_names
from supervisor.commands.answer import Place, answer, print_json
from supervisor.common.command_line import PROGRAM, command_line
from supervisor.common.outcome import Outcome
from supervisor.common.request import days_between
from supervisor.common.text import count
from supervisor.dbt.project import read_project_vars
from supervisor.record.history import (
    DayHistory,
    group_days,
    known_days,
    local_runs,
    open_requests,
    read_loaded,
    read_runs,
)
from supervisor.record.retention import Retention, read_retention
from supervisor.run.backfill import days_of
from supervisor.show.terminal import Column, Terminal
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.lock import Holder, lock_holder

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

# what a day is beside the ways in which its runs end
COMPLETE, INTERRUPTED, RUNNING, NEVER_RUN = "complete", "interrupted", "running", "never run"
_STYLES = {COMPLETE: "green", INTERRUPTED: "yellow", RUNNING: "cyan", NEVER_RUN: "dim"}
DEFAULT_DAYS = 30
_MOST_NOTES = 8


@dataclass(frozen=True)
class DayStatus:
    """What there is to know of a day.

    Attributes:
        state: "complete", "running", "interrupted", "never run", or the status of the run that decides, in small letters.
        missing: Sources without raw records of the day.
        incomplete: Sources of whose day a part could not be read.
        published: Rows that readers see; None when nothing was ever published.
        run_id: The run that published them.
        last_run_id: The newest run, which may have failed since.
        note: What should be known beside the state, "" for nothing.
        next_command: What to run next, "" for nothing.
    """

    date: date
    state: str
    missing: tuple[str, ...] = ()
    incomplete: tuple[str, ...] = ()
    published: int | None = None
    run_id: str | None = None
    finished_at: datetime | None = None
    last_run_id: str | None = None
    last_status: str | None = None
    note: str = ""
    next_command: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **self.__dict__,
            "date": self.date.isoformat(),
            "missing": list(self.missing),
            "incomplete": list(self.incomplete),
            "finished_at": None if self.finished_at is None else self.finished_at.isoformat(timespec="seconds"),
        }


@dataclass(frozen=True)
class Status:
    """The answer of `status`.

    Attributes:
        running: The run that holds the lock.
        from_runs: The warehouse could not be read because that run has it: days are those of the runs' folders.
    """

    target: str
    warehouse: str
    days: tuple[DayStatus, ...]
    running: Holder | None = None
    from_runs: bool = False
    retention: Retention | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "target": self.target,
            "warehouse": self.warehouse,
            "running": None if self.running is None else self.running.as_dict(),
            "from_runs": self.from_runs,
            "retention": None if self.retention is None else dict(self.retention.__dict__),
            "days": [day.as_dict() for day in self.days],
        }


def read_status(
    warehouse: Warehouse,
    lock: Path,
    work_dir: Path,
    configured: Sequence[str],
    span: tuple[date, date] | None = None,
    *,
    most_days: int = DEFAULT_DAYS,
    retention: Retention | None = None,
    own_id: str = "",
) -> Status:
    """Look at days.

    Args:
        warehouse: Whose days.
        lock: The warehouse's lock file.
        work_dir: Where `runs/` is.
        configured: Sources that are configured now; none while the sandbox is used.
        span: First and last day; without it the last days that any run dealt with.
        most_days: How many days that are.
        retention: How long what is kept.
        own_id: What the asking command holds the lock as.
    """
    holder = lock_holder(lock) or warehouse.remote_holder()
    if holder is not None and holder.run_id == own_id:
        # a command that has taken the lock is nobody that it must keep away from
        holder = None
    from_runs = holder is not None and not warehouse.serves_readers
    requests = open_requests(work_dir, warehouse.target)
    if from_runs:
        days, history = _local_history(local_runs(work_dir, warehouse.target), span)
    else:
        days, history = _recorded_history(warehouse, work_dir, span, most_days)
    if span is None:
        asked = {day for request in requests.values() if (day := _day_of(request)) is not None}
        days = sorted({*days, *asked})[-most_days:]
    return Status(
        target=warehouse.target,
        warehouse=warehouse.description,
        days=tuple(
            judge_day(day, history.get(day, DayHistory()), configured, requests, holder, warehouse.target)
            for day in days
        ),
        running=holder,
        from_runs=from_runs,
        retention=retention,
    )


def _local_history(runs: list[Summary], span: tuple[date, date] | None) -> tuple[list[date], dict[date, DayHistory]]:
    loaded: dict[date, set[str]] = {}
    for run in runs:
        names = {name for name, source in run.sources.items() if source.is_loaded}
        loaded.setdefault(run.date, set()).update(names)
    days = days_between(*span) if span else sorted({run.date for run in runs})
    return days, group_days(runs, {day: sorted(names) for day, names in loaded.items()})


def _recorded_history(
    warehouse: Warehouse, work_dir: Path, span: tuple[date, date] | None, most_days: int
) -> tuple[list[date], dict[date, DayHistory]]:
    # a run that failed or was stopped has left nothing in the warehouse
    local = local_runs(work_dir, warehouse.target)
    if not warehouse.exists():
        return _local_history(local, span)
    failed = [run for run in local if run.outcome is Outcome.FAILED]
    with warehouse.session() as session:
        days = days_between(*span) if span else sorted({*known_days(session, most_days), *(run.date for run in failed)})
        if not days:
            return [], {}
        runs, loaded = read_runs(session, days[0], days[-1]), read_loaded(session, days[0], days[-1])
    return days, group_days(sorted([*runs, *failed], key=lambda run: run.finished_at), loaded)


def _day_of(request: Mapping[str, Any]) -> date | None:
    try:
        return date.fromisoformat(str(request["date"]))
    except (KeyError, ValueError):
        return None


def judge_day(
    day: date,
    history: DayHistory,
    configured: Sequence[str],
    requests: Mapping[str, Mapping[str, Any]],
    holder: Holder | None,
    target: str,
) -> DayStatus:
    """Say what state a day is in, and what comes next. Pure.

    Args:
        day: Which day.
        history: What is known of it.
        configured: Sources that are configured now; none while the sandbox is used.
        requests: What was asked of runs without an end, by run id.
        holder: The run that holds the lock.
        target: The warehouse's target, for the next command.
    """
    published, last = history.published, history.last
    missing = _missing(history, configured)
    cut = (
        tuple(name for name, one in published.sources.items() if one.is_loaded and one.incomplete) if published else ()
    )
    still_open = (*missing, *cut)
    state, note = _recorded_state(history, still_open)
    only = still_open[0] if published and len(still_open) == 1 else None
    unfinished = [run_id for run_id, request in requests.items() if _day_of(request) == day]
    options = requests[unfinished[-1]].get("options", {}) if unfinished else last.options if last else {}
    again = command_line(day, target, source_filter=only, options=options)
    if state == COMPLETE:
        command = ""
    elif last is None or published or last.outcome is Outcome.FAILED:
        command = again
    else:
        # what was held back on purpose will be held back again
        command = command_line(None, target, f"explain {last.run_id}")
    if holder is not None and any(_is_work_of(holder, run_id, requests[run_id]) for run_id in unfinished):
        state, note, command = RUNNING, holder.describe(), ""
    elif interrupted := [run_id for run_id in unfinished if _is_newer(requests[run_id], last)]:
        note = f"run {interrupted[-1]} was interrupted"
        if state == NEVER_RUN:
            state = INTERRUPTED
    return DayStatus(
        date=day,
        state=state,
        missing=missing,
        incomplete=cut,
        published=published.published if published else None,
        run_id=published.run_id if published else None,
        finished_at=published.finished_at if published else last.finished_at if last else None,
        last_run_id=last.run_id if last else None,
        last_status=last.status if last else None,
        note=note,
        next_command=command,
    )


def _recorded_state(history: DayHistory, still_open: Sequence[str]) -> tuple[str, str]:
    published, last = history.published, history.last
    if last is None:
        return NEVER_RUN, ""
    if published is None:
        reason = last.escalation.reason if last.escalation else last.error.message if last.error else ""
        return last.status.lower(), reason
    # a limit that was missed, such as the deadline, takes nothing from the day
    state = Outcome.of(published.status)
    words = COMPLETE if state.mark == "ok" else state.status.lower()
    notes = (
        []
        if last.has_published
        else [f"run {last.run_id} has {last.status.lower()} since; what was published is unchanged"]
    )
    notes += [
        f"{source.title or name}: {source.unread} could not be read"
        for name, source in published.sources.items()
        if source.incomplete
    ]
    notes += [f"column changed: {line}" for line in published.drift]
    return Outcome.PARTIAL.status.lower() if still_open else words, "; ".join(notes)


def _missing(history: DayHistory, configured: Sequence[str]) -> tuple[str, ...]:
    published = history.published
    if published is None:
        return ()
    # the sandbox's sources are configured only while it runs: then those of the run are the ones to hold against
    wanted = configured or list(published.sources)
    failed = {name for name, source in published.sources.items() if not source.is_loaded}
    return tuple(name for name in wanted if name not in history.loaded or name in failed)


def _is_work_of(holder: Holder, run_id: str, request: Mapping[str, Any]) -> bool:
    # a command that deals with several days takes the lock once
    return run_id == holder.run_id or (
        request.get("pid") == holder.pid and str(request.get("started_at")) >= holder.started_at
    )


def _is_newer(request: Mapping[str, Any], last: Summary | None) -> bool:
    if last is None:
        return True
    try:
        return datetime.fromisoformat(str(request["started_at"])) > last.finished_at
    except (KeyError, ValueError, TypeError):
        return False


def retention_of(place: Place) -> Retention:
    """Return how long what is kept in a project."""
    return read_retention(int(str(read_project_vars(place.project_dir).get("lookback_days", 0))))


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
        out.command(f"{PROGRAM} --date YYYY-MM-DD")
        return
    has_missing = any(day.missing or day.incomplete for day in status.days)
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
    if status.retention is not None:
        out.line()
        out.line(f"Kept: {status.retention.as_words()}; `prune` removes what is older", "dim")


def _row(day: DayStatus, has_missing: bool) -> list[str | tuple[str, str]]:
    return [
        day.date.isoformat(),
        (day.state, _style(day.state)),
        "-" if day.published is None else count(day.published),
        *([", ".join([*day.missing, *(f"part of {name}" for name in day.incomplete)])] if has_missing else []),
        day.run_id or day.last_run_id or "-",
        "-" if day.finished_at is None else f"{day.finished_at:%Y-%m-%d %H:%M}",
    ]


def _style(state: str) -> str:
    return _STYLES.get(state) or Outcome.of(state.upper()).colour


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
    held_back = [day for day in waiting if "explain " in day.next_command]
    runnable = [day for day in waiting if day not in held_back]
    if len(runnable) == 1:
        out.line(f"To complete {runnable[0].date}:")
        out.command(runnable[0].next_command)
    elif runnable:
        span = f"--from {runnable[0].date} --to {runnable[-1].date}"
        out.line(f"To complete {len(runnable)} days, one after the other (complete days are skipped):")
        out.command(command_line(None, status.target, span))
    for day in held_back[-_MOST_NOTES:]:
        out.line(f"Why {day.date} was not published:")
        out.command(day.next_command)


def status(place: Place, span: tuple[date, date] | None, as_json: bool) -> int:
    """Say which days are there and what they lack."""

    def work(out: Terminal) -> int:
        if span is not None:
            days_of(*span)
        warehouse = place.warehouse()
        lock = warehouse.lock_path(place.work_dir)
        retention = retention_of(place)
        found = read_status(warehouse, lock, place.work_dir, configured_source_names(), span, retention=retention)
        if as_json:
            print_json(found.as_dict())
        else:
            show_status(found, out)
        return 0

    return answer(work)
