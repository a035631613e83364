"""The transcript of a run: its events as steps with figures, in the order and the words that people read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from loaders.contract import describe
from supervisor.common.text import listed, measure, share, share_of
from supervisor.dbt.entities import Entity
from supervisor.goal.criteria import CriterionResult
from supervisor.record import events
from supervisor.record.figures import DayFigures, total_of
from supervisor.record.ledger import LoadOutcome
from supervisor.show.console import Console, StepStatus

_MOST_CHANGES = 10
_DIMENSIONS = ("completeness", "accuracy", "consistency")
_NOT_MEASURED = {
    "completeness": "because no field is declared as required",
    "accuracy": "because no check of a value is declared",
    "consistency": "because no reference is declared, or nothing is there that could be referred to",
}


class Transcript:
    """Listens to runs and shows them on a console.

    Args:
        console: Where people watch, or a log.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._step = console, console.step
        self._outcomes: Mapping[str, LoadOutcome] = {}
        self._figures: Mapping[str, DayFigures] = {}
        self._titles: dict[str, str] = {}
        self._collected: Sequence[str] = ()

    def __call__(self, event: events.Event) -> None:
        """Show an event."""
        step = self._step
        match event:
            case events.RunStarted(run_id, _, date, target, notes):
                self._outcomes, self._figures, self._titles, self._collected = {}, {}, {}, ()
                self._console.run_started(run_id=run_id, date=str(date), target=target, notes=notes)
            case events.RunFinished(summary):
                self._console.run_finished(summary)
            case events.Said(text, is_error):
                self._console.message(text, error=is_error)
            case events.PhaseStarted(phase, title):
                self._console.phase_started(phase, title)
                self._start(phase)
            case events.PhaseFinished(phase, status, duration_s, reason):
                lines = self._closing(phase) if reason is None else [reason]
                self._console.phase_finished(phase, status, [*lines, f"Duration: {duration_s:.1f} s"])
            # ---------------------------------------------------------------- collect
            case events.SourceStarted(source, title, place, location):
                self._titles[source] = title
                step((source,), f"{title} Collection (parallel)...", "running")
                step((source, "location"), f"{place}: {location}", "info")
            case events.AttemptFailed(source, attempt, error, retry_in_s):
                step((source, f"attempt-{attempt}"), f"Attempt {attempt}: ✗ {error}", "warning")
                if retry_in_s is not None:
                    step((source, f"retry-{attempt}"), f"Retry in {retry_in_s:.0f}s...", "info")
            case events.FellBack(source, endpoint):
                step((source, "fallback"), f"Fallback endpoint: {endpoint}", "warning")
            case events.SourceProgress(source, text):
                step((source, "progress"), text, "info")
            case events.SourceFinished(outcome, is_told):
                self._source_finished(outcome, is_told)
            case events.Collected(outcomes):
                self._outcomes, self._collected = outcomes, _collect_lines(outcomes)
            case events.RawRecordsKept(outcomes, records, notes):
                self._outcomes = outcomes
                self._collected = [f"Raw records: {records:,}, none collected again", *notes]
            case events.ReferencesRequested(sources):
                step(("references",), f"Reading the reference tables of {', '.join(sources)} anew...", "running")
            case events.ReferencesRead(problems):
                text = f"Reference tables: {'; '.join(problems)}" if problems else "Reference tables"
                step(("references",), text, "failed" if problems else "ok")
            # ---------------------------------------------------------------- build
            case events.Transformed(figures, conversions):
                self._figures = figures
                self._transformed(conversions)
            case events.CleansingStarted(tier, reason):
                step(("cleanse", f"tier-{tier}"), f"Applying automated correction, {reason}...", "running")
            case events.CleansingUndone(tier, outcome_words):
                step(("cleanse", f"tier-{tier}"), f"Rules of tier {tier} {outcome_words}: rolling back", "warning")
            case events.DbtRetried(selected, observed):
                what = "everything" if selected is None else selected
                step(("retry",), f"Passing failure, retry of {what}: {observed}", "warning")
            case events.WarehouseAwaited(problem, wait_s):
                step(("warehouse",), f"Warehouse: {problem}; retry in {wait_s:.0f} s", "warning")
            case events.Measured(figures, criteria, entities):
                self._figures = figures
                self._measured(criteria, entities)
            # ---------------------------------------------------------------- publish
            case events.PublishStarted(warehouse, marts):
                step(("load",), "Warehouse load...", "running")
                step(("load", "target"), f"Target: {warehouse}, {', '.join(marts)}", "info")
                step(("load", "records"), f"Records: {total_of(self._figures).published:,}", "info")
            case events.Published(run_id):
                step(("load",), "Warehouse load: committed in one transaction", "ok")
                step(("metadata",), f"Metadata: run {run_id} recorded", "ok")
                step(("lineage",), f"Data lineage: {len(self._figures)} sources tracked to the warehouse", "ok")
            case events.ReportWritten(path):
                step(("report",), f"Quality report: {path}", "ok")
            case events.ReportFailed(problem):
                step(("report",), f"Quality report: {problem}", "failed")
            case events.Archived(location):
                step(("archive",), f"Raw data archived: {location}", "ok")
            case events.ArchiveSkipped(reason_words):
                step(("archive",), reason_words, "warning")

    # ---------------------------------------------------------------- how a phase begins and ends

    def _start(self, phase: str) -> None:
        if phase == "transform":
            self._step(("parse",), "Parsing formats...", "running")
            for name, outcome in self._outcomes.items():
                if outcome.loaded:
                    self._step(("parse", name), f"{self._title(name)}: {outcome.collected:,} records", "running")
            self._step(("schema",), "Schema transformation...", "running")
        elif phase == "validate":
            self._step(("tests",), "Running dbt tests...", "running")

    def _closing(self, phase: str) -> Sequence[str]:
        total = total_of(self._figures)
        lines: Mapping[str, Callable[[], Sequence[str]]] = {
            "collect": lambda: self._collected,
            "transform": lambda: [
                f"Total transformed: {total.transformed:,} / {total.collected:,} "
                f"({share_of(total.transformed, total.collected)})",
                f"Failed transformations: {total.quarantined:,} (quarantined)",
            ],
            "validate": lambda: [
                f"Final record count: {total.published:,} (after deduplication)",
                *(f"{name.capitalize()}: {_score(total, name) or 'not measured'}" for name in _DIMENSIONS),
            ],
            "publish": lambda: [f"Published: {total.published:,} records"],
        }
        return lines[phase]()

    # ---------------------------------------------------------------- what came of something

    def _title(self, source: str) -> str:
        outcome = self._outcomes.get(source)
        title = outcome.detail.get("title") if outcome is not None else None
        return str(title or self._titles.get(source, source))

    def _source_finished(self, outcome: LoadOutcome, is_told: bool) -> None:
        name, step = outcome.source, self._step
        title = self._title(name)
        if not is_told:
            step((name,), f"{title} Collection: {outcome.reason}", "failed")
        elif not outcome.loaded:
            tries = f"{outcome.tries} {'try' if outcome.tries == 1 else 'tries'}"
            step((name, "failed"), f"✗ {outcome.reason}", "failed")
            step((name,), f"{title} Collection: FAILED after {tries}", "failed")
        else:
            if outcome.tries > 1:
                step((name, f"attempt-{outcome.tries}"), f"Attempt {outcome.tries}: ✓ Success", "ok")
            step((name, "records"), f"Records: {outcome.collected:,}", "info")
            if outcome.incomplete:
                step((name, "incomplete"), f"Could not be read: {listed(outcome.unread)}", "warning")
            for number, change in enumerate(outcome.drift[:_MOST_CHANGES], start=1):
                step(
                    (name, f"drift-{number}"), f"Column changed: {describe(change)}, since {change['since']}", "warning"
                )
            if len(outcome.drift) > _MOST_CHANGES:
                step((name, "drift"), f"and {len(outcome.drift) - _MOST_CHANGES:,} more columns changed", "warning")
            ended = "INCOMPLETE after" if outcome.incomplete else "COMPLETED in"
            status: StepStatus = "warning" if outcome.incomplete else "ok"
            step((name,), f"{title} Collection (parallel): {ended} {outcome.duration_s:.1f} s", status)

    def _transformed(self, conversions: int) -> None:
        step, total = self._step, total_of(self._figures)
        for name, one in self._figures.items():
            step(("parse", name), f"{self._title(name)}: {one.collected:,} records parsed", "ok")
        step(("parse",), "Parsing formats", "ok")
        step(("schema", "types"), f"Type conversion: {conversions} fields converted", "ok")
        defaulted = share_of(total.defaulted, total.transformed, bad=True)
        step(("schema", "defaults"), f"Default values: applied to {total.defaulted:,} records ({defaulted})", "ok")
        rate = share_of(total.transformed, total.collected)
        text = f"Success rate: {rate} ({total.quarantined:,} failures quarantined)"
        step(("schema", "rate"), text, "warning" if total.quarantined else "ok")
        step(("schema",), "Schema transformation", "ok")
        step(("staged",), f"{total.transformed:,} records in the common schema", "ok")

    def _measured(self, criteria: Sequence[CriterionResult], entities: Sequence[Entity]) -> None:
        """Show the checks with their figures and thresholds."""
        step, total = self._step, total_of(self._figures)
        results = {one.criterion.metric: one for one in criteria if one.criterion.subject is None}

        def verdict(metric: str) -> None:
            score = _score(total, metric)
            if score is None:
                step((metric,), f"{metric.capitalize()} check: not measured, {_NOT_MEASURED[metric]}", "warning")
                return
            result = results.get(metric)
            status: StepStatus = "failed" if result is not None and result.met is False else "ok"
            limit = "" if result is None else f" (threshold: {share(result.as_dict()['threshold'])})"
            step((metric, "score"), f"{metric.capitalize()}: {score}{limit}", status)
            step((metric,), f"{metric.capitalize()} check", status)

        step(("tests",), "dbt tests", "ok")
        missing = share_of(total.missing_required, total.transformed, bad=True)
        for entity in entities:
            whose = f" of {entity.name}" if len(entities) > 1 else ""
            required = ", ".join(entity.required) or "none"
            step(("completeness", "fields", entity.name), f"Required fields{whose}: {required}", "info")
        step(("completeness", "missing"), f"Missing fields: {total.missing_required:,} records ({missing})", "info")
        verdict("completeness")
        step(("accuracy", "range"), f"Range validation: {total.out_of_range:,} records out of range", "info")
        if total.out_of_range:
            text = f"Automated correction: {total.corrected:,} corrected, {total.flagged:,} flagged"
            step(("accuracy", "range", "corrected"), text, "ok")
        verdict("accuracy")
        if score := _score(total, "consistency"):
            status: StepStatus = "failed" if total.dimensions["consistency"].failed else "ok"
            step(("consistency", "references"), f"Referential integrity: {score}", status)
        verdict("consistency")
        step(("duplicates",), f"Duplicate detection: {total.duplicates:,} found and removed", "ok")
        outliers = f"Anomaly detection: {total.anomalies:,} statistical outliers flagged for review"
        step(("anomalies",), outliers, "ok")
        for one in criteria:
            if one.criterion.subject is not None:
                shown = "not measured" if one.measured is None else measure(one.measured, str(one.criterion.unit))
                sign: StepStatus = "warning" if one.met is None else "ok" if one.met else "failed"
                note = f" ({one.note})" if one.note else ""
                step(("volume", one.criterion.name), f"{one.criterion.text}: {shown}{note}", sign)


def _collect_lines(outcomes: Mapping[str, LoadOutcome]) -> list[str]:
    loaded = [outcome for outcome in outcomes.values() if outcome.loaded]
    retries = sum(outcome.tries - 1 for outcome in loaded)
    failed = [f"{name} ({outcome.reason})" for name, outcome in outcomes.items() if not outcome.loaded]
    noun = "retry" if retries == 1 else "retries"
    lines = [
        f"Total records: {sum(outcome.collected for outcome in loaded):,}",
        f"Sources: {len(loaded)}/{len(outcomes)} successful" + (f" ({retries} {noun})" if retries else ""),
    ]
    cut = [f"{outcome.source} ({listed(outcome.unread)})" for outcome in loaded if outcome.incomplete]
    lines += [f"Failed sources: {'; '.join(failed)}"] * bool(failed)
    return lines + [f"Incomplete sources: {'; '.join(cut)}"] * bool(cut)


def _score(total: DayFigures, dimension: str) -> str | None:
    measured = total.dimensions.get(dimension)
    return None if measured is None else share_of(measured.attempted - measured.failed, measured.attempted)
