"""What is known of a run at any moment, and the summary made of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from supervisor.common.request import Settings
from supervisor.dbt.artifacts import type_conversions
from supervisor.goal.compile import Goal, evaluate
from supervisor.goal.criteria import CriterionResult
from supervisor.record.figures import SCHEMA_VERSION, DayFigures, figures_of_summary, measurements
from supervisor.record.journal import Journal
from supervisor.record.ledger import LoadOutcome
from supervisor.run.clock import PhaseClock
from supervisor.run.meter import ResourceMeter
from supervisor.run.outcome import EXIT_CODES, EXIT_GOAL_MISSED
from supervisor.show import advice


class RunState:
    """The facts of a run, gathered as it goes; its phases fill them in.

    Attributes:
        outcomes: What came of each source, kept loads of earlier runs among them.
        collected_by: The run that collected each source's records.
        figures: The day's counts by source, once they have been read.
        measured: By metric of the goal.
        nodes: The dbt manifest's nodes.
        escalation: Why nothing was published, and what to do.
        error: What broke the run off.
        exit_code: Set when a signal stopped the run; otherwise the status decides.
    """

    def __init__(
        self, settings: Settings, goal: Goal, run_id: str, journal: Journal, clock: PhaseClock, meter: ResourceMeter
    ) -> None:
        self.settings, self.goal, self.run_id, self.journal, self.clock, self.meter = (
            settings, goal, run_id, journal, clock, meter,
        )  # fmt: skip
        self.started_at = datetime.now(UTC)
        self._cpu_before_s = meter.cpu_seconds()
        self.outcomes: dict[str, LoadOutcome] = {}
        self.collected_by: dict[str, str] = {}
        self.figures: dict[str, DayFigures] = {}
        self.measured: dict[str, Any] = {}
        self.nodes: Mapping[str, Any] = {}
        self.escalation: dict[str, Any] | None = None
        self.error: dict[str, str] | None = None
        self.report: str | None = None
        self.archived: str | None = None
        self.alert: dict[str, Any] | None = None
        self.exit_code: int | None = None

    def take_figures(self, figures: dict[str, DayFigures]) -> None:
        """Take the day's figures as they were measured last."""
        self.figures = figures
        self.measured.update(measurements(figures, self.outcomes, self.settings.sources))

    def criteria(self) -> list[CriterionResult]:
        """The goal's criteria, held against what is measured by now."""
        elapsed_s = self.clock.elapsed_s
        running = {"duration_s": elapsed_s, "peak_memory_mb": self.meter.peak_mb}
        # of a moment's time no rate can be told
        if elapsed_s > 1:
            running["cores_used"] = (self.meter.cpu_seconds() - self._cpu_before_s) / elapsed_s
        return evaluate(self.goal, {**self.measured, **running})

    def unmet(self, *, gates: bool) -> list[CriterionResult]:
        """Criteria that are measured and not met: those that hold the publication back, or the others."""
        return [one for one in self.criteria() if one.met is False and one.criterion.gate == gates]

    def code_of(self, status: str) -> int:
        """The exit code: what is published with a criterion missed, such as the deadline, is partial too."""
        if self.exit_code is not None:
            return self.exit_code
        missed = status == "SUCCESS" and any(one.met is False for one in self.criteria())
        return EXIT_GOAL_MISSED if missed else EXIT_CODES[status]

    def summary(self, status: str) -> dict[str, Any]:
        """The content of `summary.json` as far as it is known now."""
        missing = [name for name, outcome in self.outcomes.items() if not outcome.loaded]
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "date": self.settings.date.isoformat(),
            "target": self.settings.target,
            "options": dict(self.settings.options),
            "status": status,
            "exit_code": self.code_of(status),
            "started_at": self.started_at.isoformat(timespec="milliseconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "duration_s": round(self.clock.elapsed_s, 3),
            "peak_memory_mb": self.meter.peak_mb,
            "phases": self.clock.phases(),
            **figures_of_summary(self.figures, self.outcomes, self.collected_by),
            "type_conversions": sum(type_conversions(self.nodes).values()),
            "criteria": [result.as_dict() for result in self.criteria()],
            "decisions": self.journal.entries,
            "repair_command": advice.repair_command(self.settings, missing) if missing else None,
            "report": self.report,
            "archive": self.archived,
            "alert": self.alert,
            "escalation": self.escalation,
            "error": self.error,
        }
