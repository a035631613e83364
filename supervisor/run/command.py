"""From a request to an exit code: what happens around a run, and which error ends how."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import date
from typing import Any

from loaders.config import configured_source_names
from supervisor.common.errors import UsageError
from supervisor.common.request import Request, Settings
from supervisor.goal.compile import Goal, load_goal
from supervisor.record.history import record_of
from supervisor.record.journal import new_run_id, note_request
from supervisor.record.ledger import DayState, published_summary, read_state
from supervisor.run.day import DayRun
from supervisor.run.meter import ResourceMeter
from supervisor.run.outcome import Result, guarded
from supervisor.show.console import make_console
from supervisor.show.console_tree import ClosableConsole, Console
from supervisor.show.report.write import finish_leftovers, report_path
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.engines import open_warehouse
from supervisor.warehouse.lock import lock_path, run_lock
from supervisor.warehouse.retry import insist

# how long a warehouse that can't be opened is waited for, in seconds
PATIENCE_S = 30.0


def run_command(request: Request) -> Result:
    """Run a day and turn what comes of it into an exit code; every error is said in words."""
    with closing(make_console(request.console_mode)) as console:
        return guarded(console, lambda: _run(request, console))


def _run(request: Request, console: ClosableConsole) -> Result:
    # a replay is a run, so that module stands on this one
    from supervisor.run.replay import rebuild_later_days

    goal = load_goal(request.goal_path)
    warehouse = open_warehouse(request.target)
    configured = configured_source_names()
    if request.source_filter is not None:
        _check_filter(request.source_filter, configured or request.sandbox_sources)
    run_id = new_run_id(request.work_dir)
    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(lock_path(warehouse, request.work_dir), run_id, warehouse))
            state = _read_state_patiently(warehouse, request.date, console)
        except WarehouseError as error:
            return _give_up(request, goal, warehouse, console, run_id, configured, error)
        if not request.force and is_complete(state, configured):
            published = record_of(published_summary(state))
            for line in finish_leftovers(warehouse, published, request.work_dir, request.archive):
                console.message(line)
            summary = nothing_to_do(state)
            if report_path(request.work_dir, summary["run_id"]).exists():
                # what the ledger holds was written before the report was
                summary["report"] = f"reports/quality_{summary['run_id']}.html"
            console.run_finished(summary)
            # a run that was killed after its publish has left this undone
            return rebuild_later_days(request, goal, warehouse, console, Result(0, summary))
        with request.sandbox(request.date) as notes:
            sources = configured_source_names()
            wanted = None if request.source_filter is None else _check_filter(request.source_filter, sources)
            settings = _settings(request, sources, wanted, notes)
            meter = ResourceMeter()
            console.run_started(run_id=run_id, date=str(settings.date), target=settings.target, notes=settings.notes)
            run = DayRun(settings, goal, warehouse, console, run_id, meter)
            note_request(run.run_dir, settings)
            summary = run.execute(state, sources_to_collect(settings, state))
            meter.stop()
            console.run_finished(summary)
            result = Result(summary["exit_code"], summary)
            return rebuild_later_days(request, goal, warehouse, console, result)


def _read_state_patiently(warehouse: Warehouse, day: date, console: Console) -> DayState:
    """Read the day's state; a warehouse that somebody else has open, or that is starting, may be free in a moment."""

    def on_retry(problem: str, wait_s: float) -> None:
        console.message(f"{problem} Retry in {wait_s:.0f} s.")

    return insist(lambda: read_state(warehouse, day), seconds=PATIENCE_S, on_retry=on_retry)


def _give_up(
    request: Request,
    goal: Goal,
    warehouse: Warehouse,
    console: Console,
    run_id: str,
    configured: Sequence[str],
    error: WarehouseError,
) -> Result:
    """Escalate a day whose warehouse can't be used: nothing was started, and somebody must know."""
    settings = _settings(request, configured, None, ())
    meter = ResourceMeter()
    run = DayRun(settings, goal, warehouse, console, run_id, meter)
    note_request(run.run_dir, settings)
    summary = run.give_up(error)
    meter.stop()
    console.run_finished(summary)
    return Result(summary["exit_code"], summary)


def _settings(request: Request, sources: Sequence[str], wanted: str | None, notes: Sequence[str]) -> Settings:
    return Settings(
        date=request.date,
        target=request.target,
        sources=tuple(sources),
        source_filter=wanted,
        force=request.force,
        project_dir=request.project_dir,
        work_dir=request.work_dir,
        archive=request.archive,
        goal_path=request.goal_path,
        notes=tuple(notes),
        options=request.options,
    )


def _check_filter(name: str, sources: Sequence[str]) -> str:
    for source in sources:
        if source.lower() == name.lower():
            return source
    raise UsageError(f"source '{name}' is unknown. Configured: {', '.join(sources)}. Try: --source-filter {sources[0]}")


def is_complete(state: DayState, configured: Sequence[str]) -> bool:
    """Whether the day is published with every source that is configured now."""
    if state.last_run is None or state.last_run["status"] != "SUCCESS":
        return False
    return not state.missing(configured)


def nothing_to_do(state: DayState) -> dict[str, Any]:
    """The summary of the run that published the day, under the status of this one."""
    return {**published_summary(state), "status": "NOTHING_TO_DO", "exit_code": 0}


def sources_to_collect(settings: Settings, state: DayState) -> list[str]:
    """Which sources this run collects: the one asked for, what a partial day misses, or all."""
    if settings.source_filter is not None:
        return [settings.source_filter]
    if settings.force or state.last_run is None or state.last_run["status"] != "PARTIAL":
        return list(settings.sources)
    before = json.loads(state.last_run["summary"])["sources"]
    failed = [name for name, source in before.items() if source["status"] != "loaded"]
    missing = [name for name in settings.sources if name in failed or name not in state.loads]
    return missing or list(settings.sources)
