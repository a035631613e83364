"""The quality report of a run: one self-contained HTML page, made to be read on any screen.

The page needs no network, no script and no font; a content security policy in it forbids them
all, so that data which slips through as markup could still do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from supervisor.common.text import count, decimals, duration, measure, plain_text, share, visible_text
from supervisor.record.summary import (
    criteria_of,
    goal_tally,
    mapping,
    phases_of,
    repair_command_of,
    sources_of,
    status_of,
)
from supervisor.show.advice import issues_of, next_steps_of
from supervisor.show.report.data import (
    AnomalyExample,
    AnomalyGroup,
    CorrectionExample,
    CorrectionGroup,
    Example,
    LineagePath,
    Rejection,
    ReportData,
    Score,
)
from supervisor.show.report.verdict import day_in_words, time_in_words, verdict_of
from supervisor.show.report.view import (
    MOST_EXAMPLES,
    MOST_GROUPS,
    PAYLOAD_CHARACTERS,
    clip,
    decisions_of,
    findings_of,
    flow_of_day,
    flows_by_source,
    funnel_of,
    lineage_of,
    margin_of,
    reason_groups,
    score_groups,
    source_titles,
)

__all__ = [
    "AnomalyExample",
    "AnomalyGroup",
    "CorrectionExample",
    "CorrectionGroup",
    "Example",
    "LineagePath",
    "Rejection",
    "ReportData",
    "Score",
    "render_report",
]

_TEMPLATES = Path(__file__).parent
_NO_BREAK = "\u00a0"


def render_report(data: ReportData) -> str:
    """Return the report as one HTML document (UTF-8, without anything outside of it).

    Texts of any kind are shown and never interpreted; figures are rounded so that what missed
    its threshold never reads as if it had met it. Missing figures read "unknown".

    Args:
        data: The summary of the run, and rows for the details.
    """
    return _environment().get_template("report.html.j2").render(_context(data))


def _context(data: ReportData) -> dict[str, Any]:
    summary = data.summary
    titles = source_titles(summary)
    sources = sources_of(summary)
    day = flow_of_day(summary)
    iterations, scores = score_groups(data.scores, titles)
    reasons, more_reasons = reason_groups(data.rejections, titles)
    corrections, more_corrections = clip(sorted(data.corrections, key=lambda group: -group.count), MOST_GROUPS)
    anomalies, more_anomalies = clip(sorted(data.anomalies, key=lambda group: -group.count), MOST_GROUPS)
    decisions, more_decisions = decisions_of(summary)
    phases = phases_of(summary)
    longest = max((seconds or 0 for _, _, seconds in phases), default=0) or 1
    return {
        "summary": summary,
        "status": status_of(summary),
        "day_in_words": day_in_words(summary.get("date")),
        "verdict": verdict_of(summary),
        "tally": goal_tally(summary),
        "criteria": [(one, margin_of(one)) for one in criteria_of(summary)],
        "day": day,
        "flows": flows_by_source(summary),
        "found": findings_of(summary),
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
        "sources": sources,
        "titles": titles,
        "lineage": lineage_of(data, sources),
        "phases": [
            (name, status, seconds, round(100 * float(seconds or 0) / float(longest), 2))
            for name, status, seconds in phases
        ],
        "versions": mapping(summary.get("versions")),
        "issues": issues_of(summary),
        "steps": next_steps_of(summary),
        "repair": repair_command_of(summary),
        "most_examples": MOST_EXAMPLES,
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
        "pct": _percent,
        "dur": lambda seconds: _unbroken(duration(seconds)),
        "pct2": lambda value, against=None: _unbroken(share(value, against=against, trim=False)),
        "money": lambda value: decimals(value, 2),
        "sd": lambda value: decimals(value, 1),
        "fixed": _unbroken,
        "round_mb": lambda value: _unbroken(measure(value, "MB")),
        "tidy": plain_text,
        "moment": time_in_words,
        "shortened": _shortened,
    }
    return environment


def _inert(value: Any) -> Any:
    # markup made by the template itself (a macro's output) passes; all else is text
    return value if isinstance(value, Markup) else visible_text(value)


def _unbroken(text: str) -> str:
    return text.replace("%", f"{_NO_BREAK}%").replace(" ", _NO_BREAK)


def _percent(value: Any, against: Any = None) -> str:
    return _unbroken(share(value, against=against))


def _shortened(payload: Any, most: int = PAYLOAD_CHARACTERS) -> Mapping[str, Any]:
    """Return the payload's beginning, and how many characters were cut off."""
    text = "" if payload is None else str(payload)
    return {"text": text[:most], "cut": max(len(text) - most, 0)}
