"""From a request to a result: the lock, what is known of the day, and whether there is anything to do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from loaders.config import configured_source_names, configured_tables, read_sources
from supervisor.common.errors import UsageError
from supervisor.common.outcome import Outcome
from supervisor.common.request import Request
from supervisor.dbt.declarations import Declarations, check_tables, read_declarations
from supervisor.goal.compile import Goal, load_goal
from supervisor.record.events import RunFinished, Said
from supervisor.record.journal import new_run_id, report_path
from supervisor.record.ledger import DayState, published_summary, read_state
from supervisor.run.day import DayRun
from supervisor.run.intake import SourceIntake
from supervisor.run.leftovers import finish_leftovers
from supervisor.run.outcome import Result
from supervisor.run.outlets import Outlets
from supervisor.run.replay import rebuild_later_days
from supervisor.run.workers import Workers
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.engines import open_warehouse
from supervisor.warehouse.lock import run_lock
from supervisor.warehouse.retry import retry

# how long a warehouse that can't be opened is waited for, in seconds
PATIENCE_S = 30.0


def run_day(request: Request, outlets: Outlets, workers: Workers) -> Result:
    """Run a day, unless it is complete; then every later day that had published one of its events.

    Args:
        request: What is asked for.
        outlets: Where everything goes that leaves the run.
        workers: The processes that do the work.

    Raises:
        UsageError, GoalError, ConfigurationError: Something must be corrected before anything can run.
        LockHeldError: Another run works on the warehouse.
    """
    declared = read_declarations(request.project_dir)
    goal = load_goal(request.goal_path, declared.entities)
    warehouse = open_warehouse(request.target)
    configured = configured_source_names()
    check_filter(request.source_filter, configured or request.sandbox_sources)
    run_id = new_run_id(request.work_dir)
    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(warehouse.lock_path(request.work_dir), run_id, warehouse))
            before = _read_state(warehouse, request, outlets)
        except WarehouseError as error:
            # nothing was started, and somebody must know
            asked = replace(request, sources=tuple(configured), source_filter=None)
            summary = DayRun(asked, goal, warehouse, outlets, workers, run_id, SourceIntake(())).give_up(error)
            return Result(summary.exit_code, summary)
        if not request.force and is_complete(before, configured):
            result = _nothing_to_do(request, before, warehouse, outlets)
        else:
            result = _run(request, goal, declared, warehouse, outlets, workers, run_id, before)
        # a run that was killed after its publish has left this undone
        return rebuild_later_days(request, goal, warehouse, outlets, workers, result)


def _run(
    request: Request,
    goal: Goal,
    declared: Declarations,
    warehouse: Warehouse,
    outlets: Outlets,
    workers: Workers,
    run_id: str,
    before: DayState,
) -> Result:
    with request.sandbox(request.date) as notes:
        sources = configured_source_names()
        _check_mapping(declared)
        wanted = check_filter(request.source_filter, sources)
        asked = replace(request, sources=tuple(sources), source_filter=wanted, notes=tuple(notes))
        intake = SourceIntake(sources_to_collect(asked, before))
        summary = DayRun(asked, goal.bound_to(sources), warehouse, outlets, workers, run_id, intake).execute(before)
        return Result(summary.exit_code, summary)


def _check_mapping(declared: Declarations) -> None:
    try:
        check_tables(declared, configured_tables())
    except UsageError:
        # what is wrong with the configuration itself comes first
        read_sources()
        raise


def _nothing_to_do(request: Request, before: DayState, warehouse: Warehouse, outlets: Outlets) -> Result:
    published = published_summary(before)
    for line in finish_leftovers(warehouse, outlets.reports, published, request.work_dir, request.archive):
        outlets.emit(Said(line))
    outcome = Outcome.NOTHING_TO_DO
    summary = published.model_copy(update={"status": outcome.status, "exit_code": outcome.exit_code})
    path = report_path(request.work_dir, summary.run_id)
    if path.exists():
        # what the ledger holds was written before the report was
        summary = summary.model_copy(update={"report": f"reports/{path.name}"})
    outlets.emit(RunFinished(summary))
    return Result(outcome.exit_code, summary)


def _read_state(warehouse: Warehouse, request: Request, outlets: Outlets) -> DayState:
    """Read the day's state; a warehouse that somebody else has open, or that is starting, may be free in a moment."""

    def on_retry(problem: str, wait_s: float) -> None:
        outlets.emit(Said(f"{problem} Retry in {wait_s:.0f} s."))

    return retry(lambda: read_state(warehouse, request.date), seconds=PATIENCE_S, on_retry=on_retry)


def check_filter(name: str | None, sources: Sequence[str]) -> str | None:
    """Return a source's name as it is configured; None for no name.

    Raises:
        UsageError: There is no such source.
    """
    if name is None:
        return None
    for source in sources:
        if source.lower() == name.lower():
            return source
    raise UsageError(f"source '{name}' is unknown. Configured: {', '.join(sources)}. Try: --source-filter {sources[0]}")


def is_complete(before: DayState, configured: Sequence[str]) -> bool:
    """Whether the day is published with every source that is configured now, and with all that it has of the day."""
    if before.last_run is None or before.last_run["status"] != Outcome.SUCCESS.status:
        return False
    return not before.open(configured)


def sources_to_collect(request: Request, before: DayState) -> list[str]:
    """Which sources this run collects: the one asked for, what a partial day misses or could not read, or all."""
    if request.source_filter is not None:
        return [request.source_filter]
    if request.force or before.last_run is None or before.last_run["status"] != Outcome.PARTIAL.status:
        return list(request.sources)
    failed = [name for name, source in published_summary(before).sources.items() if not source.is_loaded]
    still_open = before.open(request.sources)
    return [name for name in request.sources if name in failed or name in still_open] or list(request.sources)
