"""What the console shows of each phase: figures in the shape of the origin's transcript."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from supervisor.common.text import measure, operator_sign, share
from supervisor.goal.criteria import CriterionResult
from supervisor.judge.policy import Decision
from supervisor.record.figures import DayFigures, total_of
from supervisor.record.ledger import LoadOutcome
from supervisor.show.console_tree import Console


def percent(part: int, whole: int) -> str:
    """A good share for people, rounded down, so that what is not met never looks met."""
    return _percent(part * 10_000 // whole) if whole else "-"


def bad_percent(part: int, whole: int) -> str:
    """A bad share for people, rounded up, for the same reason."""
    return _percent(-(-part * 10_000 // whole)) if whole else "-"


def _percent(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def collect_lines(outcomes: Mapping[str, LoadOutcome]) -> list[str]:
    """Closing lines of phase 1."""
    loaded = [outcome for outcome in outcomes.values() if outcome.loaded]
    retries = sum(outcome.tries - 1 for outcome in loaded)
    failed = [f"{name} ({outcome.reason})" for name, outcome in outcomes.items() if not outcome.loaded]
    noun = "retry" if retries == 1 else "retries"
    lines = [
        f"Total records: {sum(outcome.collected for outcome in loaded):,}",
        f"Sources: {len(loaded)}/{len(outcomes)} successful" + (f" ({retries} {noun})" if retries else ""),
    ]
    return lines + [f"Failed sources: {'; '.join(failed)}"] * bool(failed)


def transform_started(console: Console, outcomes: Mapping[str, LoadOutcome]) -> None:
    """Show what is being parsed."""
    console.step(("parse",), "Parsing formats...", "running")
    for name, outcome in outcomes.items():
        if outcome.loaded:
            console.step(
                ("parse", name), f"{outcome.detail.get('title', name)}: {outcome.collected:,} records", "running"
            )
    console.step(("schema",), "Schema transformation...", "running")


def transform_finished(
    console: Console,
    outcomes: Mapping[str, LoadOutcome],
    figures: Mapping[str, DayFigures],
    conversions: Mapping[str, int],
) -> None:
    """Show what came of the transformation."""
    total = total_of(figures)
    for name, one in figures.items():
        title = outcomes[name].detail.get("title", name) if name in outcomes else name
        console.step(("parse", name), f"{title}: {one.collected:,} records parsed", "ok")
    console.step(("parse",), "Parsing formats", "ok")
    console.step(("schema", "types"), f"Type conversion: {sum(conversions.values())} fields converted", "ok")
    share = bad_percent(total.defaulted, total.transformed)
    console.step(("schema", "defaults"), f"Default values: applied to {total.defaulted:,} records ({share})", "ok")
    rate = percent(total.transformed, total.collected)
    text = f"Success rate: {rate} ({total.quarantined:,} failures quarantined)"
    console.step(("schema", "rate"), text, "warning" if total.quarantined else "ok")
    console.step(("schema",), "Schema transformation", "ok")
    console.step(("staged",), f"{total.transformed:,} records in the common schema", "ok")


def transform_lines(figures: Mapping[str, DayFigures]) -> list[str]:
    """Closing lines of phase 2."""
    total = total_of(figures)
    rate = percent(total.transformed, total.collected)
    return [
        f"Total transformed: {total.transformed:,} / {total.collected:,} ({rate})",
        f"Failed transformations: {total.quarantined:,} (quarantined)",
    ]


def validate_started(console: Console) -> None:
    """Show that the checks run."""
    console.step(("tests",), "Running dbt tests...", "running")


def cleansing(console: Console, decision: Decision) -> None:
    """Show that a remedy is applied."""
    console.step(
        ("cleanse", f"tier-{decision.tier}"), f"Applying automated correction, {decision.reason}...", "running"
    )


def rolling_back(console: Console, decision: Decision, outcome: str) -> None:
    """Show that a remedy is undone."""
    console.step(
        ("cleanse", f"tier-{decision.tier}"), f"Rules of tier {decision.tier} {outcome}: rolling back", "warning"
    )


def retrying(console: Console, decision: Decision) -> None:
    """Show that dbt is asked again."""
    what = "everything" if decision.select is None else decision.select
    console.step(("retry",), f"Passing failure, retry of {what}: {decision.observed}", "warning")


def waiter(console: Console) -> Callable[[str, float], None]:
    """Return what shows that the warehouse is waited for."""

    def wait(problem: str, seconds: float) -> None:
        console.step(("warehouse",), f"Warehouse: {problem}; retry in {seconds:.0f} s", "warning")

    return wait


def validate_finished(
    console: Console, figures: Mapping[str, DayFigures], criteria: Sequence[Mapping[str, Any]]
) -> None:
    """Show the checks with their figures and thresholds."""
    total = total_of(figures)
    limits = {criterion["metric"]: criterion for criterion in criteria}

    def verdict(metric: str, score: str) -> None:
        criterion = limits.get(metric)
        met = criterion is None or criterion["met"] is not False
        limit = "" if criterion is None else f" (threshold: {share(criterion['threshold'])})"
        console.step((metric, "score"), f"{metric.capitalize()}: {score}{limit}", "ok" if met else "failed")
        console.step((metric,), f"{metric.capitalize()} check", "ok" if met else "failed")

    console.step(("tests",), "dbt tests", "ok")
    missing = (
        f"Missing fields: {total.missing_required:,} records ({bad_percent(total.missing_required, total.transformed)})"
    )
    console.step(("completeness", "fields"), "Required fields: user_id, event_type, timestamp, amount", "info")
    console.step(("completeness", "missing"), missing, "info")
    verdict("completeness", percent(total.transformed - total.missing_required, total.transformed))
    console.step(("accuracy", "range"), f"Range validation: {total.out_of_range:,} records out of range", "info")
    if total.out_of_range:
        text = f"Automated correction: {total.corrected:,} corrected, {total.flagged:,} flagged"
        console.step(("accuracy", "range", "corrected"), text, "ok")
    verdict("accuracy", percent(total.transformed - total.flagged, total.transformed))
    if total.orphans is None:
        console.step(
            ("consistency",), "Consistency check: no users are known, references could not be checked", "warning"
        )
    else:
        score = percent(total.transformed - total.orphans, total.transformed)
        console.step(
            ("consistency", "references"), f"Referential integrity: {score}", "ok" if not total.orphans else "failed"
        )
        verdict("consistency", score)
    console.step(("duplicates",), f"Duplicate detection: {total.duplicates:,} found and removed", "ok")
    console.step(
        ("anomalies",), f"Anomaly detection: {total.anomalies:,} statistical outliers flagged for review", "ok"
    )


def validate_lines(figures: Mapping[str, DayFigures]) -> list[str]:
    """Closing lines of phase 3."""
    total = total_of(figures)
    consistency = (
        "not checked" if total.orphans is None else percent(total.transformed - total.orphans, total.transformed)
    )
    return [
        f"Final record count: {total.published:,} (after deduplication)",
        f"Completeness: {percent(total.transformed - total.missing_required, total.transformed)}",
        f"Accuracy: {percent(total.transformed - total.flagged, total.transformed)}",
        f"Consistency: {consistency}",
    ]


def publish_started(console: Console, warehouse: str, figures: Mapping[str, DayFigures]) -> None:
    """Show where the day goes."""
    console.step(("load",), "Warehouse load...", "running")
    console.step(("load", "target"), f"Target: {warehouse}, analytics.events", "info")
    console.step(("load", "records"), f"Records: {total_of(figures).published:,}", "info")


def published(console: Console, run_id: str, figures: Mapping[str, DayFigures]) -> None:
    """Show that the transaction was committed."""
    console.step(("load",), "Warehouse load: committed in one transaction", "ok")
    console.step(("metadata",), f"Metadata: run {run_id} recorded", "ok")
    console.step(("lineage",), f"Data lineage: {len(figures)} sources tracked to the warehouse", "ok")


def reported(console: Console, path: str) -> None:
    """Show where the report is."""
    console.step(("report",), f"Quality report: {path}", "ok")


def archived(console: Console, location: str) -> None:
    """Show where the raw data is."""
    console.step(("archive",), f"Raw data archived: {location}", "ok")


def publish_lines(figures: Mapping[str, DayFigures]) -> list[str]:
    """Closing lines of phase 4."""
    return [f"Published: {total_of(figures).published:,} records"]


def exact_share(value: Any) -> str:
    """A measured share, with as many digits as it takes not to look like 0 or 100 %."""
    return share(value)


def change(metric: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """How a metric moved, as in "99.1% to 98.7%"."""
    kind = "count" if metric == "records_lost" else "fraction"
    old = measure(before[metric], kind, against=after[metric])
    return f"{old} to {measure(after[metric], kind, against=before[metric])}"


def criterion(result: CriterionResult) -> str:
    """A criterion with its figure beside its threshold, as in "accuracy is 97.2%, not >= 98%"."""
    one, unit = result.criterion, str(result.criterion.unit)
    threshold = f"{operator_sign(one.operator)} {measure(one.threshold, unit)}"
    return f"{one.metric} is {measure(result.measured, unit, against=one.threshold)}, not {threshold}"
