"""The closing words of a run: what is said for each way in which it may have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from supervisor.common.command_line import command_line
from supervisor.common.outcome import Outcome
from supervisor.common.text import count, duration, plural, share
from supervisor.show.advice import Step, issues_of, next_steps_of, offender_lines
from supervisor.show.box import Closing, Row

if TYPE_CHECKING:
    from supervisor.record.summary import Criterion, Source, Summary

QUALITY_METRICS = frozenset({"completeness", "accuracy", "consistency", "failure_rate"})


def closing_of(summary: Summary) -> Closing:
    """Return the closing words of a run."""
    summary = summary.plain()
    outcome = summary.outcome
    word = f"{outcome.sign} {outcome.headline}"
    headline = f"Pipeline Execution: {word}"
    if outcome is Outcome.NOTHING_TO_DO:
        return Closing(headline, "", tuple(_nothing_to_do(summary)))
    rows = _ROWS.get(outcome, _success if outcome.is_published else _failed)(summary)
    title = _TITLES.get(outcome, word)
    return Closing(
        f"{headline} ({duration(summary.duration_s)} total)", title, tuple(rows), summary.repair_command or ""
    )


def _section(heading: str, rows: Sequence[Row]) -> list[Row]:
    return [Row(), Row(heading, "heading"), *rows] if rows else []


def _items(lines: Iterable[str]) -> list[Row]:
    return [Row(line, "item") for line in lines]


def _identity(summary: Summary, *, status: bool = True) -> list[Row]:
    return [
        Row(f"Run ID: {summary.run_id}"),
        Row(f"Date: {summary.date} (target: {summary.target})"),
        *([Row(f"Status: {summary.status}")] if status else []),
        Row(f"Duration: {duration(summary.duration_s)}"),
    ]


def _source_line(source: Source, run_id: str) -> str:
    notes = [] if source.duration_s is None else [duration(source.duration_s)]
    if source.retries:
        notes.append(plural(source.retries, "retry", "retries"))
    if source.run_id not in (None, run_id):
        notes.append(f"collected by run {source.run_id}")
    records = plural(source.collected, "record")
    if source.is_loaded:
        if source.incomplete:
            notes.append(f"incomplete: {source.unread} could not be read")
        return f"{source.title}: {records}" + (f" ({', '.join(notes)})" if notes else "")
    known = f"{records} kept from before" if source.collected else "nothing collected"
    reason = f": {source.reason}" if source.reason else ""
    return f"{source.title}: ✗ unavailable{reason} ({', '.join([known, *notes])})"


def _collection(summary: Summary) -> list[Row]:
    lines = [_source_line(source, summary.run_id) for source in summary.sources.values()]
    return _section("Data Collection:", _items([*lines, f"Total: {plural(summary.collected, 'record')}"]))


def _transformation(summary: Summary) -> list[Row]:
    part = f" ({share(summary.transformed / summary.collected)})" if summary.collected else ""
    rate = "" if summary.failure_rate is None else f"{summary.share_of('failure_rate')}, "
    return _section(
        "Data Transformation:",
        _items([
            f"Transformed: {plural(summary.transformed, 'record')}{part}",
            f"Failed: {plural(summary.quarantined, 'record')} ({rate}quarantined)",
        ]),
    )  # fmt: skip


def _criterion_line(criterion: Criterion) -> str:
    name, limit = criterion.title, ""
    if criterion.metric in QUALITY_METRICS and criterion.subject is None:
        name = str(criterion.metric).replace("_", " ").capitalize()
    if criterion.metric in QUALITY_METRICS or not criterion.met:
        limit = f" (threshold: {criterion.limit})"
    note = f", {criterion.note}" if criterion.note else ""
    return f"{name}: {criterion.figure}" + (f" {criterion.mark}" if criterion.mark else "") + limit + note


def _quality(summary: Summary, heading: str = "Quality Validation:") -> list[Row]:
    criteria = [one for one in summary.criteria if one.metric in QUALITY_METRICS and one.met is not None]
    lines = [_criterion_line(one) for one in criteria]
    judged = {one.metric for one in criteria if one.subject is None}
    lines += [
        f"{metric.capitalize()}: {summary.share_of(metric)}"
        for metric in ("completeness", "accuracy", "consistency")
        if metric not in judged and getattr(summary, metric) is not None
    ]
    if summary.corrected:
        lines.append(f"Corrected: {plural(summary.corrected, 'record')}")
    return _section(heading, _items([*lines, f"Duplicates: {count(summary.duplicates)} removed"]))


def _goal(summary: Summary, *, only_missed: bool = False) -> list[Row]:
    others = [one for one in summary.criteria if one.is_checked and one.metric not in QUALITY_METRICS]
    lines = [_criterion_line(one) for one in others if not (only_missed and one.met)]
    unchecked = sum(not one.is_checked for one in summary.criteria)
    if unchecked and not only_missed:
        lines.append(f"{plural(unchecked, 'line')} of the goal not checked")
    return _section(f"Goal: {summary.goal_tally}", _items(lines))


def _conservation(summary: Summary) -> str:
    words = (
        f"{count(summary.collected)} = {count(summary.published)} published + "
        f"{count(summary.quarantined)} quarantined + {count(summary.duplicates)} duplicates"
    )
    if summary.unaccounted:
        return f"✗ {count(summary.unaccounted)} records unaccounted for ({words} does not add up)"
    return f"{words} ✓"


def _publishing(summary: Summary) -> list[Row]:
    # the day's metadata and lineage are part of the same transaction as its records
    lines = [
        *(f"Warehouse: {plural(summary.published, 'record')}", "Metadata: Updated", "Lineage: Tracked"),
        f"Conservation: {_conservation(summary)}",
        *([f"Report: {summary.report}"] if summary.report else []),
    ]
    return _section("Data Publishing:", _items(lines))


def _steps(summary: Summary, *extra: Step) -> list[Row]:
    rows = []
    for step in (*extra, *next_steps_of(summary)):
        rows.append(Row(f"{step.text}:" if step.command else step.text, "item"))
        if step.command:
            rows.append(Row(step.command, "command"))
    return _section("Next Steps:", rows)


def _success(summary: Summary) -> list[Row]:
    return [
        *_identity(summary),
        *_collection(summary),
        *_transformation(summary),
        *_quality(summary),
        *_goal(summary),
        *_publishing(summary),
        *_section("Issues:", _items(issues_of(summary))),
        *_steps(summary),
    ]


def _partial(summary: Summary) -> list[Row]:
    down, cut, sources = summary.missing, summary.incomplete, len(summary.sources)
    states = [
        f"{', '.join(source.title for source in some)} {word}"
        for some, word in ((down, "unavailable"), (cut, "incomplete"))
        if some
    ]
    rows = [
        Row(f"Data collected from {sources - len(down)}/{sources} sources ({', '.join(states)})"),
        Row(f"Published: {plural(summary.published, 'record')}"),
    ]
    for source in down:
        kept = f"Not refreshed: {source.title} source ({plural(source.collected, 'record')} kept from before)"
        missing = f"Missing: {source.title} source (number of records not known)"
        rows.append(Row(kept if source.collected else missing))
    rows += [Row(f"Missing: the records of {source.title} in {source.unread}") for source in cut]
    causes = [f"Investigate {one.title}: {one.cause} ({plural(one.tries, 'try', 'tries')})" for one in down]
    causes += [f"Have what {one.title} could not read delivered again" for one in cut]
    if summary.repair_command:
        answers = "Once it answers again" if not cut else "Once it is there"
        causes.append(f"{answers}, repair the day with the command below")
    return [
        *rows,
        *_section("Action Required:", _items(causes)),
        *_section("Columns changed:", _items(summary.drift)),
        *_quality(summary, "Quality of what was published:"),
        *_goal(summary, only_missed=True),
        *_section("Conservation:", _items([_conservation(summary)])),
        *_steps(summary),
        Row(),
        *_identity(summary, status=False),
    ]


def _escalated(summary: Summary) -> list[Row]:
    escalation = summary.escalation
    rows = [Row(f"Reason: {escalation.reason if escalation else 'no reason recorded'}")]
    for missed in summary.missed:
        rows += [
            Row(missed.title, "heading"),
            *_items([f"Current: {missed.evidence} ✗", f"Threshold: {missed.limit}"]),
        ]
    advice = escalation.recommendation if escalation else ""
    return [
        *rows,
        *_section("Worst offenders:", _items(offender_lines(summary))),
        *_section("Columns changed:", _items(summary.drift)),
        *_section("Sources:", _items(_source_line(source, "") for source in (*summary.missing, *summary.incomplete))),
        Row(),
        Row(
            f"Nothing was published. What was published before, for {summary.date} and for every other day, "
            "is unchanged."
        ),
        *_section("Recommendation:", [Row(advice)] if advice else []),
        *_steps(summary),
        Row(),
        *_identity(summary, status=False),
    ]


def _failed(summary: Summary) -> list[Row]:
    rows = [Row(f"Reason: {summary.error.message if summary.error else 'an unexpected error'}")]
    if summary.made_visible:
        rows.append(Row(f"The day was published ({plural(summary.published, 'record')}) before the failure."))
    else:
        rows.append(Row("Nothing was published. What was published before is unchanged."))
    phases = [f"{name}: {phase.status.lower()}" for name, phase in summary.phases.items()]
    again = Step(
        "Run the day again; nothing needs cleaning up first",
        command_line(summary.date, summary.target, options=summary.options),
    )
    return [
        *rows,
        *_section("Phases:", _items(phases)),
        *_steps(summary, again),
        Row(),
        *_identity(summary, status=False),
    ]


def _nothing_to_do(summary: Summary) -> list[Row]:
    records = plural(summary.published, "record")
    return [
        Row(f"{summary.date} is complete: {records} published by run {summary.run_id}."),
        Row(f"To run it again: {command_line(summary.date, summary.target, options=summary.options)} --force"),
    ]


_ROWS: dict[Outcome, Callable[[Summary], list[Row]]] = {Outcome.PARTIAL: _partial, Outcome.ESCALATED: _escalated}
_SUMMARY_TITLE = "Multi-Source Data Pipeline - Execution Summary"
_TITLES = {
    Outcome.SUCCESS: _SUMMARY_TITLE,
    Outcome.LIMIT_MISSED: _SUMMARY_TITLE,
    Outcome.ESCALATED: f"{Outcome.ESCALATED.sign} ESCALATED - {Outcome.ESCALATED.told}",
}
