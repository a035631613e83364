"""The closing words of a run: what is said for each status, from `summary.json` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from supervisor.common.command_line import command
from supervisor.common.text import count, duration, measure, number, plain_text, plural, share
from supervisor.record.summary import (
    QUALITY_METRICS,
    CriterionFacts,
    SourceFacts,
    above_zero,
    criteria_of,
    figure,
    goal_tally,
    mapping,
    phases_of,
    repair_command_of,
    sources_of,
    status_of,
    unaccounted,
    was_published,
)
from supervisor.show.advice import Step, escalation_lines, issues_of, next_steps_of
from supervisor.show.box import Closing, Row

_HEADLINES = {
    "SUCCESS": "✓ SUCCESS",
    "PARTIAL": "⚠ PARTIAL SUCCESS",
    "ESCALATED": "✗ ESCALATED",
    "FAILED": "✗ FAILED",
    "NOTHING_TO_DO": "✓ NOTHING TO DO",
}


def closing_of(summary: Mapping[str, Any]) -> Closing:
    """Return the closing words for the content of a `summary.json`."""
    status = status_of(summary)
    took = number(summary.get("duration_s"))
    total = "" if took is None else f" ({duration(took)} total)"
    word = _HEADLINES.get(status, f"✗ {status}")
    if status == "SUCCESS" and any(one.met is False for one in criteria_of(summary)):
        word = "⚠ PUBLISHED, goal not met in full"
    headline = f"Pipeline Execution: {word}{total}"
    if status == "NOTHING_TO_DO":
        return Closing(f"Pipeline Execution: {word}", "", tuple(_nothing_to_do(summary)))
    build = {"SUCCESS": _success, "PARTIAL": _partial, "ESCALATED": _escalated}
    title = word if status != "SUCCESS" else "Multi-Source Data Pipeline - Execution Summary"
    if status == "ESCALATED":
        title = "✗ ESCALATED - nothing was published"
    rows = build.get(status, _failed)(summary)
    return Closing(headline, title, tuple(rows), repair_command_of(summary))


def _section(heading: str, rows: Sequence[Row]) -> list[Row]:
    return [Row(), Row(heading, "heading"), *rows] if rows else []


def _items(lines: Sequence[str]) -> list[Row]:
    return [Row(line, "item") for line in lines if line]


def _identity(summary: Mapping[str, Any], *, status: bool = True) -> list[Row]:
    rows = [Row(f"Run ID: {plain_text(summary.get('run_id') or 'unknown', 80)}")]
    day = plain_text(summary.get("date"), 20)
    target = plain_text(summary.get("target"), 40)
    if day:
        rows.append(Row(f"Date: {day}" + (f" (target: {target})" if target else "")))
    if status:
        rows.append(Row(f"Status: {status_of(summary)}"))
    if figure(summary, "duration_s") is not None:
        rows.append(Row(f"Duration: {duration(summary['duration_s'])}"))
    return rows


def _source_line(source: SourceFacts, run_id: str) -> str:
    notes = [] if source.duration_s is None else [duration(source.duration_s)]
    if source.retries:
        notes.append(plural(source.retries, "retry", "retries"))
    if source.run_id and source.run_id != run_id:
        notes.append(f"collected by run {source.run_id}")
    if not source.loaded:
        kept = f"{plural(source.collected, 'record')} kept from before"
        known = kept if above_zero(source.collected) else "nothing collected"
        reason = f": {source.reason}" if source.reason else ""
        return f"{source.title}: ✗ unavailable{reason} ({', '.join([known, *notes])})"
    return f"{source.title}: {plural(source.collected, 'record')}" + (f" ({', '.join(notes)})" if notes else "")


def _collection(summary: Mapping[str, Any]) -> list[Row]:
    run_id = plain_text(summary.get("run_id"), 80)
    lines = [_source_line(source, run_id) for source in sources_of(summary)]
    if figure(summary, "collected") is not None:
        lines.append(f"Total: {plural(summary['collected'], 'record')}")
    return _section("Data Collection:", _items(lines))


def _transformation(summary: Mapping[str, Any]) -> list[Row]:
    collected, rate = figure(summary, "collected"), figure(summary, "failure_rate")
    lines = []
    transformed = figure(summary, "transformed")
    if transformed is not None:
        part = f" ({share(transformed / collected)})" if collected else ""
        lines.append(f"Transformed: {plural(transformed, 'record')}{part}")
    failed = figure(summary, "quarantined")
    if failed is not None:
        part = "" if rate is None else f"{share(rate)}, "
        lines.append(f"Failed: {plural(failed, 'record')} ({part}quarantined)")
    return _section("Data Transformation:", _items(lines))


def _criterion_line(criterion: CriterionFacts) -> str:
    name, limit = criterion.text, ""
    if criterion.metric in QUALITY_METRICS:
        name = criterion.metric.replace("_", " ").capitalize()
    if criterion.metric in QUALITY_METRICS or not criterion.met:
        limit = f" (threshold: {criterion.threshold})"
    mark = "" if criterion.met is None else f" {criterion.mark}"
    return f"{name}: {criterion.measured}{mark}{limit}"


def _quality(summary: Mapping[str, Any], heading: str = "Quality Validation:") -> list[Row]:
    criteria = [one for one in criteria_of(summary) if one.metric in QUALITY_METRICS and one.met is not None]
    lines = [_criterion_line(one) for one in criteria]
    judged = {one.metric for one in criteria}
    for metric in ("completeness", "accuracy", "consistency"):
        if metric not in judged and figure(summary, metric) is not None:
            lines.append(f"{metric.capitalize()}: {share(summary[metric])}")
    if above_zero(summary.get("corrected")):
        lines.append(f"Corrected: {plural(summary['corrected'], 'record')}")
    if figure(summary, "duplicates") is not None:
        lines.append(f"Duplicates: {count(summary['duplicates'])} removed")
    return _section(heading, _items(lines))


def _goal(summary: Mapping[str, Any], *, only_missed: bool = False) -> list[Row]:
    criteria = criteria_of(summary)
    others = [one for one in criteria if one.checked and one.metric not in QUALITY_METRICS]
    lines = [_criterion_line(one) for one in others if not (only_missed and one.met)]
    unchecked = sum(not one.checked for one in criteria)
    if unchecked and not only_missed:
        lines.append(f"{plural(unchecked, 'line')} of the goal not checked")
    return _section(f"Goal: {goal_tally(summary)}", _items(lines))


def _conservation(summary: Mapping[str, Any]) -> str:
    keys = ("collected", "published", "quarantined", "duplicates")
    figures = [figure(summary, key) for key in keys]
    gap = unaccounted(*figures)
    if gap is None:
        return ""
    total, *parts = (count(value) for value in figures)
    words = f"{total} = {parts[0]} published + {parts[1]} quarantined + {parts[2]} duplicates"
    if gap:
        return f"Conservation: ✗ {count(gap)} records unaccounted for ({words} does not add up)"
    return f"Conservation: {words} ✓"


def _publishing(summary: Mapping[str, Any]) -> list[Row]:
    lines = []
    if figure(summary, "published") is not None:
        lines.append(f"Warehouse: {plural(summary['published'], 'record')}")
    # the day's metadata and lineage are part of the same transaction as its records
    lines += ["Metadata: Updated", "Lineage: Tracked", _conservation(summary)]
    report = plain_text(summary.get("report"), 500)
    lines.append(f"Report: {report}" if report else "")
    return _section("Data Publishing:", _items(lines))


def _steps(steps: Sequence[Step]) -> list[Row]:
    rows = []
    for step in steps:
        rows.append(Row(f"{step.text}:" if step.command else step.text, "item"))
        if step.command:
            rows.append(Row(step.command, "command"))
    return rows


def _next_steps(summary: Mapping[str, Any], *extra: Step) -> list[Row]:
    return _section("Next Steps:", _steps([*extra, *next_steps_of(summary)]))


def _success(summary: Mapping[str, Any]) -> list[Row]:
    return [
        *_identity(summary),
        *_collection(summary),
        *_transformation(summary),
        *_quality(summary),
        *_goal(summary),
        *_publishing(summary),
        *_section("Issues:", _items(issues_of(summary))),
        *_next_steps(summary),
    ]


def _partial(summary: Mapping[str, Any]) -> list[Row]:
    sources = sources_of(summary)
    down = [source for source in sources if not source.loaded]
    names = ", ".join(source.title for source in down)
    loaded = f"{len(sources) - len(down)}/{len(sources)} sources"
    rows = [Row(f"Data collected from {loaded}" + (f" ({names} unavailable)" if down else ""))]
    if figure(summary, "published") is not None:
        rows.append(Row(f"Published: {plural(summary['published'], 'record')}"))
    for source in down:
        about = "number of records not known"
        if source.expected is not None:
            about = f"~{plural(source.expected, 'record')}"
        if above_zero(source.collected):
            kept = plural(source.collected, "record")
            rows.append(Row(f"Not refreshed: {source.title} source ({kept} kept from before)"))
        else:
            rows.append(Row(f"Missing: {source.title} source ({about})"))
    causes = [
        f"Investigate {source.title}: {source.reason or 'no reason recorded'}"
        + (f" ({plural(source.tries, 'try', 'tries')})" if source.tries else "")
        for source in down
    ]
    if repair_command_of(summary):
        causes.append("Once it answers again, repair the day with the command below")
    return [
        *rows,
        *_section("Action Required:", _items(causes)),
        *_quality(summary, "Quality of what was published:"),
        *_goal(summary, only_missed=True),
        *_section("Conservation:", _items([_conservation(summary).partition(": ")[2]])),
        *_next_steps(summary),
        Row(),
        *_identity(summary, status=False),
    ]


def _escalated(summary: Mapping[str, Any]) -> list[Row]:
    escalation = mapping(summary.get("escalation"))
    reason = plain_text(escalation.get("reason") or "no reason recorded", 500)
    rows = [Row(f"Reason: {reason}")]
    for missed in (one for one in criteria_of(summary) if one.met is False):
        rows.append(Row(missed.text, "heading"))
        rows.append(Row(f"Current: {missed.measured} ✗", "item"))
        rows.append(Row(f"Threshold: {missed.threshold}", "item"))
    if not any(row.kind == "heading" for row in rows):
        for key in ("current", "threshold"):
            if escalation.get(key) is not None:
                rows.append(Row(f"{key.capitalize()}: {measure(escalation[key], 'count')}"))
    day = plain_text(summary.get("date"), 20)
    advice = plain_text(escalation.get("recommendation"), 500)
    down = [_source_line(source, "") for source in sources_of(summary) if not source.loaded]
    return [
        *rows,
        *_section("Worst offenders:", _items(escalation_lines(escalation.get("offenders")))),
        *_section("Sources:", _items(down)),
        Row(),
        Row("Nothing was published. What was published before"
            + (f", for {day} and for" if day else " for")
            + " every other day, is unchanged."),
        *_section("Recommendation:", [Row(advice)] if advice else []),
        *_next_steps(summary),
        Row(),
        *_identity(summary, status=False),
    ]  # fmt: skip


def _failed(summary: Mapping[str, Any]) -> list[Row]:
    error = summary.get("error")
    info = mapping(error)
    known = info.get("message") or info.get("detail") if info else error
    reason = known or mapping(summary.get("escalation")).get("reason")
    rows = [Row(f"Reason: {plain_text(reason or 'an unexpected error', 1_000)}")]
    phases = [f"{name}: {status.lower() or 'not run'}" for name, status, _ in phases_of(summary)]
    if was_published(summary):
        published = figure(summary, "published")
        known_count = "" if published is None else f" ({plural(published, 'record')})"
        rows.append(Row(f"The day was published{known_count} before the failure."))
    else:
        rows.append(Row("Nothing was published. What was published before is unchanged."))
    again = Step("Run the day again; it needs no cleaning up first", command(summary))
    return [
        *rows,
        *_section("Phases:", _items(phases)),
        *_next_steps(summary, again),
        Row(),
        *_identity(summary, status=False),
    ]


def _nothing_to_do(summary: Mapping[str, Any]) -> list[Row]:
    day = plain_text(summary.get("date") or "the day", 20)
    published = figure(summary, "published")
    records = f": {plural(published, 'record')} published" if published is not None else ""
    by = plain_text(summary.get("published_by") or summary.get("run_id"), 80)
    return [
        Row(f"{day} is complete{records}" + (f" by run {by}" if by else "") + "."),
        Row(f"To run it again: {command(summary)} --force"),
    ]
