"""The report's first words: what happened, and whether today's numbers can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from supervisor.common.text import count, plain_text, plural
from supervisor.record.summary import (
    above_zero,
    criteria_of,
    figure,
    goal_tally,
    mapping,
    repair_command_of,
    sources_of,
    status_of,
    unaccounted,
    was_published,
)
from supervisor.show.advice import escalation_lines


@dataclass(frozen=True)
class Verdict:
    """The verdict in words; `tone` is "good", "warn" or "bad"."""

    tone: str
    sign: str
    word: str
    answer: str
    sentences: tuple[str, ...]
    offenders: tuple[str, ...] = ()
    repair: str = ""


def verdict_of(summary: Mapping[str, Any]) -> Verdict:
    """Return the verdict for the content of a `summary.json`."""
    status = status_of(summary)
    if status == "SUCCESS":
        return _success(summary)
    if status == "PARTIAL":
        return _partial(summary)
    if status == "NOTHING_TO_DO":
        answer = "Nothing had to be done: this day is complete."
        return Verdict("good", "✓", "Nothing to do", answer, ())
    return _unpublished(summary, status)


def day_in_words(value: Any) -> str:
    """Return a date such as "2025-11-16" as "Sunday, 16 November 2025"."""
    text = plain_text(value, 20)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text or "unknown day"
    return f"{day:%A}, {day.day} {day:%B %Y}"


def time_in_words(value: Any) -> str:
    """Return an ISO time to the second, with its zone, as in "2025-11-16 02:00:00 UTC"."""
    text = plain_text(value, 40)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M:%S}" + (" UTC" if zone == "+0000" else f" {zone}" * bool(zone))


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _goal_sentence(summary: Mapping[str, Any], subject: str = "The goal is met") -> str:
    checked = [one for one in criteria_of(summary) if one.checked]
    missed = [one for one in checked if one.met is False]
    if not checked:
        return ""
    if missed:
        words = "; ".join(f"{one.text}: {one.measured}, not {one.threshold}" for one in missed)
        return f"The goal is missed ({words})."
    if all(one.met for one in checked):
        return f"{subject}: {goal_tally(summary)}."
    return f"The goal is not fully measured: {goal_tally(summary)}."


def _gap(summary: Mapping[str, Any]) -> Any:
    keys = ("collected", "published", "quarantined", "duplicates")
    return unaccounted(*(figure(summary, key) for key in keys))


def _account_sentence(summary: Mapping[str, Any]) -> str:
    gap = _gap(summary)
    if gap is None:
        return ""
    if gap:
        return f"{plural(abs(gap), 'record')} can't be accounted for: the sums do not add up."
    return (
        f"Each of the {count(summary['collected'])} collected records is accounted for: "
        f"{count(summary['published'])} published, {count(summary['quarantined'])} quarantined, "
        f"{count(summary['duplicates'])} removed as duplicates."
    )


def _flag_sentence(summary: Mapping[str, Any]) -> str:
    parts = [
        f"{count(summary[key])} {words}"
        for key, words in (
            ("missing_required", "lack a required field"),
            ("flagged", "have an amount out of range"),
            ("anomalies", "are statistical outliers"),
        )
        if above_zero(summary.get(key))
    ]
    return f"Flagged, not hidden: {_joined(parts)}." if parts else ""


def _sentences(*sentences: str) -> tuple[str, ...]:
    return tuple(sentence for sentence in sentences if sentence)


def _success(summary: Mapping[str, Any]) -> Verdict:
    missed = any(one.checked and not one.met for one in criteria_of(summary))
    sentences = _sentences(_goal_sentence(summary), _account_sentence(summary), _flag_sentence(summary))
    if _gap(summary):
        return Verdict("bad", "✗", "Published, sums wrong",
                       "Don't trust these numbers yet: records are unaccounted for.",
                       sentences)  # fmt: skip
    if missed:
        return Verdict("warn", "⚠", "Published, goal not met in full",
                       "The numbers are published; read first what was not met.",
                       sentences)  # fmt: skip
    return Verdict("good", "✓", "Published, goal met", "You can use this day's numbers.", sentences)


def _partial(summary: Mapping[str, Any]) -> Verdict:
    down = [source for source in sources_of(summary) if not source.loaded]
    missing = [source.title for source in down if not above_zero(source.collected)]
    stale = [source.title for source in down if above_zero(source.collected)]
    causes = "; ".join(f"{one.title}: {one.reason or 'no reason recorded'}" for one in down)
    answer = "Use this day's numbers with care: they are incomplete."
    sentences = _sentences(
        f"{_joined(missing)} could not be collected, so totals are too low." if missing else "",
        f"{_joined(stale)} could not be refreshed; the records of an earlier run were used." if stale else "",
        f"Cause: {causes}." if causes else "",
        _goal_sentence(summary, "What is there meets the goal"),
        _account_sentence(summary),
        _flag_sentence(summary),
    )
    return Verdict("warn", "⚠", "Published in part", answer, sentences,
                   repair=repair_command_of(summary))  # fmt: skip


def _unpublished(summary: Mapping[str, Any], status: str) -> Verdict:
    escalation = mapping(summary.get("escalation"))
    error = summary.get("error")
    reason = escalation.get("reason") or mapping(error).get("message") or error
    advice = plain_text(escalation.get("recommendation"), 800)
    published = was_published(summary)
    answer = (
        "The day was published before the run failed."
        if published
        else "There are no new numbers. What was published before this run is unchanged."
    )
    word = "Failed after publishing" if published else "Not published"
    sentences = _sentences(
        f"Reason: {plain_text(reason, 800).rstrip('.')}." if reason else "",
        _goal_sentence(summary),
        f"Recommendation: {advice}" if advice else "",
    )
    offenders = tuple(escalation_lines(escalation.get("offenders")))
    suffix = "escalated" if status == "ESCALATED" else status.lower()
    return Verdict("bad", "✗", f"{word}, {suffix}", answer, sentences, offenders,
                   repair_command_of(summary))  # fmt: skip
