"""What a run's summary says, taken apart for the closing box and for the report.

Everything is read from the content of `summary.json` and nothing is added to it: a figure that
is missing is None here, and an issue exists only where its figure is above zero.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from supervisor.figures import (
    count,
    number,
    plain_text,
    plural,
)
from supervisor.summary_goal import criteria_of, mapping

PROGRAM = "python orchestrate.py"
_PHASES = ("collect", "transform", "validate", "publish")
_DEFAULT_TARGET = "duckdb"
_DOWN = frozenset({"failed", "error", "unavailable", "down", "missing"})


@dataclass(frozen=True)
class SourceFacts:
    """One source of the day. Counts are records, `duration_s` seconds; None is not known."""

    name: str
    title: str
    loaded: bool
    status: str
    collected: Decimal | None
    quarantined: Decimal | None
    duplicates: Decimal | None
    published: Decimal | None
    expected: Decimal | None
    tries: int | None
    duration_s: Decimal | None
    reason: str
    location: str
    run_id: str
    fallback: bool

    @property
    def retries(self) -> int:
        """The tries after the first."""
        return max((self.tries or 1) - 1, 0)


@dataclass(frozen=True)
class Step:
    """Something for a person to do: words, and the command that does it ("" for none)."""

    text: str
    command: str = ""


def figure(summary: Mapping[str, Any], key: str) -> Decimal | None:
    """Return a figure of the summary, or None where it is missing or no number."""
    return number(summary.get(key))


def above_zero(value: Any) -> bool:
    """Tell whether there is a figure and it is above zero."""
    known = number(value)
    return known is not None and known > 0


def status_of(summary: Mapping[str, Any]) -> str:
    """Return the run's status in capitals; "FAILED" where the summary has none."""
    return plain_text(summary.get("status") or "FAILED", 40).upper()


def sources_of(summary: Mapping[str, Any]) -> list[SourceFacts]:
    """Return the sources in the order of the summary."""
    facts = []
    for name, entry in mapping(summary.get("sources")).items():
        info = mapping(entry)
        tries = number(info.get("tries"))
        status = plain_text(info.get("status") or "", 40)
        facts.append(
            SourceFacts(
                name=plain_text(name, 80),
                title=plain_text(info.get("title") or name, 80),
                loaded=status.lower() not in _DOWN,
                status=status,
                collected=number(info.get("collected")),
                quarantined=number(info.get("quarantined")),
                duplicates=number(info.get("duplicates")),
                published=number(info.get("published")),
                expected=number(info.get("expected")),
                tries=None if tries is None else int(tries),
                duration_s=number(info.get("duration_s")),
                reason=plain_text(info.get("reason"), 300),
                location=plain_text(info.get("endpoint") or info.get("location"), 300),
                run_id=plain_text(info.get("run_id"), 80),
                fallback=bool(info.get("fallback")),
            )
        )
    return facts


def phases_of(summary: Mapping[str, Any]) -> list[tuple[str, str, Decimal | None]]:
    """Return (name, status, seconds) of the phases, in the order in which they run."""
    phases = mapping(summary.get("phases"))
    names = [name for name in _PHASES if name in phases]
    names += [name for name in phases if name not in _PHASES]
    return [
        (
            plain_text(name, 40),
            plain_text(mapping(phases[name]).get("status"), 60),
            number(mapping(phases[name]).get("duration_s")),
        )
        for name in names
    ]


def was_published(summary: Mapping[str, Any]) -> bool:
    """Tell whether this run made the day visible to readers."""
    if status_of(summary) in {"SUCCESS", "PARTIAL"}:
        return True
    if status_of(summary) != "FAILED":
        return False
    publish = mapping(mapping(summary.get("phases")).get("publish"))
    return str(publish.get("status") or "").upper().startswith("COMPLETED")


def unaccounted(
    collected: Decimal | None,
    published: Decimal | None,
    quarantined: Decimal | None,
    duplicates: Decimal | None,
) -> Decimal | None:
    """Return collected - published - quarantined - duplicates; None if a figure is missing."""
    if collected is None or published is None or quarantined is None or duplicates is None:
        return None
    return collected - published - quarantined - duplicates


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


def command(summary: Mapping[str, Any], words: str = "", *, dated: bool = True) -> str:
    """Return a command of this product for the run's day and target, ready to be pasted."""
    parts = [PROGRAM] + ([words] if words else [])
    date = plain_text(summary.get("date"), 20)
    if dated and date:
        parts.append(f"--date {shlex.quote(date)}")
    target = plain_text(summary.get("target"), 40)
    if target and target != _DEFAULT_TARGET:
        parts.append(f"--target {shlex.quote(target)}")
    return " ".join(parts)


def repair_command_of(summary: Mapping[str, Any]) -> str:
    """Return the summary's repair command, "" for none."""
    return plain_text(summary.get("repair_command"), 1_000)


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
