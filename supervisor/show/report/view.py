"""The report's parts as the template needs them: sorted, grouped, cut to a readable length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from supervisor.common.text import duration, measure, number, plain_text, points
from supervisor.record.summary import (
    CriterionFacts,
    SourceFacts,
    entries,
    figure,
    sources_of,
    status_of,
    unaccounted,
    was_published,
)
from supervisor.show.report.data import Example, LineagePath, Rejection, ReportData, Score

MOST_GROUPS, MOST_EXAMPLES, MOST_DECISIONS, MOST_SCORES = 30, 5, 200, 400
PAYLOAD_CHARACTERS = 480
REASONS = {
    "event_id_missing": "The event has no id.",
    "payload_not_json": "The payload is not a JSON object.",
    "user_id_unparsable": "The user id is not a whole number.",
    "occurred_at_unparsable": "The time is not an ISO 8601 timestamp.",
    "amount_unparsable": "The amount is not a plain decimal number.",
    "quantity_unparsable": "The quantity is not a whole number.",
    "event_id_unparsable": "The event's id is an object or a list instead of a text.",
    "currency_unparsable": "The currency is an object or a list instead of a text.",
    "country_unparsable": "The country is an object or a list instead of a text.",
    "device_unparsable": "The device is an object or a list instead of a text.",
    "event_type_unknown": "The event type is not among the known ones.",
    "orphan_user": "The user does not exist.",
}
_FINDINGS = (
    ("defaults_applied", "An optional field was missing", "the default was filled in"),
    ("missing_required", "A required field is missing", "kept, marked incomplete"),
    ("out_of_range", "Amount out of range", "corrected or flagged"),
    ("corrected", "of these, corrected", "value before and after recorded"),
    ("flagged", "of these, flagged", "kept, marked out of range"),
    ("anomalies", "Statistical outlier", "kept, marked for review"),
    ("late", "Occurred on an earlier day", "kept, marked late"),
)
_TOTALS = frozenset({"all", "total", "*"})
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Flow:
    """What became of the records of a source (or of all): counts, None where not known.

    `held` are records that passed and were not published, because the run escalated.
    """

    title: str
    collected: Decimal | None
    quarantined: Decimal | None
    duplicates: Decimal | None
    published: Decimal | None
    held: Decimal | None

    @property
    def transformed(self) -> Decimal | None:
        """Collected less quarantined."""
        if self.collected is None or self.quarantined is None:
            return None
        return self.collected - self.quarantined

    @property
    def gap(self) -> Decimal | None:
        """The records that are unaccounted for; 0 where the sums add up."""
        out = self.published if self.held is None else self.held
        return unaccounted(self.collected, out, self.quarantined, self.duplicates)


@dataclass(frozen=True)
class FunnelStep:
    """A bar of the funnel: from `start` to `start + width`, both in percent of collected."""

    label: str
    records: Decimal
    lost: bool
    start: float
    width: float


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


def flow_of_day(summary: Mapping[str, Any]) -> Flow:
    """Return what became of all records of the day."""
    keys = ("collected", "quarantined", "duplicates", "published")
    collected, quarantined, duplicates, published = (figure(summary, key) for key in keys)
    held = None
    if not was_published(summary) and status_of(summary) != "NOTHING_TO_DO":
        published = Decimal(0)
        transformed = figure(summary, "transformed")
        if transformed is not None and duplicates is not None:
            held = transformed - duplicates
    return Flow("All", collected, quarantined, duplicates, published, held)


def flows_by_source(summary: Mapping[str, Any]) -> list[Flow]:
    """Return what became of the records of each source; none where nothing was published."""
    if not was_published(summary):
        return []
    return [
        Flow(one.title, one.collected, one.quarantined, one.duplicates, one.published, None)
        for one in sources_of(summary)
    ]


def funnel_of(flow: Flow) -> list[FunnelStep]:
    """Return the bars from collected to published, the losses between them."""
    collected, transformed = flow.collected, flow.transformed
    if not collected or transformed is None:
        return []
    end, name = (flow.published, "Published") if flow.held is None else (flow.held, "Held back")

    def bar(label: str, records: Decimal, before: Decimal | None = None) -> FunnelStep:
        start = Decimal(0) if before is None else before - records
        return FunnelStep(
            label,
            records,
            before is not None,
            round(float(100 * start / collected), 3),
            round(float(100 * records / collected), 3),
        )

    steps = [bar("Collected", collected)]
    if flow.quarantined is not None:
        steps.append(bar("Quarantined", flow.quarantined, collected))
    steps.append(bar("Transformed", transformed))
    if flow.duplicates is not None:
        steps.append(bar("Duplicates removed", flow.duplicates, transformed))
    if end is not None:
        steps.append(bar(name, end))
    return steps


def findings_of(summary: Mapping[str, Any]) -> list[tuple[str, Decimal, str]]:
    """Return (finding, records, what was done) for the figures that the summary has."""
    return [(label, records, done) for key, label, done in _FINDINGS if (records := figure(summary, key)) is not None]


def margin_of(criterion: CriterionFacts) -> str:
    """Return how far a figure lies from its threshold, in words; "" where that says nothing."""
    measured, threshold = criterion.raw_measured, criterion.raw_threshold
    if measured is None or threshold is None or measured == threshold or criterion.met is None:
        return ""
    if criterion.kind == "fraction":
        gap = points(measured, threshold)
    elif criterion.kind == "s":
        gap = duration(abs(measured - threshold))
    else:
        gap = measure(abs(measured - threshold), criterion.kind)
    if criterion.met:
        return f"{gap} to spare"
    return f"{gap} short" if measured < threshold else f"{gap} too much"


def source_titles(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the title of each source by its name."""
    return {source.name: source.title for source in sources_of(summary)}


def score_groups(
    scores: Sequence[Score], titles: Mapping[str, str]
) -> tuple[list[int], list[tuple[str, str, list[ScoreRow]]]]:
    """Return the iterations, and (dimension, check, rows by source) in the order they came in."""
    measured: dict[tuple[str, str, str], dict[int, Score]] = {}
    for score in scores:
        key = (score.dimension, score.check_name, score.source)
        measured.setdefault(key, {})[score.iteration] = score
    iterations = sorted({score.iteration for score in scores})
    groups: dict[tuple[str, str], list[ScoreRow]] = {}
    for (dimension, check, source), by_iteration in list(measured.items())[:MOST_SCORES]:
        first, last = by_iteration[min(by_iteration)], by_iteration[max(by_iteration)]
        gain = ""
        before, after = number(first.score), number(last.score)
        if before is not None and after is not None and before != after:
            gain = ("+" if after > before else "\u2212") + points(after, before)
        total = source.lower() in _TOTALS
        title = "All" if total else titles.get(source, source)
        groups.setdefault((dimension, check), []).append(ScoreRow(title, total, last, by_iteration, gain))
    return iterations, [(*key, rows) for key, rows in groups.items()]


def reason_groups(rejections: Iterable[Rejection], titles: Mapping[str, str]) -> tuple[list[ReasonGroup], int]:
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
                words=REASONS.get(code, ""),
                count=total,
                width=round(100 * total / most, 2),
                sources=tuple((titles.get(one.source, one.source), one.count) for one in group),
                examples=tuple(_spread(examples)),
            )
        )
    return groups[:MOST_GROUPS], max(len(groups) - MOST_GROUPS, 0)


def _spread(examples: list[tuple[str, Example]]) -> list[tuple[str, Example]]:
    """Take examples from all sources in turn, so that the largest doesn't fill the list."""
    by_source: dict[str, list[tuple[str, Example]]] = {}
    for pair in examples:
        by_source.setdefault(pair[0], []).append(pair)
    taken: list[tuple[str, Example]] = []
    for place in range(MOST_EXAMPLES):
        taken += [pairs[place] for pairs in by_source.values() if len(pairs) > place]
    return taken[:MOST_EXAMPLES]


def decisions_of(summary: Mapping[str, Any]) -> tuple[list[dict[str, str]], int]:
    """Return the decisions as clean texts in their order, and how many are left out."""
    decisions = entries(summary.get("decisions"))
    keys = ("phase", "observed", "decision", "outcome")
    shown = [{key: plain_text(entry.get(key), 800) for key in keys} for entry in decisions[:MOST_DECISIONS]]
    return shown, max(len(decisions) - MOST_DECISIONS, 0)


def lineage_of(data: ReportData, sources: Iterable[SourceFacts]) -> list[LineagePath]:
    """Return the paths that were given, or the ends that the summary knows."""
    if data.lineage:
        return list(data.lineage)
    if not was_published(data.summary):
        return []
    return [
        LineagePath(
            source.title,
            (source.location or source.name, f"raw_{source.name}", "analytics.events"),
            None if source.published is None else int(source.published),
        )
        for source in sources
        if source.loaded or source.published
    ]


def clip(items: Sequence[_Item], most: int) -> tuple[list[_Item], int]:
    """Return the first `most` items, and how many are left out."""
    return list(items[:most]), max(len(items) - most, 0)
