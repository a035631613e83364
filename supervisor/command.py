"""From a request to an exit code: what happens around a run, and which error ends how."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from loaders.config import configured_source_names
from loaders.errors import ConfigurationError
from supervisor.console import ClosableConsole, ConsoleMode, make_console
from supervisor.goal import GoalError, load_goal
from supervisor.ledger import DayState, read_day
from supervisor.lock import LockHeldError, run_lock
from supervisor.resources import ResourceMeter
from supervisor.run import DayRun
from supervisor.settings import Settings, UsageError
from supervisor.warehouse import DuckDBWarehouse, Warehouse, WarehouseError, open_warehouse

EXIT_UNEXPECTED, EXIT_USAGE, EXIT_LOCKED = 1, 2, 5


@dataclass(frozen=True)
class Request:
    """What the user asked for, as options of the command line.

    Attributes:
        sandbox: Called with the day when sources are about to be read; a context that yields lines for the user.
    """

    project_dir: Path
    work_dir: Path
    date: date
    target: str
    source_filter: str | None
    force: bool
    archive: str
    goal_path: Path
    console_mode: ConsoleMode
    sandbox: Callable[[date], AbstractContextManager[Sequence[str]]]


@dataclass(frozen=True)
class Result:
    """How a command ended; the summary is None when there was no run."""

    exit_code: int
    summary: dict[str, Any] | None = None


def run_command(request: Request) -> Result:
    """Run a day and turn what comes of it into an exit code; every error is said in words."""
    with closing(make_console(request.console_mode)) as console:
        try:
            return _run(request, console)
        except (UsageError, GoalError, ConfigurationError) as error:
            console.message(str(error), error=True)
            return Result(EXIT_USAGE)
        except LockHeldError as error:
            console.message(str(error), error=True)
            return Result(EXIT_LOCKED)
        except WarehouseError as error:
            console.message(str(error), error=True)
            return Result(EXIT_UNEXPECTED)
        except Exception as error:
            console.message(f"unexpected error: {type(error).__name__}: {error}", error=True)
            console.message(traceback.format_exc(), error=True)
            return Result(EXIT_UNEXPECTED)


def _run(request: Request, console: ClosableConsole) -> Result:
    goal = load_goal(request.goal_path)
    warehouse = open_warehouse(request.target)
    configured = configured_source_names()
    if configured and request.source_filter is not None:
        _check_filter(request.source_filter, configured)
    run_id = new_run_id(request.work_dir)
    with run_lock(lock_path(warehouse, request.work_dir), run_id):
        state = _read_state(warehouse, request.date)
        if not request.force and is_complete(state, configured):
            summary = nothing_to_do(state)
            console.run_finished(summary)
            return Result(0, summary)
        with request.sandbox(request.date) as notes:
            sources = configured_source_names()
            wanted = None if request.source_filter is None else _check_filter(request.source_filter, sources)
            settings = Settings(
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
            )
            meter = ResourceMeter()
            console.run_started(run_id=run_id, date=str(settings.date), target=settings.target, notes=settings.notes)
            run = DayRun(settings, goal, warehouse, console, run_id, meter)
            summary = run.execute(state, sources_to_collect(settings, state))
            meter.stop()
            console.run_finished(summary)
            return Result(summary["exit_code"], summary)


def _check_filter(name: str, sources: Sequence[str]) -> str:
    for source in sources:
        if source.lower() == name.lower():
            return source
    raise UsageError(f"source '{name}' is unknown. Configured: {', '.join(sources)}. Try: --source-filter {sources[0]}")


def new_run_id(work_dir: Path) -> str:
    """Return an id that no run has: the time, UTC, and a number when a second has several."""
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    candidates = [stamp, *(f"{stamp}_{number}" for number in range(2, 1000))]
    return next(candidate for candidate in candidates if not (work_dir / "runs" / candidate).exists())


def lock_path(warehouse: Warehouse, work_dir: Path) -> Path:
    """Where the lock of a warehouse lies: beside the file, or in the working directory for a server."""
    if isinstance(warehouse, DuckDBWarehouse):
        return warehouse.path.with_name(f"{warehouse.path.name}.lock")
    return work_dir / f"{warehouse.target}.lock"


def _read_state(warehouse: Warehouse, day: date) -> DayState:
    if not warehouse.exists():
        return DayState(last_run=None, loads={})
    with warehouse.session() as session:
        return read_day(session, day)


def is_complete(state: DayState, configured: Sequence[str]) -> bool:
    """Whether the day is published with every source that is configured now."""
    if state.last_run is None or state.last_run["status"] != "SUCCESS":
        return False
    return not state.missing(configured)


def nothing_to_do(state: DayState) -> dict[str, Any]:
    """The summary of the run that published the day, under the status of this one."""
    assert state.last_run is not None
    summary: dict[str, Any] = json.loads(state.last_run["summary"])
    return {**summary, "status": "NOTHING_TO_DO", "exit_code": 0}


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
