"""What a person can do next, in words and commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supervisor.common.command_line import command
from supervisor.common.text import count, number, plain_text, plural
from supervisor.record.summary import above_zero, criteria_of, sources_of, status_of, was_published


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
