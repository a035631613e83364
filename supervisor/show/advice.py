"""What a person can do next, in words and commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.common.command_line import command_line
from supervisor.common.outcome import Outcome
from supervisor.common.request import Settings
from supervisor.common.text import plural
from supervisor.judge.findings import Finding
from supervisor.record.ledger import LoadOutcome

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

READ_REPORT = "Read the report"
_ADVICE = {
    "failure_rate": "see what the rejected records have in common ({quarantine}); have the feed fixed or map what is "
    "new in models/staging",
    "completeness": "ask the feed's owner why required fields are missing",
    "accuracy": "if the amounts are right, widen the ranges in seeds/event_types.csv; if they can be corrected with "
    "evidence, add a rule to seeds/cleansing_rules.csv; otherwise have the feed fixed",
    "consistency": "check that the users table is complete for the day",
    "records_lost": "a model drops or repeats records: see the conservation test's rows, and what changed in models/",
    "duplicates_published": "see what changed in int_duplicates: an event would be published twice",
    "sources_failed": "bring the missing source back, or name it in goal.md as one that may be missing",
    "sources_loaded": "bring the missing sources back",
}


def recommendation(metrics: Sequence[str], settings: Settings) -> str:
    """What to do about unmet criteria, and the command that follows."""
    quarantine = f"python orchestrate.py quarantine list --date {settings.date}"
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
    return f"fix the model or grant the right that is missing, then run the same command ({logs})"


def repair_command(settings: Settings, missing: Sequence[str]) -> str:
    """The command that completes a partial day."""
    return command_line(settings.date, settings.target, source_filter=missing[0] if len(missing) == 1 else None)


def repair(settings: Settings, failed: Mapping[str, LoadOutcome]) -> str:
    """What to do when sources are down."""
    names = ", ".join(failed)
    return f"check that {names} can be reached, then run: {repair_command(settings, list(failed))}"


@dataclass(frozen=True)
class Step:
    """Something for a person to do: words, and the command that does it ("" for none)."""

    text: str
    command: str = ""


def issues_of(summary: Summary) -> list[str]:
    """Return what went wrong or deserves a look, one line each; none where nothing did."""
    issues = []
    for source in summary.sources.values():
        reason = f": {source.reason}" if source.reason else ""
        if not source.is_loaded:
            issues.append(f"{source.title} unavailable{reason} ({plural(source.tries, 'try', 'tries')})")
        elif source.retries:
            issues.append(f"{source.title}{reason} ({plural(source.retries, 'retry', 'retries')}, resolved)")
        if source.is_loaded and source.fallback:
            issues.append(f"{source.title}: the fallback endpoint was used")
    for records, noun, note in (
        (summary.quarantined, "transformation failure", "quarantined"),
        (summary.missing_required, "record", "a required field is missing; kept, marked incomplete"),
        (summary.flagged, "out-of-range value", "flagged"),
        (summary.anomalies, "statistical outlier", "flagged for review"),
    ):
        if records:
            issues.append(f"{plural(records, noun)} ({note})")
    return issues + [f"Not met: {one.title} (measured {one.figure}, threshold {one.limit})" for one in summary.missed]


def next_steps_of(summary: Summary) -> list[Step]:
    """Return what a person can do now, most pressing first, the repair command not included."""
    steps = []
    if not summary.outcome.is_published:
        explain = command_line(None, summary.target, f"explain {shlex.quote(summary.run_id)}")
        steps.append(Step("See what was seen, tried and decided", explain))
    if summary.quarantined and summary.outcome is not Outcome.FAILED:
        records = plural(summary.quarantined, "quarantined record")
        steps.append(Step(f"Review {records}", command_line(summary.date, summary.target, "quarantine list")))
    if summary.made_visible and summary.flagged:
        values = plural(summary.flagged, "out-of-range value")
        steps.append(Step(f"Investigate {values} (analytics.events, not is_in_range)"))
    if summary.made_visible and summary.anomalies:
        outliers = plural(summary.anomalies, "outlier")
        steps.append(Step(f"Review {outliers} for false positives (analytics.events, is_anomaly)"))
    if summary.report:
        steps.append(Step(f"{READ_REPORT}: {summary.report}"))
    return steps


def offender_lines(summary: Summary, limit: int = 8) -> list[str]:
    """Return the worst offenders of an escalation, and how many more there are."""
    offenders = summary.escalation.offenders if summary.escalation else ()
    more = len(offenders) - limit
    return [*offenders[:limit], *([f"and {more} more"] if more > 0 else [])]
