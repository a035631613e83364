"""From a request to an exit code: what happens around a run, and which error ends how."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Protocol

from loaders.config import configured_source_names
from loaders.errors import ConfigurationError
from supervisor.console import ClosableConsole, Console, ConsoleMode, make_console
from supervisor.goal import Goal, GoalError, load_goal
from supervisor.history import REQUEST_FILE, record_of
from supervisor.ledger import DayState, read_day
from supervisor.lock import LockHeldError, run_lock
from supervisor.patience import insist
from supervisor.reports import finish_leftovers, report_path
from supervisor.resources import ResourceMeter
from supervisor.run import DayRun, write_json
from supervisor.settings import Settings, UsageError
from supervisor.stopping import stop_signals
from supervisor.warehouse import DuckDBWarehouse, Warehouse, WarehouseError, open_warehouse

EXIT_UNEXPECTED, EXIT_USAGE, EXIT_LOCKED = 1, 2, 5
# how long a warehouse that can't be opened is waited for, in seconds
PATIENCE_S = 30.0

Sandbox = Callable[[date], AbstractContextManager[Sequence[str]]]


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
    sandbox: Sandbox


@dataclass(frozen=True)
class Result:
    """How a command ended; the summary is None when there was no run."""

    exit_code: int
    summary: dict[str, Any] | None = None


class Speaker(Protocol):
    """Whoever tells people what went wrong."""

    def message(self, text: str, *, error: bool = False) -> None:
        """Say something."""


def run_command(request: Request) -> Result:
    """Run a day and turn what comes of it into an exit code; every error is said in words."""
    with closing(make_console(request.console_mode)) as console:
        return guarded(console, lambda: _run(request, console))


def guarded(speaker: Speaker, work: Callable[[], Result]) -> Result:
    """Do some work, and turn an error that comes out of it into words and an exit code."""
    try:
        with stop_signals():
            return work()
    except (UsageError, GoalError, ConfigurationError) as error:
        speaker.message(str(error), error=True)
        return Result(EXIT_USAGE)
    except LockHeldError as error:
        speaker.message(str(error), error=True)
        return Result(EXIT_LOCKED)
    except WarehouseError as error:
        speaker.message(str(error), error=True)
        return Result(EXIT_UNEXPECTED)
    except Exception as error:
        speaker.message(f"unexpected error: {type(error).__name__}: {error}", error=True)
        speaker.message(traceback.format_exc(), error=True)
        return Result(EXIT_UNEXPECTED)


def _run(request: Request, console: ClosableConsole) -> Result:
    # a replay is a run, so that module stands on this one
    from supervisor.replay import rebuild_later_days

    goal = load_goal(request.goal_path)
    warehouse = open_warehouse(request.target)
    configured = configured_source_names()
    if configured and request.source_filter is not None:
        _check_filter(request.source_filter, configured)
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
    )


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


def read_state(warehouse: Warehouse, day: date) -> DayState:
    """What earlier runs left for a day; nothing when there is no warehouse yet."""
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
    return {**published_summary(state), "status": "NOTHING_TO_DO", "exit_code": 0}


def published_summary(state: DayState) -> dict[str, Any]:
    """The summary of the run that published the day."""
    assert state.last_run is not None
    summary: dict[str, Any] = json.loads(state.last_run["summary"])
    return summary


def note_request(run_dir: Path, settings: Settings, words: str = "run") -> None:
    """Leave in the run's folder what was asked for, so that a run that never ends is known by its day."""
    write_json(
        run_dir / REQUEST_FILE,
        {
            "run_id": run_dir.name,
            "command": words,
            "pid": os.getpid(),
            "date": settings.date.isoformat(),
            "target": settings.target,
            "source_filter": settings.source_filter,
            "force": settings.force,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


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
