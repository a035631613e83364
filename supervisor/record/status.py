"""Which days are there, what each lacks, and the command that comes next. Nothing is started, nothing written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from supervisor.common.command_line import command_line
from supervisor.common.request import days_between
from supervisor.record.history import (
    DayHistory,
    RunRecord,
    group_days,
    known_days,
    local_runs,
    open_requests,
    read_loaded,
    read_runs,
)
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.lock import Holder, lock_holder

State = Literal["complete", "partial", "escalated", "failed", "interrupted", "running", "never run"]
DEFAULT_DAYS = 30


@dataclass(frozen=True)
class DayStatus:
    """What there is to know of a day.

    Attributes:
        missing: Sources without raw records of the day.
        published: Rows that readers see; None when nothing was ever published.
        run_id: The run that published them.
        last_run_id: The newest run, which may have failed since.
        note: What should be known beside the state, "" for nothing.
        next_command: What to run next, "" for nothing.
    """

    date: date
    state: State
    missing: tuple[str, ...] = ()
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

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "target": self.target,
            "warehouse": self.warehouse,
            "running": None if self.running is None else self.running.as_dict(),
            "from_runs": self.from_runs,
            "days": [day.as_dict() for day in self.days],
        }


def read_status(
    warehouse: Warehouse,
    lock: Path,
    work_dir: Path,
    configured: Sequence[str],
    span: tuple[date, date] | None = None,
) -> Status:
    """Look at days.

    Args:
        warehouse: Whose days.
        lock: The warehouse's lock file.
        work_dir: Where `runs/` is.
        configured: Sources that are configured now; none while the sandbox is used.
        span: First and last day; without it the last days that any run dealt with.
    """
    holder = lock_holder(lock) or warehouse.remote_holder()
    from_runs = holder is not None and not warehouse.serves_readers
    requests = open_requests(work_dir, warehouse.target)
    if from_runs:
        days, history = _local_history(local_runs(work_dir, warehouse.target), span)
    else:
        days, history = _recorded_history(warehouse, work_dir, span)
    if span is None:
        asked = {day for request in requests.values() if (day := _day_of(request)) is not None}
        days = sorted({*days, *asked})[-DEFAULT_DAYS:]
    return Status(
        target=warehouse.target,
        warehouse=warehouse.description,
        days=tuple(
            judge_day(day, history.get(day, DayHistory()), configured, requests, holder, warehouse.target)
            for day in days
        ),
        running=holder,
        from_runs=from_runs,
    )


def _local_history(runs: list[RunRecord], span: tuple[date, date] | None) -> tuple[list[date], dict[date, DayHistory]]:
    loaded: dict[date, set[str]] = {}
    for run in runs:
        names = {name for name, source in run.summary["sources"].items() if source["status"] == "loaded"}
        loaded.setdefault(run.date, set()).update(names)
    days = days_between(*span) if span else sorted({run.date for run in runs})
    return days, group_days(runs, {day: sorted(names) for day, names in loaded.items()})


def _recorded_history(
    warehouse: Warehouse, work_dir: Path, span: tuple[date, date] | None
) -> tuple[list[date], dict[date, DayHistory]]:
    # a run that failed or was stopped has left nothing in the warehouse
    local = local_runs(work_dir, warehouse.target)
    if not warehouse.exists():
        return _local_history(local, span)
    failed = [run for run in local if run.status == "FAILED"]
    with warehouse.session() as session:
        days = (
            days_between(*span) if span else sorted({*known_days(session, DEFAULT_DAYS), *(run.date for run in failed)})
        )
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
    state, note = _recorded_state(history, missing)
    only = missing[0] if published and len(missing) == 1 else None
    unfinished = [run_id for run_id, request in requests.items() if _day_of(request) == day]
    asked = requests[unfinished[-1]] if unfinished else last.summary if last else {}
    again = command_line(day, target, source_filter=only, options=asked.get("options", {}))
    command = {"complete": "", "escalated": command_line(None, target, f"explain {last.run_id}") if last else ""}.get(
        state, again
    )
    if holder is not None and any(_is_work_of(holder, run_id, requests[run_id]) for run_id in unfinished):
        state, note, command = "running", holder.describe(), ""
    elif interrupted := [run_id for run_id in unfinished if _is_newer(requests[run_id], last)]:
        note = f"run {interrupted[-1]} was interrupted"
        if state == "never run":
            state = "interrupted"
    return DayStatus(
        date=day,
        state=state,
        missing=missing,
        published=published.published if published else None,
        run_id=published.run_id if published else None,
        finished_at=published.finished_at if published else last.finished_at if last else None,
        last_run_id=last.run_id if last else None,
        last_status=last.status if last else None,
        note=note,
        next_command=command,
    )


def _recorded_state(history: DayHistory, missing: Sequence[str]) -> tuple[State, str]:
    published, last = history.published, history.last
    if last is None:
        return "never run", ""
    if published is None:
        if last.status == "ESCALATED":
            return "escalated", str((last.summary.get("escalation") or {}).get("reason") or "")
        return "failed", str((last.summary.get("error") or {}).get("message") or "")
    state: State = "partial" if missing or published.status == "PARTIAL" else "complete"
    if last.has_published:
        return state, ""
    return state, f"run {last.run_id} has {last.status.lower()} since; what was published is unchanged"


def _missing(history: DayHistory, configured: Sequence[str]) -> tuple[str, ...]:
    if history.published is None:
        return ()
    sources = history.published.summary.get("sources", {})
    # the sandbox's sources are configured only while it runs: then those of the run are the ones to hold against
    wanted = configured or list(sources)
    failed = {name for name, source in sources.items() if source["status"] != "loaded"}
    stale = failed if history.published.status == "PARTIAL" else set()
    return tuple(name for name in wanted if name not in history.loaded or name in stale)


def _is_work_of(holder: Holder, run_id: str, request: Mapping[str, Any]) -> bool:
    # a command that deals with several days takes the lock once
    return run_id == holder.run_id or (
        request.get("pid") == holder.pid and str(request.get("started_at")) >= holder.started_at
    )


def _is_newer(request: Mapping[str, Any], last: RunRecord | None) -> bool:
    if last is None:
        return True
    try:
        return datetime.fromisoformat(str(request["started_at"])) > last.finished_at
    except (KeyError, ValueError, TypeError):
        return False
