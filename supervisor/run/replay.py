"""Replay: a day built again from the raw records that are there, after a rule, a mapping or a missing user was fixed.

No record is collected again. Reference tables are read anew, the day passes the same gates as in any run, and what was
quarantined and passes now is published with the rest of the day; the quarantine keeps it as history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from loaders.config import configured_source_names, read_sources
from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.outcome import PUBLISHED_CODES, Outcome
from supervisor.common.request import Request
from supervisor.common.text import plural
from supervisor.dbt.declarations import read_declarations
from supervisor.goal.compile import Goal, load_goal
from supervisor.record.events import RawRecordsKept, ReferencesRead, ReferencesRequested, Said
from supervisor.record.journal import new_run_id
from supervisor.record.ledger import (
    DayState,
    LoadOutcome,
    adopt_references,
    migrate,
    published_summary,
    read_state,
    sweep_raw,
)
from supervisor.run.day import DayRun
from supervisor.run.intake import collect
from supervisor.run.outcome import EscalationError, Result
from supervisor.run.outlets import Outlets
from supervisor.run.state import RunState
from supervisor.run.workers import Workers
from supervisor.warehouse.base import Session, Warehouse
from supervisor.warehouse.engines import open_warehouse
from supervisor.warehouse.lock import run_lock

if TYPE_CHECKING:
    from supervisor.record.summary import Entity, Source, Summary


def run_replay(request: Request, outlets: Outlets, workers: Workers, *, read_references: bool) -> Result:
    """Replay a day, then every later day that had published one of the records which belong to this day now.

    Args:
        request: As for a run; `source_filter` names the only source whose reference tables are read.
        outlets: Where everything goes that leaves the runs.
        workers: The processes that do the work.
        read_references: Whether reference tables are read anew; without it no source is needed at all.
    """
    goal = load_goal(request.goal_path, read_declarations(request.project_dir).entities)
    warehouse = open_warehouse(request.target)
    run_id = new_run_id(request.work_dir)
    with run_lock(warehouse.lock_path(request.work_dir), run_id, warehouse):
        result = _replay_day(request, goal, warehouse, outlets, workers, run_id, read_references)
        return rebuild_later_days(request, goal, warehouse, outlets, workers, result)


def rebuild_later_days(
    request: Request, goal: Goal, warehouse: Warehouse, outlets: Outlets, workers: Workers, result: Result
) -> Result:
    """After a day was published, build every later day again that has published one of its records as well.

    A record belongs to the first day that can publish it, whichever was run first. Their raw records are there, so no source is read.

    Args:
        request: What was asked for; its date is the day that was published.
        result: How that ended. If it published nothing, neither will this.

    Returns:
        The same result, with the exit code of the first later day that could not be published if there is one.
    """
    day, waiting = request.date, set[date]()
    while result.exit_code in PUBLISHED_CODES:
        waiting |= _overlapping_days(warehouse, day, result.summary) if result.summary else set()
        if not waiting:
            break
        day = min(waiting)
        waiting.remove(day)
        outlets.emit(Said(f"{day} had published records that belong to an earlier day now: it is built again."))
        again = replace(request, date=day)
        try:
            follower = _replay_day(again, goal, warehouse, outlets, workers, new_run_id(request.work_dir), False)
        except UsageError as error:
            # the first day is published: that the later one can't follow is told, and its rows stay
            outlets.emit(Said(str(error), is_error=True))
            return Result(Outcome.ESCALATED.exit_code, result.summary)
        if follower.exit_code not in PUBLISHED_CODES:
            command = command_line(day, request.target, "replay", options=request.options)
            outlets.emit(Said(f"{day} has them still. Once the cause is fixed: {command}", is_error=True))
            return Result(follower.exit_code, result.summary)
    return result


def _overlapping_days(warehouse: Warehouse, day: date, summary: Summary) -> set[date]:
    with warehouse.session() as session:
        return {
            later
            for entity in summary.entities.values()
            if entity.lookback_days
            for later in overlapping_days(session, day, entity)
        }


def overlapping_days(session: Session, day: date, entity: Entity) -> set[date]:
    """Return the later days within the look-back window that have published a record of this day as well.

    A record belongs to the first day that can publish it; what a replay lets pass, a later day may have published.
    """
    same_key = " and ".join(f'later."{column}" = first."{column}"' for column in entity.key)
    rows = session.query(
        f"select distinct later.load_date from {entity.table} as later inner join {entity.table} as first on {same_key} "
        "where first.load_date = ? and later.load_date > ? and later.load_date <= ?",
        (day, day, day + timedelta(days=entity.lookback_days or 0)),
    )
    return {row["load_date"] for row in rows}


def _replay_day(
    request: Request,
    goal: Goal,
    warehouse: Warehouse,
    outlets: Outlets,
    workers: Workers,
    run_id: str,
    read_references: bool,
) -> Result:
    before = read_state(warehouse, request.date)
    if before.pruned:
        again = command_line(request.date, request.target, "--force", options=request.options)
        raise UsageError(
            f"{request.date} can't be built again: raw records of {', '.join(sorted(before.pruned))} have passed their retention. "
            f"If the sources still have the day: {again}"
        )
    if not before.loads:
        collect_it = command_line(request.date, request.target, options=request.options)
        raise UsageError(f"{request.date} has no raw records to replay. Collect it: {collect_it}")
    with request.sandbox(request.date) if read_references else nullcontext(()) as notes:
        configured = configured_source_names()
        intake = RawIntake(reference_tables(request, configured) if read_references else {})
        asked = replace(
            request,
            sources=sources_of_day(before, configured),
            source_filter=None,
            force=True,
            archive="",
            notes=tuple(notes),
        )
        bound = goal.bound_to(asked.sources)
        summary = DayRun(asked, bound, warehouse, outlets, workers, run_id, intake).execute(before)
        if summary.exit_code in PUBLISHED_CODES:
            outlets.emit(Said(_outcome_line(intake.replayed, summary)))
        return Result(summary.exit_code, summary)


def _outcome_line(replayed: int, summary: Summary) -> str:
    left = plural(summary.quarantined, "record")
    passed = f"{plural(replayed, 'record')} left the quarantine" if replayed else "No record left the quarantine"
    return f"{passed}; {left} still can't be published."


def sources_of_day(before: DayState, configured: Sequence[str]) -> tuple[str, ...]:
    """Return the sources of a day: those that are configured, and those whose records are there.

    While the sandbox is used none is configured without it; then those of the last run are meant.
    """
    last = published_summary(before).sources if before.last_run is not None else {}
    return tuple(sorted({*(configured or last), *before.loads}))


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


class RawIntake:
    """The intake of a replay: the raw records that are there, with today's reference tables.

    Args:
        references: The reference tables to read, by source.

    Attributes:
        replayed: Records that left the quarantine, once the day is built.
    """

    command = "replay"
    title = "Reference Tables"
    sources: Sequence[str] = ()

    def __init__(self, references: Mapping[str, tuple[str, ...]]) -> None:
        self._references = references
        self.replayed = 0

    def run(self, day: DayRun, before: DayState) -> str:
        """See `supervisor.run.day.Intake`."""
        state = day.state
        last = published_summary(before).sources if before.last_run is not None else {}
        for name in day.request.sources:
            kept = before.loads.get(name)
            state.outcomes[name] = kept if kept is not None else _absent(name, last.get(name))
            if kept is not None:
                state.collected_by[name] = str(kept.load_id)
        # what a replay left that was killed
        self._sweep(day)
        notes = self._read_references(day, before)
        loaded = [outcome for outcome in state.outcomes.values() if outcome.loaded]
        records = sum(outcome.collected for outcome in loaded)
        observed = f"{plural(records, 'raw record')} of {plural(len(loaded), 'source')} are there"
        state.decide("collect", observed, "build the day from them", "; ".join(notes))
        day.emit(RawRecordsKept(state.outcomes, records, notes))
        whole = all(outcome.is_whole for outcome in state.outcomes.values())
        return "COMPLETED" if whole else "COMPLETED WITH WARNINGS"

    def measured(self, session: Session, run_id: str) -> None:
        """See `supervisor.run.day.Intake`."""
        rows = session.query(
            "select count(*) as found from intermediate.int_records_replayed where replayed_by_run = ?", (run_id,)
        )
        self.replayed = int(rows[0]["found"])

    def transformed(self, state: RunState) -> None:
        """See `supervisor.run.day.Intake`."""
        passed = f"{plural(self.replayed, 'record')} passed that had been quarantined"
        state.decide("transform", "every raw record of the day was read again", "apply today's rules", passed)

    def _sweep(self, day: DayRun) -> None:
        def work() -> None:
            with day.warehouse.transaction() as session:
                migrate(session)
                sweep_raw(session, day.request.date)

        day.retry("collect", work)

    def _read_references(self, day: DayRun, before: DayState) -> list[str]:
        """Put the reference tables of today in the place of those that are there; returns what was done."""
        readable = {name: tables for name, tables in self._references.items() if name in before.loads}
        notes = [
            f"{name}: not collected for this day, so its reference tables are left alone"
            for name in self._references
            if name not in readable
        ]
        if not readable:
            return [*notes, "no reference table was read"]
        day.emit(ReferencesRequested(list(readable)))
        # beside those that are there
        fresh = collect(day, list(readable), references_only=True)
        problems = [str(outcome.reason) for outcome in fresh.values() if not outcome.loaded]
        counts = {} if problems else _counts(fresh, readable)
        # an empty table would let every orphan pass
        problems += [f"reference table {name} came back empty" for name, count in counts.items() if not count]
        day.emit(ReferencesRead(problems))
        if problems:
            self._sweep(day)
            keep = command_line(
                day.request.date, day.request.target, "replay --keep-references", options=day.request.options
            )
            raise EscalationError(
                "collect",
                "; ".join(problems),
                "the reference tables could not be read",
                f"fix the source and replay again, or go on with the reference tables as they are: {keep}",
                list(readable),
            )

        def adopt() -> None:
            with day.warehouse.transaction() as session:
                adopt_references(session, day.state.run_id, day.request.date, readable)

        day.retry("collect", adopt)
        return [*notes, *(f"{name}: {count:,} rows read anew" for name, count in counts.items())]


def _counts(fresh: Mapping[str, LoadOutcome], readable: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    return {
        f"{name}.{table}": int(fresh[name].detail.get("tables", {}).get(table, 0))
        for name, tables in readable.items()
        for table in tables
    }


def _absent(name: str, before: Source | None) -> LoadOutcome:
    return LoadOutcome(
        source=name,
        status="failed",
        load_id=None,
        location=(before and before.location) or "",
        collected=0,
        rejected=0,
        tries=(before and before.tries) or 1,
        reason=(before and before.reason) or f"source '{name}' was not collected for this day",
        duration_s=0.0,
        detail={"title": (before and before.title) or name, "fallback": False},
    )
