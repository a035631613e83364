"""One day's run: its four phases in their order, and what happens when one of them can't go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from loaders.errors import ConfigurationError
from supervisor.common.errors import UsageError
from supervisor.common.request import Request
from supervisor.common.stopping import StopRequested
from supervisor.dbt.artifacts import ArtifactError, published_tables
from supervisor.goal.compile import Goal
from supervisor.plan.budgets import DEFAULT_DEADLINE_S, HISTORY_DAYS
from supervisor.plan.plan import Plan, make_plan
from supervisor.record.events import (
    Measured,
    Published,
    PublishStarted,
    RunFinished,
    RunStarted,
    Transformed,
    WarehouseAwaited,
    to_all,
)
from supervisor.record.figures import by_entity, read_figures
from supervisor.record.history import read_good_volumes, read_volumes
from supervisor.record.journal import Journal, note_request
from supervisor.record.ledger import DayState, is_recorded
from supervisor.run.build import BuildLoop
from supervisor.run.clock import PhaseClock
from supervisor.run.ending import RunEnd
from supervisor.run.limits import available_cores, engine_environment, limited_engine
from supervisor.run.meter import ResourceMeter
from supervisor.run.outcome import EscalationError
from supervisor.run.outlets import Outlets
from supervisor.run.publish import publish_day
from supervisor.run.state import RunState
from supervisor.run.workers import Workers
from supervisor.warehouse import retry as warehouse_retry
from supervisor.warehouse.base import Session, Warehouse, WarehouseError

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


class Intake(Protocol):
    """Where the raw records of a day come from: its sources, or what is in the warehouse.

    Attributes:
        command: Word for what is done, in `request.json`.
        title: Of the phase.
        sources: Names of the sources whose records come in with this run.
    """

    command: str
    title: str
    sources: Sequence[str]

    def run(self, day: DayRun, before: DayState) -> str:
        """Bring the records in, put what came of each source into the day's state, and return the phase's status.

        Raises:
            EscalationError: There is nothing that the day can be built from.
        """

    def measured(self, session: Session, run_id: str) -> None:
        """The day's figures have been read; a session to read more with."""

    def transformed(self, state: RunState) -> None:
        """The day is built."""


class DayRun:
    """The run of one day; `execute` does it all and returns the summary.

    Attributes:
        state: What is known of the run.
    """

    def __init__(
        self,
        request: Request,
        goal: Goal,
        warehouse: Warehouse,
        outlets: Outlets,
        workers: Workers,
        run_id: str,
        intake: Intake,
    ) -> None:
        self.request, self.warehouse, self.workers, self._intake = request, warehouse, workers, intake
        run_dir = request.work_dir / "runs" / run_id
        run_dir.mkdir(parents=True)
        self.emit = to_all(Journal(run_dir / "decisions.jsonl"), outlets.emit)
        self._meter = ResourceMeter(lambda: workers.pids, lambda: workers.forking)
        self.emit(RunStarted(run_id, run_dir, request.date, request.target, request.notes))
        self.clock = PhaseClock(goal.limits.deadline_s or DEFAULT_DEADLINE_S, self.emit)
        self.state = RunState(request, goal, run_id, self.clock, self._meter, self.emit)
        self._end = RunEnd(self.state, warehouse, outlets)
        note_request(run_dir, request, intake.command)

    def execute(self, before: DayState) -> Summary:
        """Run the phases; whatever goes wrong, everything is recorded and the summary says it.

        Args:
            before: What earlier runs left of the day.

        Raises:
            UsageError, ConfigurationError: Something must be corrected before anything can run.
        """
        self.plan = self._make_plan()
        with limited_engine(engine_environment(self.plan)):
            try:
                status = self._run_phases(before)
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

    def give_up(self, error: WarehouseError) -> Summary:
        """End a run that could not begin because the warehouse can't be used; returns the summary."""
        self._end.escalate(error, recorded=False)
        return self._conclude("ESCALATED")

    def _conclude(self, status: str) -> Summary:
        summary = self._end.conclude(status)
        self._meter.stop()
        self.emit(RunFinished(summary))
        return summary

    def _make_plan(self) -> Plan:
        # kinds are only shown: what sources and engine get does not depend on them
        kinds = dict.fromkeys(self.request.sources, "unknown")
        return make_plan(self.state.goal, kinds, self._volumes(), cores=available_cores())

    def _volumes(self) -> dict[str, list[int]]:
        """Records of the last days by source, as far as the warehouse knows them: only an estimate hangs on it."""
        try:
            if not self.warehouse.exists():
                return {}
            with self.warehouse.session() as session:
                volumes = read_volumes(session, self.request.date, HISTORY_DAYS)
        except Exception as error:
            if not warehouse_retry.is_warehouse_error(error):
                raise
            return {}
        return {name: volumes[name] for name in self.request.sources if name in volumes}

    # ---------------------------------------------------------------- the four phases

    def _run_phases(self, before: DayState) -> str:
        # dbt parses the project while the sources are being collected
        with self.workers.dbt(self.state.run_dir) as dbt:
            self._collect(before)
            loop = BuildLoop(self.state, dbt, self._read_figures)
            self._transform(loop)
            self._validate(loop)
        status = "SUCCESS" if all(outcome.is_whole for outcome in self.state.outcomes.values()) else "PARTIAL"
        self._publish(status)
        return status

    def _collect(self, before: DayState) -> None:
        self.clock.start("collect", self._intake.title)
        status = self._intake.run(self, before)
        self._measure_volumes()
        self.clock.finish("collect", status)

    def _transform(self, loop: BuildLoop) -> None:
        self.clock.start("transform", "Data Transformation")
        loop.transform()
        self.emit(Transformed(self.state.figures, self.state.type_conversions))
        self.clock.finish("transform", "COMPLETED")
        self._intake.transformed(self.state)

    def _validate(self, loop: BuildLoop) -> None:
        self.clock.start("validate", "Quality Validation")
        loop.validate()
        self.emit(Measured(self.state.figures, self.state.criteria(), tuple(self.state.entities.values())))
        self.clock.finish("validate", "COMPLETED")

    def _publish(self, status: str) -> None:
        self.clock.start("publish", "Data Publishing")
        # decided before the publish, so that it is recorded with it
        dropped = self._end.drop_optional_work(self._intake.sources)
        entities = self.state.entities
        marts = {entities[name].table: one.published for name, one in by_entity(self.state.cells).items()}
        self.emit(PublishStarted(self.warehouse.description, tuple(marts)))
        tables = published_tables(self.state.nodes)
        expected = {**marts, "metadata.lineage": len(self.state.cells)}

        def conclude(measured: Mapping[str, int]) -> tuple[Summary, list[dict[str, str]]]:
            self.state.measured.update(measured)
            return self.state.summary(status), self.state.decisions

        tried = False

        def work() -> None:
            nonlocal tried
            if tried:
                with self.warehouse.session() as session:
                    # a connection that broke during a commit leaves it open whether that was done: the ledger knows
                    if is_recorded(session, self.state.run_id):
                        return
            tried = True
            publish_day(
                self.warehouse, self.request.date, self.state.run_id, tables, conclude,
                expected=expected, marts=list(marts), timeout_s=self.clock.remaining("publish"),
            )  # fmt: skip

        self.retry("publish", work)
        self._end.note_publication(self.state.code_of(status))
        self.emit(Published(self.state.run_id))
        self._end.report(status)
        if not dropped:
            self._end.archive(self._intake.sources)
        archived = dropped or self.state.archived is not None or not self.request.archive or not self._intake.sources
        whole = self.state.report is not None and archived
        self.clock.finish("publish", "COMPLETED" if whole else "COMPLETED WITH WARNINGS")

    # ---------------------------------------------------------------- what they share

    def _measure_volumes(self) -> None:
        """Measure what each source brought, and hold it against its own past where the goal wants that."""
        held = [(one, one.past) for one in self.state.goal.criteria if one.past is not None]
        earlier: dict[str, list[int]] = {}

        def work() -> None:
            with self.warehouse.session() as session:
                for one, past in held:
                    earlier[one.name] = read_good_volumes(session, str(one.subject), self.request.date, past)

        if held:
            self.retry("collect", work)
        self.state.update_volumes(earlier)

    def _read_figures(self) -> None:
        """Read the day's figures as they are now."""

        def work() -> None:
            with self.warehouse.session() as session:
                self.state.update_figures(read_figures(session))
                self._intake.measured(session, self.state.run_id)

        self.retry(self.clock.running or "validate", work)

    def retry(self, phase: str, work: Callable[[], None]) -> None:
        """Work on the warehouse, again where that may help; each further try is a decision."""

        def on_retry(problem: str, wait_s: float) -> None:
            self.emit(WarehouseAwaited(problem, wait_s))
            self.state.decide(
                phase, f"the warehouse: {problem}", f"retry in {wait_s:.0f} s", "the failure is transient"
            )

        warehouse_retry.retry(work, seconds=self.clock.remaining(phase), on_retry=on_retry)
