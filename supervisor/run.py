"""One day's run: observe, judge, decide, act, until the goal is met or nothing allowed is left to try."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from supervisor import narrate
from supervisor.archive import ArchiveError, archive_day
from supervisor.artifacts import ArtifactError, NodeResult, published_tables, type_conversions
from supervisor.collect import Collector
from supervisor.console import Console
from supervisor.dbt import Dbt, DbtError
from supervisor.findings import judge, newly_broken
from supervisor.goal import Goal, evaluate
from supervisor.journal import Journal
from supervisor.ledger import DayState, LoadOutcome, commit_loads, migrate, record_run
from supervisor.plan_budgets import PhaseBudgets
from supervisor.policy import Allowance, Decision, Step, decide
from supervisor.publish import publish_day
from supervisor.report_data import ReportData
from supervisor.report_reader import read_report_data
from supervisor.resources import ResourceMeter
from supervisor.settings import Settings
from supervisor.summary import (
    SCHEMA_VERSION,
    DayFigures,
    figures_of_summary,
    measurements,
    read_figures,
)
from supervisor.warehouse import Warehouse

EXIT_CODES = {"SUCCESS": 0, "NOTHING_TO_DO": 0, "PARTIAL": 3, "ESCALATED": 4, "FAILED": 1}
MAX_ITERATIONS = 3
MAX_TRIES = 3
DEFAULT_DEADLINE_S = 1800
# what an iteration is taken to cost before one has been measured
ITERATION_S = 5.0


class EscalationError(Exception):
    """Raised when the goal can't be met: nothing is published. Carries what the person woken up needs."""

    def __init__(self, phase: str, observed: str, reason: str, recommendation: str) -> None:
        super().__init__(reason)
        self.phase, self.observed, self.reason, self.recommendation = phase, observed, reason, recommendation


class DayRun:
    """The run of one day; `execute` does it all and returns the summary."""

    def __init__(
        self, settings: Settings, goal: Goal, warehouse: Warehouse, console: Console, run_id: str, meter: ResourceMeter
    ) -> None:
        self.settings, self.goal, self.warehouse, self.console, self.run_id = settings, goal, warehouse, console, run_id
        self.meter = meter
        self.run_dir = settings.work_dir / "runs" / run_id
        self.run_dir.mkdir(parents=True)
        self.journal = Journal(self.run_dir / "decisions.jsonl")
        self.started_at = datetime.now(UTC)
        self._clock = time.monotonic()
        self._budgets = PhaseBudgets.for_deadline(goal.limits.deadline_s or DEFAULT_DEADLINE_S)
        self._iteration_s = ITERATION_S
        self.phases: dict[str, dict[str, Any]] = {}
        self.outcomes: dict[str, LoadOutcome] = {}
        self.collected_by: dict[str, str] = {}
        self.figures: dict[str, DayFigures] = {}
        self.results: dict[str, NodeResult] = {}
        self.history: list[Step] = []
        self.measured: dict[str, Any] = {}
        self.nodes: Mapping[str, Any] = {}
        self.escalation: dict[str, Any] | None = None
        self.report: str | None = None
        self.archived: str | None = None

    # ---------------------------------------------------------------- the four phases

    def execute(self, state: DayState, to_collect: list[str]) -> dict[str, Any]:
        """Run the phases; what goes wrong ends as ESCALATED, with everything recorded."""
        status = "SUCCESS"
        dbt: Dbt | None = None
        try:
            # dbt parses the project while the sources are being collected
            dbt = Dbt(self.settings.project_dir, self.run_dir, self.settings.target)
            self._collect(state, to_collect)
            self._transform(dbt)
            self._validate(dbt)
            if any(not outcome.loaded for outcome in self.outcomes.values()):
                status = "PARTIAL"
            self._publish(status)
        except (EscalationError, DbtError, ArtifactError) as error:
            status = "ESCALATED"
            self._escalate(error)
        finally:
            if dbt is not None:
                dbt.close()
        self._write_report(status)
        if status != "ESCALATED":
            self._archive(to_collect)
            self._finish_phase("publish", "COMPLETED", narrate.publish_lines(self.figures))
        return self._conclude(status)

    def _collect(self, state: DayState, to_collect: list[str]) -> None:
        self._start_phase("collect", "Data Collection")
        collector = Collector(
            project_dir=self.settings.project_dir,
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
        with self.warehouse.transaction() as session:
            migrate(session)
            commit_loads(session, self.run_id, self.settings.date, list(fresh.values()))
        for name in self.settings.sources:
            kept = state.loads.get(name)
            if name in fresh:
                self.outcomes[name] = fresh[name]
                self.collected_by[name] = self.run_id
            elif kept is not None:
                self.outcomes[name] = kept
            if kept is not None and not (name in fresh and fresh[name].loaded):
                self.collected_by[name] = str(kept.load_id)
                self.journal.record(
                    "collect",
                    f"source '{name}' has {kept.collected:,} records of run {kept.load_id}",
                    "build the day with them",
                    "kept",
                )
        loaded = [name for name, outcome in self.outcomes.items() if outcome.loaded]
        status = "COMPLETED" if len(loaded) == len(self.outcomes) else "COMPLETED WITH WARNINGS"
        nothing_new = not any(outcome.loaded for outcome in fresh.values())
        self._finish_phase("collect", "FAILED" if nothing_new else status, narrate.collect_lines(self.outcomes))
        if nothing_new:
            reasons = "; ".join(str(outcome.reason) for outcome in fresh.values())
            what = "every source failed" if len(fresh) == len(self.settings.sources) else "no missing source could be collected"
            no_data = all(outcome.no_data for outcome in fresh.values())
            raise EscalationError(
                "collect",
                reasons,
                f"{what}: there is nothing new to publish",
                f"no source has data for {self.settings.date}: check the date" if no_data else narrate.repair(self.settings, fresh),
            )

    def _transform(self, dbt: Dbt) -> None:
        self._start_phase("transform", "Data Transformation")
        narrate.transform_started(self.console, self.outcomes)
        arguments = ["build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
        invocation = self._invoke(dbt, "transform", arguments, tier=0)
        self.nodes = invocation.nodes
        broken = [finding for finding in judge(self.results.values()) if finding.kind == "error"]
        tries = 1
        while broken:
            decision = decide(broken, self.history, self._allowance("transform", retries=MAX_TRIES - tries))
            if decision.action != "retry":
                self.journal.record("transform", decision.observed, "escalate", decision.reason)
                raise EscalationError("transform", decision.observed, decision.reason, "mend the model, then run the same command")
            tries += 1
            time.sleep(2.0 ** (tries - 1))
            self._invoke(dbt, f"transform-retry-{tries}", [*arguments, "--select", *str(decision.select).split()], tier=0)
            broken = [finding for finding in judge(self.results.values()) if finding.kind == "error"]
            self.journal.record("transform", decision.observed, "retry", "failed again" if broken else "succeeded")
        self._read_figures()
        narrate.transform_finished(self.console, self.outcomes, self.figures, type_conversions(self.nodes))
        self._finish_phase("transform", "COMPLETED", narrate.transform_lines(self.figures))

    def _validate(self, dbt: Dbt) -> None:
        self._start_phase("validate", "Quality Validation")
        narrate.validate_started(self.console)
        self._invoke(dbt, "test", ["test", "--exclude-resource-type", "unit_test"], tier=0)
        tier = 0
        while True:
            decision = decide(judge(self.results.values()), self.history, self._allowance("validate"))
            if decision.action == "publish":
                self.journal.record("validate", decision.observed, "publish", decision.reason)
                break
            if decision.action != "cleanse" or decision.tier is None:
                self.journal.record("validate", decision.observed, "escalate", decision.reason)
                self._read_figures()
                narrate.validate_finished(self.console, self.figures, self._criteria())
                raise EscalationError("validate", decision.observed, decision.reason, narrate.recommendation(decision.observed))
            tier = self._cleanse(dbt, decision, tier)
        self._read_figures()
        narrate.validate_finished(self.console, self.figures, self._criteria())
        self._check_gates()
        self._finish_phase("validate", "COMPLETED", narrate.validate_lines(self.figures))

    def _cleanse(self, dbt: Dbt, decision: Decision, tier_before: int) -> int:
        """Apply one tier, measure again, undo it when something got worse; returns the tier then in force."""
        assert decision.tier is not None
        before = dict(self.results)
        narrate.cleansing(self.console, decision)
        started = time.monotonic()
        self._rebuild(dbt, f"iteration-{len(self.history) + 1}", decision, decision.tier)
        self._iteration_s = time.monotonic() - started
        worse = newly_broken(before, self.results)
        step = Step(decision.tier, _rows(before, decision.tier), _rows(self.results, decision.tier), bool(worse))
        self.history.append(step)
        self.journal.record(
            "validate",
            decision.observed,
            f"cleanse: {decision.reason}",
            f"made {', '.join(worse)} worse: rolled back" if worse else f"{step.gained:,} records corrected",
        )
        if not worse:
            return decision.tier
        self._rebuild(dbt, f"rollback-{len(self.history)}", decision, tier_before)
        return tier_before

    def _rebuild(self, dbt: Dbt, name: str, decision: Decision, tier: int) -> None:
        # published tables' day views stand on what is rebuilt here and need no new definition
        selection = ["--select", *str(decision.select).split(), "--exclude", "config.materialized:day_partition"]
        self._invoke(dbt, name, ["build", "--exclude-resource-type", "unit_test", *selection], tier=tier)
        errors = [finding for finding in judge(self.results.values()) if finding.kind == "error"]
        if errors:
            raise EscalationError("validate", errors[0].evidence, "the day could not be rebuilt", "mend the model, then run again")

    def _publish(self, status: str) -> None:
        self._start_phase("publish", "Data Publishing")
        narrate.publish_started(self.console, self.warehouse.description, self.figures)

        def conclude(measured: Mapping[str, int]) -> tuple[Mapping[str, Any], list[dict[str, str]]]:
            self.measured.update(measured)
            return self.summary(status), self.journal.entries

        publish_day(self.warehouse, self.settings.date, self.run_id, published_tables(self.nodes), conclude)
        narrate.published(self.console, self.run_id, self.figures)

    # ---------------------------------------------------------------- what they share

    def _invoke(self, dbt: Dbt, name: str, arguments: list[str], tier: int) -> Any:
        variables = {
            **self.goal.enforced_vars(),
            "load_date": self.settings.date.isoformat(),
            "run_id": self.run_id,
            "publish": "together",
            "cleansing_tier": tier,
            "iteration": len(self.history) + (1 if name.startswith("iteration") else 0),
        }
        phase = "transform" if name.startswith("transform") else "validate"
        invocation = dbt.invoke(name, arguments, variables, self._budget(phase))
        self.results.update({result.unique_id: result for result in invocation.results if result.status != "skipped"})
        return invocation

    def _read_figures(self) -> None:
        with self.warehouse.session() as session:
            self.figures = read_figures(session)
        self.measured.update(measurements(self.figures, self.outcomes, self.settings.sources))
        uniqueness = [r for r in self.results.values() if r.is_test and r.meta.get("dimension") == "uniqueness"]
        if uniqueness:
            self.measured["duplicates_published"] = sum(result.failures or 0 for result in uniqueness)

    def _criteria(self) -> list[dict[str, Any]]:
        elapsed = {"duration_s": time.monotonic() - self._clock, "peak_memory_mb": self.meter.peak_mb}
        return [result.as_dict() for result in evaluate(self.goal, {**self.measured, **elapsed})]

    def _check_gates(self) -> None:
        """Hold the figures against the goal itself: criteria without a dbt test count as well."""
        results = evaluate(self.goal, self.measured)
        unmet = [result for result in results if result.criterion.gate and result.met is False]
        if unmet:
            observed = "; ".join(f"{r.criterion.text}: measured {float(r.measured or 0):.6g}" for r in unmet)
            self.journal.record("validate", observed, "escalate", "a criterion of the goal is not met")
            raise EscalationError("validate", observed, "a criterion of the goal is not met", narrate.recommendation(observed))

    def _allowance(self, phase: str, retries: int = 0) -> Allowance:
        return Allowance(
            iterations=MAX_ITERATIONS - len(self.history),
            retries=retries,
            seconds=self._budget(phase),
            iteration_seconds=self._iteration_s,
        )

    def _budget(self, phase: str) -> float:
        """Seconds that the running phase may still take."""
        return self._budgets.spend(phase, self._elapsed(phase)).remaining(phase)

    def _elapsed(self, phase: str) -> float:
        return round(time.monotonic() - self.phases[phase]["started"], 3)

    def _start_phase(self, name: str, title: str) -> None:
        self.phases[name] = {"status": "RUNNING", "started": time.monotonic()}
        self.console.phase_started(name, title)

    def _finish_phase(self, name: str, status: str, lines: list[str]) -> None:
        duration_s = self._elapsed(name)
        self.phases[name] = {"status": status, "duration_s": duration_s}
        self._budgets = self._budgets.spend(name, duration_s)
        self.console.phase_finished(name, status, [*lines, f"Duration: {duration_s:.1f} s"])

    def _escalate(self, error: Exception) -> None:
        running = next((name for name, phase in self.phases.items() if "started" in phase), None)
        phase = error.phase if isinstance(error, EscalationError) else running or "collect"
        observed = error.observed if isinstance(error, EscalationError) else str(error)
        reason = error.reason if isinstance(error, EscalationError) else "dbt could not do its work"
        advice = error.recommendation if isinstance(error, EscalationError) else f"look at {self.run_dir / 'dbt'}"
        if not self.journal.entries or self.journal.entries[-1]["decision"] != "escalate":
            self.journal.record(phase, observed, "escalate", reason)
        self.escalation = {
            "phase": phase,
            "reason": f"{reason} ({observed})",
            "recommendation": advice,
            "offenders": narrate.offenders(self.figures),
        }
        if running is not None:
            self._finish_phase(running, "FAILED", [reason])
        with self.warehouse.transaction() as session:
            migrate(session)
            record_run(session, self.summary("ESCALATED"), self.journal.entries)

    def _write_report(self, status: str) -> None:
        from supervisor.report import render_report

        self.report = f"reports/quality_{self.run_id}.html"
        summary = self.summary(status)
        if "publish" in self.phases:
            # the report is the phase's last work but one, so it tells of the phase as done
            summary["phases"]["publish"] = {"status": "COMPLETED", "duration_s": self._elapsed("publish")}
        with self.warehouse.session() as session:
            if self.figures:
                data = read_report_data(session, summary, published=status != "ESCALATED")
            else:
                data = ReportData(summary=summary)
        path = self.settings.work_dir / self.report
        path.parent.mkdir(exist_ok=True)
        path.write_text(render_report(data), encoding="utf-8")
        if status != "ESCALATED":
            narrate.reported(self.console, self.report)

    def _archive(self, to_collect: list[str]) -> None:
        if not self.settings.archive:
            return
        loaded = [name for name in to_collect if self.outcomes[name].loaded]
        try:
            archive_day(self.settings.archive, self.settings.date, self.run_dir / "landing", loaded, self.run_id)
        except ArchiveError as error:
            # the day is published; raw is in the warehouse as well, so this does not undo it
            self.journal.record("publish", str(error), "go on without the archive", "the raw files stay in the run's folder")
            self.console.step(("archive",), str(error), "warning")
            return
        self.archived = f"{self.settings.archive}/{self.settings.date:%Y/%m/%d}/"
        narrate.archived(self.console, self.archived)

    def summary(self, status: str) -> dict[str, Any]:
        """The content of `summary.json` as far as it is known now."""
        missing = [name for name, outcome in self.outcomes.items() if not outcome.loaded]
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": self.run_id,
            "date": self.settings.date.isoformat(),
            "target": self.settings.target,
            "status": status,
            "exit_code": EXIT_CODES[status],
            "started_at": self.started_at.isoformat(timespec="milliseconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "duration_s": round(time.monotonic() - self._clock, 3),
            "peak_memory_mb": self.meter.peak_mb,
            "phases": {name: {k: v for k, v in phase.items() if k != "started"} for name, phase in self.phases.items()},
            **figures_of_summary(self.figures, self.outcomes, self.collected_by),
            "type_conversions": sum(type_conversions(self.nodes).values()),
            "criteria": self._criteria(),
            "decisions": self.journal.entries,
            "repair_command": narrate.repair_command(self.settings, missing) if missing else None,
            "report": self.report,
            "archive": self.archived,
            "escalation": self.escalation,
        }

    def _conclude(self, status: str) -> dict[str, Any]:
        # dbt and the loaders have ended, so their processor time is known now
        self.measured["cores_used"] = self.meter.cpu_seconds() / (time.monotonic() - self._clock)
        summary = self.summary(status)
        write_json(self.run_dir / "summary.json", summary)
        return summary


def _rows(results: Mapping[str, NodeResult], tier: int) -> int:
    """Rows that the tier's remedies could still correct."""
    return sum(
        result.failures or 0 for result in results.values() if result.meta.get("remedy") == "cleanse" and result.meta.get("tier") == tier
    )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    partial.replace(path)
