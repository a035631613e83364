"""Replay: a day built again from the raw records that are there, after a rule, a mapping or a missing user was mended.

No record is collected again. Reference tables are read anew, the day passes the same gates as in any run, and what was
quarantined and passes now is published with the rest of the day; the quarantine keeps it as history.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

from loaders.config import configured_source_names, read_sources
from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.request import Request, Settings
from supervisor.common.text import plural
from supervisor.dbt.project import read_project_vars
from supervisor.goal.compile import Goal, load_goal
from supervisor.record.journal import new_run_id, note_request
from supervisor.record.ledger import (
    DayState,
    LoadOutcome,
    adopt_references,
    migrate,
    published_summary,
    read_state,
    sweep_raw,
)
from supervisor.run.build import BuildLoop
from supervisor.run.collect import Collector
from supervisor.run.day import DayRun, EscalationError
from supervisor.run.meter import ResourceMeter
from supervisor.run.outcome import Result, guarded
from supervisor.show.console import QuietConsole, make_console
from supervisor.show.console_tree import ClosableConsole, Console
from supervisor.warehouse.base import Session, Warehouse
from supervisor.warehouse.engines import open_warehouse
from supervisor.warehouse.lock import lock_path, run_lock


def run_replay(request: Request, *, read_references: bool) -> Result:
    """Replay a day, then every later day that had published one of the events which belong to this day now.

    Args:
        request: As for a run; `source_filter` names the only source whose reference tables are read.
        read_references: Whether reference tables are read anew; without it no source is needed at all.
    """
    with closing(make_console(request.console_mode)) as console:
        return guarded(console, lambda: _replay_days(request, read_references, console))


def _replay_days(request: Request, read_references: bool, console: ClosableConsole) -> Result:
    goal = load_goal(request.goal_path)
    warehouse = open_warehouse(request.target)
    run_id = new_run_id(request.work_dir)
    with run_lock(lock_path(warehouse, request.work_dir), run_id, warehouse):
        result = _replay_day(request, goal, warehouse, run_id, read_references, console)
        return rebuild_later_days(request, goal, warehouse, console, result)


def rebuild_later_days(
    request: Request, goal: Goal, warehouse: Warehouse, console: ClosableConsole, result: Result
) -> Result:
    """After a day was published, build every later day again that has published one of its events as well.

    An event belongs to the first day that can publish it, whichever was run first. Their raw records are there, so no source is read.

    Args:
        request: What was asked for; its date is the day that was published.
        result: How that ended. If it published nothing, neither will this.

    Returns:
        The same result, with the exit code of the first later day that could not be published if there is one.
    """
    day, waiting = request.date, set[date]()
    while result.exit_code in (0, 3):
        waiting |= _overlapping_days(request, warehouse, day)
        if not waiting:
            break
        day = min(waiting)
        waiting.remove(day)
        console.message(f"{day} had published events that belong to an earlier day now: it is built again.")
        again = replace(request, date=day)
        follower = _replay_day(again, goal, warehouse, new_run_id(request.work_dir), False, console)
        if follower.exit_code not in (0, 3):
            command = command_line(day, request.target, "replay", options=request.options)
            console.message(f"{day} has them still. Once the cause is mended: {command}", error=True)
            return Result(follower.exit_code, result.summary)
    return result


def _overlapping_days(request: Request, warehouse: Warehouse, day: date) -> set[date]:
    lookback = read_project_vars(request.project_dir).get("lookback_days", 0)
    with warehouse.session() as session:
        return overlapping_days(session, day, int(str(lookback)))


def _replay_day(
    request: Request, goal: Goal, warehouse: Warehouse, run_id: str, read_references: bool, console: Console
) -> Result:
    state = read_state(warehouse, request.date)
    if not state.loads:
        raise UsageError(
            f"{request.date} has no raw records to replay. "
            f"Collect it: {command_line(request.date, request.target, options=request.options)}"
        )
    with request.sandbox(request.date) if read_references else nullcontext(()) as notes:
        configured = configured_source_names()
        tables = reference_tables(request, configured) if read_references else {}
        settings = Settings(
            date=request.date,
            target=request.target,
            sources=sources_of_day(state, configured),
            source_filter=None,
            force=True,
            project_dir=request.project_dir,
            work_dir=request.work_dir,
            archive="",
            goal_path=request.goal_path,
            notes=tuple(notes),
            options=request.options,
        )
        meter = ResourceMeter()
        console.run_started(run_id=run_id, date=str(settings.date), target=settings.target, notes=settings.notes)
        run = ReplayRun(settings, goal, warehouse, console, run_id, meter)
        run.references = tables
        note_request(run.run_dir, settings, "replay")
        summary = run.execute(state, [])
        meter.stop()
        console.run_finished(summary)
        if summary["exit_code"] in (0, 3):
            console.message(_outcome_line(run.replayed, summary))
        return Result(summary["exit_code"], summary)


def _outcome_line(replayed: int, summary: Mapping[str, Any]) -> str:
    left = plural(summary["quarantined"], "record")
    passed = f"{plural(replayed, 'record')} left the quarantine" if replayed else "No record left the quarantine"
    return f"{passed}; {left} can't be published still."


def sources_of_day(state: DayState, configured: Sequence[str]) -> tuple[str, ...]:
    """Return the sources of a day: those that are configured, and those whose records are there.

    While the sandbox is used none is configured without it; then those of the last run are meant.
    """
    before = published_summary(state)["sources"] if state.last_run is not None else {}
    return tuple(sorted({*(configured or before), *state.loads}))


def reference_tables(request: Request, configured: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of the reference tables of each source that has some.

    Raises:
        UsageError: The source that was asked for is unknown or has none.
    """
    tables = {source.name: source.reference_tables() for source in read_sources()}
    tables = {name: names for name, names in tables.items() if names}
    wanted = request.source_filter
    if wanted is None:
        return tables
    if wanted not in tables:
        problem = "has no reference table" if wanted in configured else "is unknown"
        known = ", ".join(tables) or "none"
        raise UsageError(f"source '{wanted}' {problem}. Sources with reference tables: {known}")
    return {wanted: tables[wanted]}


class ReplayRun(DayRun):
    """A run that collects nothing.

    Attributes:
        references: The reference tables to read, by source.
        replayed: Records that left the quarantine, once the day is built.
    """

    references: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    replayed: int = 0

    def _collect(self, state: DayState, to_collect: list[str]) -> None:
        self._start_phase("collect", "Reference Tables")
        before = published_summary(state)["sources"] if state.last_run is not None else {}
        for name in self.settings.sources:
            kept = state.loads.get(name)
            self.outcomes[name] = kept if kept is not None else _absent(name, before.get(name, {}))
            if kept is not None:
                self.collected_by[name] = str(kept.load_id)
        # what a replay left that was killed
        self._insist("collect", self._sweep)
        lines = self._read_references(state)
        loaded = [outcome for outcome in self.outcomes.values() if outcome.loaded]
        records = sum(outcome.collected for outcome in loaded)
        observed = f"{plural(records, 'raw record')} of {plural(len(loaded), 'source')} are there"
        self.journal.record("collect", observed, "build the day from them", "; ".join(lines))
        status = "COMPLETED" if len(loaded) == len(self.outcomes) else "COMPLETED WITH WARNINGS"
        self._finish_phase("collect", status, [f"Raw records: {records:,}, none collected again", *lines])

    def _sweep(self) -> None:
        with self.warehouse.transaction() as session:
            migrate(session)
            sweep_raw(session, self.settings.date)

    def _read_references(self, state: DayState) -> list[str]:
        """Put the reference tables of today in the place of those that are there; returns what was done."""
        readable = {name: tables for name, tables in self.references.items() if name in state.loads}
        lines = [
            f"{name}: not collected for this day, so its reference tables are left alone"
            for name in self.references
            if name not in readable
        ]
        if not readable:
            return [*lines, "no reference table was read"]
        step = ("references",)
        self.console.step(step, f"Reading the reference tables of {', '.join(readable)} anew...", "running")
        counts, problems = self._load_references(readable)
        if problems:
            self._insist("collect", self._sweep)
            self.console.step(step, f"Reference tables: {'; '.join(problems)}", "failed")
            keep = command_line(
                self.settings.date,
                self.settings.target,
                "replay --keep-references",
                options=self.settings.options,
            )
            raise EscalationError(
                "collect",
                "; ".join(problems),
                "the reference tables could not be read",
                f"mend the source and replay again, or go on with the reference tables as they are: {keep}",
                list(readable),
            )

        def adopt() -> None:
            with self.warehouse.transaction() as session:
                adopt_references(session, self.run_id, self.settings.date, readable)

        self._insist("collect", adopt)
        self.console.step(step, "Reference tables", "ok")
        return [*lines, *(f"{name}: {count:,} rows read anew" for name, count in counts.items())]

    def _load_references(self, readable: Mapping[str, tuple[str, ...]]) -> tuple[dict[str, int], list[str]]:
        """Load them beside those that are there; returns rows by table, and what went wrong."""
        collector = Collector(
            run_dir=self.run_dir,
            run_id=self.run_id,
            day=self.settings.date,
            target=self.settings.target,
            sources=list(readable),
            budget_s=self._budget("collect"),
            references_only=True,
        )
        try:
            # its own words are about records of the day
            fresh = collector.run(QuietConsole(io.StringIO()))
        except BaseException:
            collector.stop()
            raise
        for observed, decision, outcome in collector.decisions:
            self.journal.record("collect", observed, decision, outcome)
        failed = [str(outcome.reason) for outcome in fresh.values() if not outcome.loaded]
        if failed:
            return {}, failed
        counts = {
            f"{name}.{table}": int(fresh[name].detail.get("tables", {}).get(table, 0))
            for name, tables in readable.items()
            for table in tables
        }
        # an empty table would let every orphan pass
        return counts, [f"reference table {name} came back empty" for name, count in counts.items() if not count]

    def _transform(self, loop: BuildLoop) -> None:
        super()._transform(loop)
        passed = f"{plural(self.replayed, 'record')} passed that had been quarantined"
        self.journal.record("transform", "every raw record of the day was read again", "apply today's rules", passed)

    def _read_figures(self) -> None:
        super()._read_figures()
        with self.warehouse.session() as session:
            rows = session.query(
                "select count(*) as found from intermediate.int_records_replayed where replayed_by_run = ?",
                (self.run_id,),
            )
        self.replayed = int(rows[0]["found"])

    def _archive(self, to_collect: list[str]) -> None:
        """Nothing came in, so there is nothing to archive."""


def _absent(name: str, before: Mapping[str, Any]) -> LoadOutcome:
    return LoadOutcome(
        source=name,
        status="failed",
        load_id=None,
        location=str(before.get("location") or ""),
        collected=0,
        rejected=0,
        tries=int(before.get("tries") or 1),
        reason=str(before.get("reason") or f"source '{name}' was not collected for this day"),
        duration_s=0.0,
        detail={"title": before.get("title", name), "fallback": False},
    )


def overlapping_days(session: Session, day: date, lookback_days: int) -> set[date]:
    """Return the later days within the look-back window that have published an event of this day as well.

    An event belongs to the first day that can publish it; what a replay lets pass, a later day may have published.
    """
    rows = session.query(
        "select distinct later.load_date from analytics.events as later "
        "inner join analytics.events as first on later.event_id = first.event_id "
        "where first.load_date = ? and later.load_date > ? and later.load_date <= ?",
        (day, day, day + timedelta(days=lookback_days)),
    )
    return {row["load_date"] for row in rows}
