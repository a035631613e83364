"""The quality report of a run: one self-contained HTML page, made to be read on any screen.

The page needs no network, no script and no font; a content security policy in it forbids them
all, so that data which slips through as markup could still do nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from supervisor.common.outcome import Outcome
from supervisor.common.text import (
    count,
    decimals,
    duration,
    measure,
    number,
    plain_text,
    plural,
    points,
    share,
    visible_text,
)
from supervisor.show.advice import READ_REPORT, next_steps_of, offender_lines
from supervisor.show.report.data import Example, LineagePath, Rejection, ReportData, Score

if TYPE_CHECKING:
    from supervisor.record.summary import Criterion, Summary

_MOST_GROUPS, _MOST_EXAMPLES, _MOST_DECISIONS, _MOST_SCORES = 30, 5, 200, 400
_PAYLOAD_CHARACTERS = 480
_REASONS = {
    "payload_not_json": "The payload is not a JSON object.",
}
# of a field's name and one of these a check is named
_REASONS_OF_FIELDS = {
    "_missing": "There is no {field}.",
    "_unparsable": "The {field} can't be read as its type.",
    "_unknown": "The {field} does not exist where it refers to.",
    "_out_of_range": "The {field} is out of its range.",
    "_not_allowed": "The {field} is none of the allowed values.",
    "_malformed": "The {field} does not have the form that it must have.",
}
_FINDINGS = (
    ("defaults_applied", "An optional field was missing", "the default was filled in"),
    ("missing_required", "A required field is missing", "kept, marked incomplete"),
    ("out_of_range", "Value out of range", "corrected or flagged"),
    ("corrected", "of these, corrected", "value before and after recorded"),
    ("flagged", "of these, flagged", "kept, marked out of range"),
    ("anomalies", "Statistical outlier", "kept, marked for review"),
    ("late", "Occurred on an earlier day", "kept, marked late"),
)
_TOTALS = frozenset({"all", "total", "*"})
_Item = TypeVar("_Item")


_TEMPLATES = Path(__file__).parent
_NO_BREAK = "\u00a0"


def render_report(data: ReportData) -> str:
    """Return the report as one HTML document (UTF-8, without anything outside of it).

    Texts of any kind are shown and never interpreted; figures are rounded so that what missed
    its threshold never reads as if it had met it.

    Args:
        data: The summary of the run, and rows for the details.
    """
    return _environment().get_template("report.html.j2").render(_context(data, data.summary.plain()))


def _context(data: ReportData, summary: Summary) -> dict[str, Any]:
    titles = {name: source.title for name, source in summary.sources.items()}
    day = flow_of_day(summary)
    iterations, scores = _score_groups(data.scores, titles)
    reasons, more_reasons = _reason_groups(data.rejections, titles)
    corrections, more_corrections = _clip(sorted(data.corrections, key=lambda group: -group.count), _MOST_GROUPS)
    anomalies, more_anomalies = _clip(sorted(data.anomalies, key=lambda group: -group.count), _MOST_GROUPS)
    decisions, more_decisions = _clip(summary.decisions, _MOST_DECISIONS)
    longest = max((phase.duration_s or 0 for phase in summary.phases.values()), default=0) or 1
    return {
        "summary": summary,
        "day_in_words": f"{summary.date:%A}, {summary.date.day} {summary.date:%B %Y}",
        "verdict": verdict_of(summary),
        "is_partial": summary.outcome is Outcome.PARTIAL,
        "margins": [(one, _margin(one)) for one in summary.criteria],
        "day": day,
        "flows": flows_by_source(summary),
        "found": [(label, getattr(summary, key), done) for key, label, done in _FINDINGS],
        "funnel": funnel_of(day),
        "iterations": iterations,
        "scores": scores,
        "reasons": reasons,
        "more_reasons": more_reasons,
        "corrections": corrections,
        "more_corrections": more_corrections,
        "anomalies": anomalies,
        "more_anomalies": more_anomalies,
        "decisions": decisions,
        "more_decisions": more_decisions,
        "titles": titles,
        "lineage": data.lineage or _lineage_of(summary),
        "phases": [
            (name, phase, round(100 * (phase.duration_s or 0) / longest, 2)) for name, phase in summary.phases.items()
        ],
        "offenders": offender_lines(summary),
        "steps": [step for step in next_steps_of(summary) if not step.text.startswith(READ_REPORT)],
        "most_examples": _MOST_EXAMPLES,
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_inert,
    )
    environment.filters |= {
        "n": count,
        "pct": lambda value: _unbroken(share(value)),
        "dur": lambda seconds: _unbroken(duration(seconds)),
        "pct2": lambda value, against=None: _unbroken(share(value, against=against, trim=False)),
        "money": lambda value: decimals(value, 2),
        "sd": lambda value: decimals(value, 1),
        "fixed": _unbroken,
        "round_mb": lambda value: _unbroken(measure(value, "MB")),
        "tidy": plain_text,
        "moment": _moment,
        "shortened": _shortened,
    }
    return environment


def _inert(value: Any) -> Any:
    # markup made by the template itself (a macro's output) passes; all else is text
    return value if isinstance(value, Markup) else visible_text(value)


def _unbroken(text: str) -> str:
    return text.replace("%", f"{_NO_BREAK}%").replace(" ", _NO_BREAK)


def _moment(value: datetime) -> str:
    """A time to the second, with its zone, as in "2025-11-16 02:00:00 UTC"."""
    zone = value.strftime("%z")
    return f"{value:%Y-%m-%d %H:%M:%S}" + (" UTC" if zone == "+0000" else f" {zone}" * bool(zone))


def _shortened(payload: Any, most: int = _PAYLOAD_CHARACTERS) -> Mapping[str, Any]:
    """Return the payload's beginning, and how many characters were cut off."""
    text = "" if payload is None else str(payload)
    return {"text": text[:most], "cut": max(len(text) - most, 0)}


# ---------------------------------------------------------------- the verdict


@dataclass(frozen=True)
class Verdict:
    """What happened, and whether today's numbers can be trusted."""

    mark: str
    sign: str
    word: str
    answer: str
    sentences: tuple[str, ...]


def verdict_of(summary: Summary) -> Verdict:
    """Return the report's first words."""
    outcome = summary.outcome
    mark, sign, word, answer = outcome.mark, outcome.sign, outcome.verdict, outcome.answer
    if outcome is Outcome.NOTHING_TO_DO:
        return Verdict(mark, sign, word, answer, ())
    if outcome.is_published and summary.unaccounted:
        failed = Outcome.FAILED
        mark, sign, word = failed.mark, failed.sign, "Published, sums wrong"
        answer = "Don't trust these numbers yet: records are unaccounted for."
    elif summary.made_visible and not outcome.is_published:
        word = f"Failed after publishing, {summary.status.lower()}"
        answer = "The day was published before the run failed."
    sentences = _published_sentences(summary) if outcome.is_published else _unpublished_sentences(summary)
    return Verdict(mark, sign, word, answer, tuple(sentence for sentence in sentences if sentence))


def _published_sentences(summary: Summary) -> list[str]:
    missing = [source.title for source in summary.missing if not source.collected]
    stale = [source.title for source in summary.missing if source.collected]
    causes, cut = "; ".join(f"{one.title}: {one.cause}" for one in summary.missing), summary.incomplete
    return [
        f"{_joined(missing)} could not be collected, so totals are too low." if missing else "",
        f"{_joined(stale)} could not be refreshed; the records of an earlier run were used." if stale else "",
        f"Cause: {causes}." if causes else "",
        *(f"{one.title} is incomplete: {one.unread} could not be read, so totals are too low." for one in cut),
        _goal_sentence(summary, "What is there meets the goal" if causes or cut else "The goal is met"),
        _account_sentence(summary),
        _flag_sentence(summary),
    ]


def _unpublished_sentences(summary: Summary) -> list[str]:
    escalation, error = summary.escalation, summary.error
    reason = escalation.reason if escalation else error.message if error else ""
    return [
        f"Reason: {reason.rstrip('.')}." if reason else "",
        _goal_sentence(summary),
        f"Recommendation: {escalation.recommendation}" if escalation and escalation.recommendation else "",
    ]


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _goal_sentence(summary: Summary, subject: str = "The goal is met") -> str:
    checked = [one for one in summary.criteria if one.is_checked]
    if not checked:
        return ""
    if summary.missed:
        words = "; ".join(f"{one.title}: {one.figure}, not {one.limit}" for one in summary.missed)
        return f"The goal is missed ({words})."
    if all(one.met for one in checked):
        return f"{subject}: {summary.goal_tally}."
    return f"The goal is not fully measured: {summary.goal_tally}."


def _account_sentence(summary: Summary) -> str:
    if summary.unaccounted:
        return f"{plural(abs(summary.unaccounted), 'record')} can't be accounted for: the sums do not add up."
    return (
        f"Each of the {count(summary.collected)} collected records is accounted for: "
        f"{count(summary.published)} published, {count(summary.quarantined)} quarantined, "
        f"{count(summary.duplicates)} removed as duplicates."
    )


def _flag_sentence(summary: Summary) -> str:
    parts = [
        f"{count(records)} {words}"
        for records, words in (
            (summary.missing_required, "lack a required field"),
            (summary.flagged, "have a value out of range"),
            (summary.anomalies, "are statistical outliers"),
        )
        if records
    ]
    return f"Flagged, not hidden: {_joined(parts)}." if parts else ""


# ---------------------------------------------------------------- where the records went


@dataclass(frozen=True)
class Flow:
    """What became of the records of a source (or of all).

    `held` are records that passed and were not published, because the run published nothing; else None.
    """

    title: str
    collected: int
    quarantined: int
    duplicates: int
    published: int
    held: int | None = None

    @property
    def end(self) -> int:
        """The records that passed, published or held back."""
        return self.published if self.held is None else self.held

    @property
    def gap(self) -> int:
        """The records that are unaccounted for; 0 where the sums add up."""
        return self.collected - self.end - self.quarantined - self.duplicates


@dataclass(frozen=True)
class FunnelStep:
    """A bar of the funnel: from `start` to `start + width`, both in percent of collected."""

    label: str
    records: int
    lost: bool
    start: float
    width: float


def flow_of_day(summary: Summary) -> Flow:
    """Return what became of all records of the day."""
    counts = (summary.collected, summary.quarantined, summary.duplicates)
    if summary.made_visible or summary.outcome.is_published:
        return Flow("All", *counts, summary.published)
    return Flow("All", *counts, 0, held=summary.transformed - summary.duplicates)


def flows_by_source(summary: Summary) -> list[Flow]:
    """Return what became of the records of each source; none where nothing was published."""
    if not summary.made_visible:
        return []
    return [
        Flow(one.title, one.collected, one.quarantined, one.duplicates, one.published)
        for one in summary.sources.values()
    ]


def funnel_of(flow: Flow) -> list[FunnelStep]:
    """Return the bars from collected to published, the losses between them."""
    if not flow.collected:
        return []

    def bar(label: str, records: int, before: int | None = None) -> FunnelStep:
        start = 0 if before is None else before - records
        in_percent = (round(100 * part / flow.collected, 3) for part in (start, records))
        return FunnelStep(label, records, before is not None, *in_percent)

    transformed = flow.collected - flow.quarantined
    return [
        bar("Collected", flow.collected),
        bar("Quarantined", flow.quarantined, flow.collected),
        bar("Transformed", transformed),
        bar("Duplicates removed", flow.duplicates, transformed),
        bar("Published" if flow.held is None else "Held back", flow.end),
    ]


# ---------------------------------------------------------------- details, cut to a readable length


@dataclass(frozen=True)
class ScoreRow:
    """A check on a source: its scores by iteration, the last measurement, what was gained."""

    source: str
    is_total: bool
    last: Score
    by_iteration: Mapping[int, Score]
    gain: str


@dataclass(frozen=True)
class ReasonGroup:
    """A reason of rejection over all sources; `width` is in percent of the most frequent."""

    code: str
    words: str
    count: int
    width: float
    sources: tuple[tuple[str, int], ...]
    examples: tuple[tuple[str, Example], ...]


def _margin(criterion: Criterion) -> str:
    """Return how far a figure lies from its threshold, in words; "" where that says nothing."""
    measured, threshold = number(criterion.measured), number(criterion.threshold)
    if measured is None or threshold is None or measured == threshold or criterion.met is None:
        return ""
    distance = abs(measured - threshold)
    gap = points(measured, threshold) if criterion.unit == "fraction" else measure(distance, criterion.unit)
    if criterion.met:
        return f"{gap} to spare"
    return f"{gap} short" if measured < threshold else f"{gap} too much"


def _score_groups(
    scores: Sequence[Score], titles: Mapping[str, str]
) -> tuple[list[int], list[tuple[str, str, list[ScoreRow]]]]:
    """Return the iterations, and (dimension, entity, rows by source) in the order they came in."""
    measured: dict[tuple[str, str, str], dict[int, Score]] = {}
    for score in scores:
        key = (score.dimension, score.entity, score.source)
        measured.setdefault(key, {})[score.iteration] = score
    iterations = sorted({score.iteration for score in scores})
    groups: dict[tuple[str, str], list[ScoreRow]] = {}
    for (dimension, entity, source), by_iteration in list(measured.items())[:_MOST_SCORES]:
        first, last = by_iteration[min(by_iteration)], by_iteration[max(by_iteration)]
        gain = ""
        before, after = number(first.score), number(last.score)
        if before is not None and after is not None and before != after:
            gain = ("+" if after > before else "\u2212") + points(after, before)
        total = source.lower() in _TOTALS
        title = "All" if total else titles.get(source, source)
        groups.setdefault((dimension, entity), []).append(ScoreRow(title, total, last, by_iteration, gain))
    return iterations, [(*key, rows) for key, rows in groups.items()]


def _reason_groups(rejections: Iterable[Rejection], titles: Mapping[str, str]) -> tuple[list[ReasonGroup], int]:
    """Return the most frequent reasons first, and how many reasons are left out."""
    by_reason: dict[str, list[Rejection]] = {}
    for rejection in rejections:
        by_reason.setdefault(rejection.reason, []).append(rejection)
    totals = {code: sum(one.count for one in group) for code, group in by_reason.items()}
    most = max(totals.values(), default=0) or 1
    groups = []
    for code, total in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        group = sorted(by_reason[code], key=lambda one: -one.count)
        examples = [(titles.get(one.source, one.source), example) for one in group for example in one.examples]
        groups.append(
            ReasonGroup(
                code=code,
                words=_reason_words(code),
                count=total,
                width=round(100 * total / most, 2),
                sources=tuple((titles.get(one.source, one.source), one.count) for one in group),
                examples=tuple(_spread(examples)),
            )
        )
    return _clip(groups, _MOST_GROUPS)


def _reason_words(code: str) -> str:
    for ending, words in _REASONS_OF_FIELDS.items():
        if code.endswith(ending):
            return words.format(field=code.removesuffix(ending).replace("_", " "))
    return _REASONS.get(code, "")


def _spread(examples: list[tuple[str, Example]]) -> list[tuple[str, Example]]:
    """Take examples from all sources in turn, so that the largest doesn't fill the list."""
    by_source: dict[str, list[tuple[str, Example]]] = {}
    for pair in examples:
        by_source.setdefault(pair[0], []).append(pair)
    taken: list[tuple[str, Example]] = []
    for place in range(_MOST_EXAMPLES):
        taken += [pairs[place] for pairs in by_source.values() if len(pairs) > place]
    return taken[:_MOST_EXAMPLES]


def _lineage_of(summary: Summary) -> list[LineagePath]:
    """Return the ends of each source's way that the summary knows, for when the rows of the warehouse are gone."""
    if not summary.made_visible:
        return []
    return [
        LineagePath(
            source.title,
            (source.location or name, f"raw_{name}", ", ".join(one.table for one in summary.entities.values())),
            source.published,
        )
        for name, source in summary.sources.items()
        if source.is_loaded or source.published
    ]


def _clip(items: Sequence[_Item], most: int) -> tuple[list[_Item], int]:
    """Return the first `most` items, and how many are left out."""
    return list(items[:most]), max(len(items) - most, 0)
