"""What a person can do next, in words and commands."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.common.command_line import command_line
from supervisor.common.outcome import Outcome
from supervisor.common.text import plural

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

READ_REPORT = "Read the report"


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
    issues += [f"{source.title} incomplete: {source.unread} could not be read" for source in summary.incomplete]
    issues += [f"Column changed, {line}" for line in summary.drift]
    for records, noun, note in (
        (summary.quarantined, "transformation failure", "quarantined"),
        (summary.missing_required, "record", "a required field is missing; kept, marked incomplete"),
        (summary.flagged, "out-of-range value", "flagged"),
        (summary.anomalies, "statistical outlier", "flagged for review"),
        (summary.versions, "duplicate", "other values than the record that was kept: see int_duplicates"),
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
        steps.append(Step(f"Investigate {values}{_in(summary.where_not('accuracy'))}"))
    if summary.made_visible and summary.anomalies:
        outliers = plural(summary.anomalies, "outlier")
        steps.append(Step(f"Review {outliers} for false positives{_in(summary.where_outliers)}"))
    if summary.report:
        steps.append(Step(f"{READ_REPORT}: {summary.report}"))
    return steps


def _in(place: str) -> str:
    # an older release has left no entities in its summary
    return f" ({place})" if place else ""


def offender_lines(summary: Summary, limit: int = 8) -> list[str]:
    """Return the worst offenders of an escalation, and how many more there are."""
    offenders = summary.escalation.offenders if summary.escalation else ()
    more = len(offenders) - limit
    return [*offenders[:limit], *([f"and {more} more"] if more > 0 else [])]
