"""The usual intake of a day: its sources are collected, and a failed one keeps the rows of its last load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supervisor.common.command_line import command_line
from supervisor.common.text import listed
from supervisor.record.events import Collected
from supervisor.record.history import KnownColumns, read_known_columns
from supervisor.record.ledger import DayState, LoadOutcome, commit_loads, has_loads, migrate
from supervisor.run import advice
from supervisor.run.collect import Collector
from supervisor.run.day import DayRun
from supervisor.run.outcome import EscalationError
from supervisor.run.state import RunState
from supervisor.warehouse.base import Session


class SourceIntake:
    """Collects sources.

    Args:
        sources: Names of those to collect; others are built from what is there of them.
    """

    command = "run"
    title = "Data Collection"

    def __init__(self, sources: Sequence[str]) -> None:
        self.sources = sources

    def run(self, day: DayRun, before: DayState) -> str:
        """See `supervisor.run.day.Intake`."""
        fresh = collect(day, self.sources)
        self._commit(day, fresh)
        self._update_outcomes(day.state, before, fresh)
        day.emit(Collected(day.state.outcomes))
        lost = sorted(name for name in before.pruned if not (name in fresh and fresh[name].loaded))
        if lost:
            error = self._pruned(day, lost)
            day.clock.finish("collect", "FAILED")
            raise error
        if not any(outcome.loaded for outcome in fresh.values()):
            error = self._nothing_new(day, fresh)
            day.clock.finish("collect", "FAILED")
            raise error
        complete = all(outcome.is_whole for outcome in day.state.outcomes.values())
        return "COMPLETED" if complete else "COMPLETED WITH WARNINGS"

    def measured(self, session: Session, run_id: str) -> None:
        """See `supervisor.run.day.Intake`."""

    def transformed(self, state: RunState) -> None:
        """See `supervisor.run.day.Intake`."""

    def _commit(self, day: DayRun, fresh: Mapping[str, LoadOutcome]) -> None:
        def work() -> None:
            with day.warehouse.transaction() as session:
                migrate(session)
                # a connection that broke during a commit leaves it open whether that was done: the ledger knows
                if not has_loads(session, day.state.run_id):
                    commit_loads(session, day.state.run_id, day.request.date, list(fresh.values()))

        day.retry("collect", work)

    def _update_outcomes(self, state: RunState, before: DayState, fresh: Mapping[str, LoadOutcome]) -> None:
        """Put together what this run loaded and what earlier ones left of the day."""
        for name in state.request.sources:
            kept = before.loads.get(name)
            if name in fresh:
                state.outcomes[name] = fresh[name]
                state.collected_by[name] = state.run_id
            elif kept is not None:
                state.outcomes[name] = kept
            if kept is not None and not (name in fresh and fresh[name].loaded):
                state.collected_by[name] = str(kept.load_id)
                observed = f"source '{name}' has {kept.collected:,} records of run {kept.load_id}"
                state.decide("collect", observed, "build the day with them", "kept")
        for name, outcome in state.outcomes.items():
            if outcome.loaded and outcome.incomplete:
                kept = before.loads.get(name)
                as_before = kept is not None and kept.load_id != outcome.load_id and kept.unread == outcome.unread
                observed = f"source '{name}': {listed(outcome.unread)} could not be read"
                came = f"as in run {kept.load_id}" if kept and as_before else "the next run reads the source again"
                state.decide("collect", observed, "publish what could be read, as a partial day", came)

    def _pruned(self, day: DayRun, lost: Sequence[str]) -> EscalationError:
        request = day.request
        again = command_line(request.date, request.target, "--force", options=request.options)
        return EscalationError(
            "collect",
            f"{', '.join(lost)}: not collected now, and the raw records of {request.date} have passed their retention",
            "the day would lose rows that are published",
            f"collect all of its sources again, once they have the day: {again}",
            lost,
        )

    def _nothing_new(self, day: DayRun, fresh: Mapping[str, LoadOutcome]) -> EscalationError:
        request = day.request
        reasons = "; ".join(str(outcome.reason) for outcome in fresh.values())
        every = len(fresh) == len(request.sources)
        what = "every source failed" if every else "no missing source could be collected"
        recommendation = advice.repair_sources(request, fresh)
        if all(outcome.no_data for outcome in fresh.values()):
            recommendation = f"no source has data for {request.date}: check the date"
        elif all(outcome.at_warehouse for outcome in fresh.values()):
            what = "the warehouse can't be used"
            check = command_line(request.date, request.target, "check")
            recommendation = f"see what it lacks: {check}, then run the same command"
        reason = f"{what}: there is nothing new to publish"
        return EscalationError("collect", reasons, reason, recommendation, list(fresh))


def collect(day: DayRun, sources: Sequence[str], *, references_only: bool = False) -> dict[str, LoadOutcome]:
    """Run the loaders within the phase's budget, and record what they decided.

    Args:
        day: The run.
        sources: Names of the sources.
        references_only: Read their reference tables and no records of the day; then nobody is told of each source.
    """
    collector = Collector(
        run_dir=day.state.run_dir,
        run_id=day.state.run_id,
        day=day.request.date,
        target=day.request.target,
        sources=sources,
        budget_s=day.clock.remaining("collect"),
        start=day.workers.loaders,
        references_only=references_only,
        known={} if references_only else _known_columns(day),
        plan=day.plan,
    )
    try:
        # the summary's model takes a tenth of a second to import, which the loaders' start hides
        import supervisor.record.summary  # noqa: F401

        # of reference tables the loaders speak as of records of the day
        outcomes = collector.run((lambda event: None) if references_only else day.emit)
    except BaseException:
        collector.stop()
        raise
    for observed, decision, outcome in collector.decisions:
        day.state.decide("collect", observed, decision, outcome)
    return outcomes


def _known_columns(day: DayRun) -> dict[str, KnownColumns]:
    known: dict[str, KnownColumns] = {}

    def work() -> None:
        if day.warehouse.exists():
            with day.warehouse.session() as session:
                known.update(read_known_columns(session, day.request.date))

    day.retry("collect", work)
    return known
