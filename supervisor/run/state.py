"""What is known of a run at any moment, and the summary made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from supervisor.common.outcome import Outcome
from supervisor.common.request import Request
from supervisor.common.secrecy import redact
from supervisor.dbt.entities import Entity, declared_entities
from supervisor.goal.compile import Goal, evaluate
from supervisor.goal.criteria import CriterionResult
from supervisor.goal.metrics import METRICS
from supervisor.judge.volume import change_of
from supervisor.record.events import DecisionTaken, Emit
from supervisor.record.figures import (
    Cells,
    DayFigures,
    by_source,
    figures_of_summary,
    measurements,
    measurements_of_subjects,
)
from supervisor.record.ledger import LoadOutcome
from supervisor.run.advice import repair_command
from supervisor.run.clock import PhaseClock
from supervisor.run.meter import ResourceMeter

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


class RunState:
    """The facts of a run, gathered as it goes; its phases fill them in.

    Attributes:
        emit: Takes an event to whoever listens.
        run_dir: The run's folder.
        outcomes: What came of each source, kept loads of earlier runs among them.
        collected_by: The run that collected each source's records.
        cells: The day's counts by entity and source, once they have been read.
        figures: The same by source.
        measured: By name of the goal's criteria.
        notes: What there is to say of them, by the same names.
        nodes: The dbt manifest's nodes.
        decisions: What was decided so far, as `summary.json` has it.
        escalation: Why nothing was published, and what to do.
        error: What broke the run off.
        exit_code: Set when a signal stopped the run; otherwise the status decides.
    """

    def __init__(
        self, request: Request, goal: Goal, run_id: str, clock: PhaseClock, meter: ResourceMeter, emit: Emit
    ) -> None:
        self.request, self.goal, self.run_id, self.clock, self.meter, self.emit = (
            request, goal, run_id, clock, meter, emit,
        )  # fmt: skip
        self.run_dir = request.work_dir / "runs" / run_id
        self.started_at = datetime.now(UTC)
        self._cpu_before_s = meter.cpu_seconds()
        self.outcomes: dict[str, LoadOutcome] = {}
        self.collected_by: dict[str, str] = {}
        self.cells: Cells = {}
        self.figures: dict[str, DayFigures] = {}
        self.measured: dict[str, Any] = {}
        self.notes: dict[str, str] = {}
        self.nodes: Mapping[str, Any] = {}
        self.decisions: list[dict[str, str]] = []
        self.escalation: dict[str, Any] | None = None
        self.error: dict[str, str] | None = None
        self.report: str | None = None
        self.archived: str | None = None
        self.alert: dict[str, Any] | None = None
        self.exit_code: int | None = None

    def decide(self, phase: str, observed: str, decision: str, outcome: str) -> None:
        """Record what was seen, what was chosen and why, and what came of it."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        taken = DecisionTaken(phase, redact(observed), redact(decision), redact(outcome), at)
        self.decisions.append(asdict(taken))
        self.emit(taken)

    @property
    def entities(self) -> dict[str, Entity]:
        """The entities that the project declares, by name; none before dbt has parsed it."""
        return declared_entities(self.nodes)

    @property
    def type_conversions(self) -> int:
        """Fields that the feeds deliver as text and that the entities declare as something else."""
        return sum(sum(entity.conversions.values()) for entity in self.entities.values())

    def update_figures(self, cells: Cells) -> None:
        """Take the day's figures as they were measured last."""
        figures = by_source(cells)
        # in the order in which the sources are known
        self.cells, self.figures = (
            cells,
            {name: figures[name] for name in dict.fromkeys([*self.outcomes, *figures]) if name in figures},
        )
        self.measured.update(measurements(self.figures, self.outcomes, self.request.sources))
        self.measured.update(measurements_of_subjects(cells, self.goal))

    def update_volumes(self, earlier: Mapping[str, Sequence[int]]) -> None:
        """Take what the sources brought, beside what they brought on earlier days by the names of the goal's criteria."""
        loaded = {name: one.collected for name, one in self.outcomes.items() if one.loaded}
        self.measured["records_collected"] = sum(loaded.values())
        for one in self.goal.criteria:
            # of a source; an entity's figures come with the build
            if (
                one.subject is None
                or one.subject not in self.request.sources
                or "source" not in METRICS[str(one.metric)].of
            ):
                continue
            if one.subject not in loaded:
                self.notes[one.name] = "the source failed"
            elif one.past is None:
                self.measured[one.name] = loaded[one.subject]
            else:
                change, self.notes[one.name] = change_of(loaded[one.subject], earlier[one.name], one.past)
                self.measured[one.name] = change

    def criteria(self) -> list[CriterionResult]:
        """The goal's criteria, held against what is measured by now."""
        elapsed_s = self.clock.elapsed_s
        running = {"duration_s": elapsed_s, "peak_memory_mb": self.meter.peak_mb}
        # of a moment's time no rate can be told
        if elapsed_s > 1:
            running["cores_used"] = (self.meter.cpu_seconds() - self._cpu_before_s) / elapsed_s
        return evaluate(self.goal, {**self.measured, **running}, self.notes)

    def unmet(self, *, gates: bool) -> list[CriterionResult]:
        """Criteria that are measured and not met: those that hold the publication back, or the others."""
        return [one for one in self.criteria() if one.met is False and one.criterion.gate == gates]

    def code_of(self, status: str) -> int:
        """The exit code: what is published with a criterion missed, such as the deadline, is partial too."""
        if self.exit_code is not None:
            return self.exit_code
        outcome = Outcome.of(status)
        if outcome is Outcome.SUCCESS and any(one.met is False for one in self.criteria()):
            outcome = Outcome.LIMIT_MISSED
        return outcome.exit_code

    def summary(self, status: str) -> Summary:
        """The content of `summary.json` as far as it is known now."""
        # pydantic takes a while to import, and a run's start needs no summary
        from supervisor.record.summary import SCHEMA_VERSION, Summary

        still_open = [name for name, outcome in self.outcomes.items() if not outcome.is_whole]
        figures = figures_of_summary(self.cells, self.entities, self.outcomes, self.collected_by)
        for name, outcome in self.outcomes.items():
            figures["sources"][name] |= {"incomplete": outcome.incomplete, "drift": outcome.drift}
        content = {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "date": self.request.date.isoformat(),
            "target": self.request.target,
            "options": dict(self.request.options),
            "status": status,
            "exit_code": self.code_of(status),
            "started_at": self.started_at.isoformat(timespec="milliseconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "duration_s": round(self.clock.elapsed_s, 3),
            "peak_memory_mb": self.meter.peak_mb,
            "phases": self.clock.phases(),
            **figures,
            "type_conversions": self.type_conversions,
            "criteria": [result.as_dict() for result in self.criteria()],
            "decisions": self.decisions,
            "repair_command": repair_command(self.request, still_open) if still_open else None,
            "report": self.report,
            "archive": self.archived,
            "alert": self.alert,
            "escalation": self.escalation,
            "error": self.error,
        }
        return Summary.model_validate(content)
