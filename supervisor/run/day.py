"""One day's run: its four phases in their order, and what happens when one of them can't go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from loaders.errors import ConfigurationError
from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.files import write_json
from supervisor.common.request import Settings
from supervisor.common.secrecy import register_known_secrets
from supervisor.common.stopping import StopRequested
from supervisor.dbt.artifacts import ArtifactError, published_tables, type_conversions
from supervisor.dbt.client import Dbt
from supervisor.goal.compile import Goal
from supervisor.plan.budgets import DEFAULT_DEADLINE_S, HISTORY_DAYS
from supervisor.record.figures import read_figures
from supervisor.record.history import read_volumes
from supervisor.record.journal import Journal
from supervisor.record.ledger import DayState, LoadOutcome, commit_loads, has_loads, is_recorded, migrate
from supervisor.run.build import BuildLoop
from supervisor.run.clock import PhaseClock
from supervisor.run.collect import Collector
from supervisor.run.ending import RunEnd
from supervisor.run.limits import engine_environment, limited_engine
from supervisor.run.meter import ResourceMeter
from supervisor.run.outcome import EscalationError
from supervisor.run.publish import publish_day
from supervisor.run.state import RunState
from supervisor.show import advice, transcript
from supervisor.show.alerts import Alerts, configured_addresses
from supervisor.show.console_plain import LoggedConsole
from supervisor.show.console_tree import Console
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.retry import insist, is_warehouse_error

__all__ = ["DayRun", "EscalationError", "write_json"]


class DayRun:
    """The run of one day; `execute` does it all and returns the summary.

    Raises:
        UsageError: Where alerts go is not understood.
    """

    def __init__(
        self, settings: Settings, goal: Goal, warehouse: Warehouse, console: Console, run_id: str, meter: ResourceMeter
    ) -> None:
        addresses = configured_addresses()
        register_known_secrets(addresses)
        self.settings, self.goal, self.warehouse, self.run_id = settings, goal, warehouse, run_id
        self.run_dir = settings.work_dir / "runs" / run_id
        self.run_dir.mkdir(parents=True)
        self.console = LoggedConsole(console, self.run_dir / "run.log")
        self.console.log_start(run_id=run_id, date=str(settings.date), target=settings.target, notes=settings.notes)
        self.journal = Journal(self.run_dir / "decisions.jsonl")
        self.clock = PhaseClock(goal.limits.deadline_s or DEFAULT_DEADLINE_S, self.console)
        self.state = RunState(settings, goal, run_id, self.journal, self.clock, meter)
        self._end = RunEnd(self.state, warehouse, self.console, self.run_dir, Alerts(addresses, settings.work_dir))

    @property
    def outcomes(self) -> dict[str, LoadOutcome]:
        """What came of each source."""
        return self.state.outcomes

    @property
    def collected_by(self) -> dict[str, str]:
        """The run that collected each source's records."""
        return self.state.collected_by

    def execute(self, state: DayState, to_collect: list[str]) -> dict[str, Any]:
        """Run the phases; whatever goes wrong, everything is recorded and the summary says it.

        Raises:
            UsageError, ConfigurationError: Something must be corrected before anything can run.
        """
        with limited_engine(engine_environment(self.goal, self._volumes(), self.settings.sources)):
            try:
                status = self._run_phases(state, to_collect)
            except (UsageError, ConfigurationError):
                raise
            except (EscalationError, ArtifactError, WarehouseError) as error:
                status = "ESCALATED"
                self._end.escalate(error)
            except StopRequested as stop:
                status = self._end.stopped(stop)
            except Exception as error:
                status = self._end.failed(error, traceback.format_exc())
        return self._conclude(status)

    def _volumes(self) -> dict[str, list[int]]:
        """Records of the last days by source, as far as the warehouse knows them: only an estimate hangs on it."""
        try:
            if not self.warehouse.exists():
                return {}
            with self.warehouse.session() as session:
                volumes = read_volumes(session, self.settings.date, HISTORY_DAYS)
        except Exception as error:
            if not is_warehouse_error(error):
                raise
            return {}
        return {name: volumes[name] for name in self.settings.sources if name in volumes}

    def give_up(self, error: WarehouseError) -> dict[str, Any]:
        """End a run that could not begin because the warehouse can't be used; returns the summary."""
        self._end.escalate(error, recorded=False)
        return self._conclude("ESCALATED")

    def _conclude(self, status: str) -> dict[str, Any]:
        summary = self._end.conclude(status)
        self.console.log_end(summary)
        return summary

    # ---------------------------------------------------------------- the four phases

    def _run_phases(self, state: DayState, to_collect: list[str]) -> str:
        # dbt parses the project while the sources are being collected
        dbt = Dbt(self.settings.project_dir, self.run_dir, self.settings.target)
        try:
            self._collect(state, to_collect)
            loop = BuildLoop(self.state, dbt, self.console, self._read_figures)
            self._transform(loop)
            self._validate(loop)
        finally:
            dbt.close()
        status = "SUCCESS" if all(outcome.loaded for outcome in self.outcomes.values()) else "PARTIAL"
        self._publish(status, to_collect)
        return status

    def _collect(self, state: DayState, to_collect: list[str]) -> None:
        self._start_phase("collect", "Data Collection")
        collector = Collector(
            run_dir=self.run_dir,
            run_id=self.run_id,
            day=self.settings.date,
            target=self.settings.target,
            sources=to_collect,
            budget_s=self._budget("collect"),
        )
        try:
            fresh = collector.run(self.console)
        except BaseException:
            collector.stop()
            raise
        for observed, decision, outcome in collector.decisions:
            self.journal.record("collect", observed, decision, outcome)
        self._commit(fresh)
        self._take_outcomes(state, fresh)
        loaded = [outcome for outcome in self.outcomes.values() if outcome.loaded]
        status = "COMPLETED" if len(loaded) == len(self.outcomes) else "COMPLETED WITH WARNINGS"
        nothing_new = not any(outcome.loaded for outcome in fresh.values())
        self._finish_phase("collect", "FAILED" if nothing_new else status, transcript.collect_lines(self.outcomes))
        if nothing_new:
            raise self._nothing_new(fresh)

    def _commit(self, fresh: Mapping[str, LoadOutcome]) -> None:
        def work() -> None:
            with self.warehouse.transaction() as session:
                migrate(session)
                # a connection that broke during a commit leaves it open whether that was done: the ledger knows
                if not has_loads(session, self.run_id):
                    commit_loads(session, self.run_id, self.settings.date, list(fresh.values()))

        self._insist("collect", work)

    def _take_outcomes(self, state: DayState, fresh: Mapping[str, LoadOutcome]) -> None:
        """Put together what this run loaded and what earlier ones left of the day."""
        for name in self.settings.sources:
            kept = state.loads.get(name)
            if name in fresh:
                self.outcomes[name] = fresh[name]
                self.collected_by[name] = self.run_id
            elif kept is not None:
                self.outcomes[name] = kept
            if kept is not None and not (name in fresh and fresh[name].loaded):
                self.collected_by[name] = str(kept.load_id)
                observed = f"source '{name}' has {kept.collected:,} records of run {kept.load_id}"
                self.journal.record("collect", observed, "build the day with them", "kept")

    def _nothing_new(self, fresh: Mapping[str, LoadOutcome]) -> EscalationError:
        reasons = "; ".join(str(outcome.reason) for outcome in fresh.values())
        every = len(fresh) == len(self.settings.sources)
        what = "every source failed" if every else "no missing source could be collected"
        recommendation = advice.repair(self.settings, fresh)
        if all(outcome.no_data for outcome in fresh.values()):
            recommendation = f"no source has data for {self.settings.date}: check the date"
        elif all(outcome.at_warehouse for outcome in fresh.values()):
            what = "the warehouse can't be used"
            check = command_line(self.settings.date, self.settings.target, "check")
            recommendation = f"see what it lacks: {check}, then run the same command"
        return EscalationError(
            "collect", reasons, f"{what}: there is nothing new to publish", recommendation, list(fresh)
        )

    def _transform(self, loop: BuildLoop) -> None:
        self._start_phase("transform", "Data Transformation")
        transcript.transform_started(self.console, self.outcomes)
        loop.transform()
        conversions = type_conversions(self.state.nodes)
        transcript.transform_finished(self.console, self.outcomes, self.state.figures, conversions)
        self._finish_phase("transform", "COMPLETED", transcript.transform_lines(self.state.figures))

    def _validate(self, loop: BuildLoop) -> None:
        self._start_phase("validate", "Quality Validation")
        transcript.validate_started(self.console)
        loop.validate()
        criteria = [result.as_dict() for result in self.state.criteria()]
        transcript.validate_finished(self.console, self.state.figures, criteria)
        self._finish_phase("validate", "COMPLETED", transcript.validate_lines(self.state.figures))

    def _publish(self, status: str, to_collect: list[str]) -> None:
        self._start_phase("publish", "Data Publishing")
        # decided before the publish, so that it is recorded with it
        dropped = self._end.drop_optional_work(to_collect)
        transcript.publish_started(self.console, self.warehouse.description, self.state.figures)
        tables = published_tables(self.state.nodes)
        figures = self.state.figures
        expected = {
            "analytics.events": sum(one.published for one in figures.values()),
            "metadata.lineage": len(figures),
        }

        def conclude(measured: Mapping[str, int]) -> tuple[Mapping[str, Any], list[dict[str, str]]]:
            self.state.measured.update(measured)
            return self.state.summary(status), self.journal.entries

        tried = False

        def work() -> None:
            nonlocal tried
            if tried:
                with self.warehouse.session() as session:
                    # as above: published is published
                    if is_recorded(session, self.run_id):
                        return
            tried = True
            publish_day(
                self.warehouse, self.settings.date, self.run_id, tables, conclude,
                expected=expected, timeout_s=self._budget("publish"),
            )  # fmt: skip

        self._insist("publish", work)
        self._end.note_publication(self.state.code_of(status))
        transcript.published(self.console, self.run_id, self.state.figures)
        self._end.report(status)
        if not dropped:
            self._archive(to_collect)
        whole = self.state.report is not None and (
            dropped or self.state.archived is not None or not self.settings.archive
        )
        self._finish_phase(
            "publish", "COMPLETED" if whole else "COMPLETED WITH WARNINGS", transcript.publish_lines(self.state.figures)
        )

    # ---------------------------------------------------------------- what they share

    def _archive(self, to_collect: list[str]) -> None:
        self._end.archive(to_collect)

    def _read_figures(self) -> None:
        """Read the day's figures as they are now."""

        def work() -> None:
            with self.warehouse.session() as session:
                self.state.take_figures(read_figures(session))

        self._insist(self.clock.running or "validate", work)

    def _insist(self, phase: str, work: Callable[[], None]) -> None:
        """Work on the warehouse, again where that may help; each further try is a decision."""

        def on_retry(problem: str, wait_s: float) -> None:
            transcript.waiter(self.console)(problem, wait_s)
            self.journal.record(
                phase, f"the warehouse: {problem}", f"retry in {wait_s:.0f} s", "the failure is transient"
            )

        insist(work, seconds=self._budget(phase), on_retry=on_retry)

    def _budget(self, phase: str) -> float:
        """Seconds that the phase may still take."""
        return self.clock.remaining(phase)

    def _start_phase(self, name: str, title: str) -> None:
        self.clock.start(name, title)

    def _finish_phase(self, name: str, status: str, lines: list[str]) -> None:
        self.clock.finish(name, status, lines)
