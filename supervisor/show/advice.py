"""What a person can do next, in words and commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.common.command_line import command, command_line
from supervisor.common.request import Settings
from supervisor.common.text import count, number, plain_text, plural
from supervisor.judge.findings import Finding
from supervisor.record.ledger import LoadOutcome
from supervisor.record.summary import above_zero, criteria_of, sources_of, status_of, was_published

_ADVICE = {
    "failure_rate": "see what the rejected records have in common ({quarantine}); have the feed mended or map what is "
    "new in models/staging",
    "completeness": "ask the feed's owner why required fields are missing",
    "accuracy": "if the amounts are right, widen the ranges in seeds/event_types.csv; if they can be corrected with "
    "evidence, add a rule to seeds/cleansing_rules.csv; otherwise have the feed mended",
    "consistency": "check that the users table is complete for the day",
    "records_lost": "a model drops or repeats records: see the conservation test's rows, and what changed in models/",
    "duplicates_published": "see what changed in int_duplicates: an event would be published twice",
    "sources_failed": "bring the missing source back, or name it in goal.md as one that may be missing",
    "sources_loaded": "bring the missing sources back",
}


def recommendation(metrics: Sequence[str], settings: Settings) -> str:
    """What to do about unmet criteria, and the command that follows."""
    quarantine = command_line(settings.date, settings.target, "quarantine list")
    advice = [_ADVICE[metric].format(quarantine=quarantine) for metric in metrics if metric in _ADVICE]
    first = "; ".join(advice) or "see the failed tests in the report and what changed in the feeds or in models/"
    return f"{first}. Then run: {repair_command(settings, ())}"


def mending(folder: Path, invocation: str, broken: Sequence[Finding]) -> str:
    """What to do when dbt can't do its work."""
    logs = f"dbt's own words: {folder}/dbt.log and {folder}/*-{invocation}/run_results.json"
    if any(finding.hung for finding in broken):
        time = "if it only needs more time, change the deadline in goal.md"
        return f"see what it was at; {time}, then run the same command ({logs})"
    if any(finding.transient for finding in broken):
        return f"bring the warehouse back, then run the same command ({logs})"
    return f"mend the model or the right that is missing, then run the same command ({logs})"


def repair_command(settings: Settings, missing: Sequence[str]) -> str:
    """The command that completes a partial day."""
    only = missing[0] if len(missing) == 1 else None
    return command_line(settings.date, settings.target, source_filter=only, options=settings.options)


def repair(settings: Settings, failed: Mapping[str, LoadOutcome]) -> str:
    """What to do when sources are down."""
    names = ", ".join(failed)
    return f"check that {names} can be reached, then run: {repair_command(settings, list(failed))}"


@dataclass(frozen=True)
class Step:
    """Something for a person to do: words, and the command that does it ("" for none)."""

    text: str
    command: str = ""


def issues_of(summary: Mapping[str, Any]) -> list[str]:
    """Return what went wrong or deserves a look, one line each; none where nothing did."""
    issues = []
    for source in sources_of(summary):
        reason = f": {source.reason}" if source.reason else ""
        if not source.loaded:
            tries = f" ({plural(source.tries, 'try', 'tries')})" if source.tries else ""
            issues.append(f"{source.title} unavailable{reason}{tries}")
        elif source.retries:
            retries = plural(source.retries, "retry", "retries")
            issues.append(f"{source.title}{reason} ({retries}, resolved)")
        if source.loaded and source.fallback:
            issues.append(f"{source.title}: the fallback endpoint was used")
    for key, noun, note in (
        ("quarantined", "transformation failure", "quarantined"),
        ("missing_required", "record", "a required field is missing; kept, marked incomplete"),
        ("flagged", "out-of-range value", "flagged"),
        ("anomalies", "statistical outlier", "flagged for review"),
    ):
        if above_zero(summary.get(key)):
            issues.append(f"{plural(summary[key], noun)} ({note})")
    for criterion in criteria_of(summary):
        if criterion.met is False:
            issues.append(f"Not met: {criterion.text} (measured {criterion.measured}, threshold {criterion.threshold})")
    return issues


def next_steps_of(summary: Mapping[str, Any]) -> list[Step]:
    """Return what a person can do now, most pressing first, the repair command not included."""
    steps = []
    run_id = plain_text(summary.get("run_id"), 80)
    if status_of(summary) in {"ESCALATED", "FAILED"} and run_id:
        explain = command(summary, f"explain {shlex.quote(run_id)}", dated=False)
        steps.append(Step("See what was seen, tried and decided", explain))
    if status_of(summary) != "FAILED" and above_zero(summary.get("quarantined")):
        records = plural(summary["quarantined"], "quarantined record")
        steps.append(Step(f"Review {records}", command(summary, "quarantine list")))
    if was_published(summary):
        if above_zero(summary.get("flagged")):
            values = plural(summary["flagged"], "out-of-range value")
            steps.append(Step(f"Investigate {values} (analytics.events, not is_in_range)"))
        if above_zero(summary.get("anomalies")):
            outliers = plural(summary["anomalies"], "outlier")
            steps.append(Step(f"Review {outliers} for false positives (analytics.events, "
                              "is_anomaly)"))  # fmt: skip
    report = plain_text(summary.get("report"), 500)
    if report:
        steps.append(Step(f"Read the report: {report}"))
    return steps


def escalation_lines(value: Any, limit: int = 8) -> list[str]:
    """Return the worst offenders of an escalation as lines, whatever shape they have."""
    offenders = value if isinstance(value, Sequence) and not isinstance(value, str) else []
    lines = []
    for offender in offenders[:limit]:
        if isinstance(offender, Mapping):
            pairs = (
                f"{plain_text(key, 60)}: {count(item) if number(item) is not None else item}"
                for key, item in offender.items()
            )
            lines.append(plain_text(", ".join(pairs), 300))
        else:
            lines.append(plain_text(offender, 300))
    if len(offenders) > limit:
        lines.append(f"and {plural(len(offenders) - limit, 'more', 'more')}")
    return lines
