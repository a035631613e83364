"""An explanation of a run, readable by someone who was just woken up: what is broken and why comes first."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from supervisor.commands.answer import Place, answer, print_json, say_note
from supervisor.common.command_line import command
from supervisor.common.text import count, duration, plural
from supervisor.record.explain import Explanation, explain_run
from supervisor.record.summary import (
    criteria_of,
    figure,
    mapping,
    repair_command_of,
    sources_of,
    status_of,
    was_published,
)
from supervisor.show.advice import escalation_lines, next_steps_of
from supervisor.show.terminal import Column, Terminal
from supervisor.warehouse.reading import reading_if_possible, why_unreadable

_HEADLINES = {
    "SUCCESS": ("SUCCESS: the day was published", "green"),
    "PARTIAL": ("PARTIAL: the day was published without a source", "yellow"),
    "ESCALATED": ("ESCALATED: nothing was published", "red"),
    "FAILED": ("FAILED: it broke off", "red"),
}
_MOST_REASONS = 8


def show_explanation(explanation: Explanation, target: str, out: Terminal) -> None:
    """Write the explanation, the verdict first and the evidence last."""
    _show_verdict(explanation, out)
    if explanation.ended:
        _show_collected(explanation, out)
    _show_decisions(explanation.decisions, out)
    if explanation.ended:
        _show_changes(explanation, out)
    _show_evidence(explanation, out)
    _show_next(explanation, target, out)


def _heading(text: str, out: Terminal) -> None:
    out.line()
    out.line(text, "bold")


def _item(text: str, out: Terminal, style: str = "") -> None:
    for line in textwrap.wrap(text, out.width, initial_indent="  ", subsequent_indent="    ") or [""]:
        out.line(line, style)


def _show_verdict(explanation: Explanation, out: Terminal) -> None:
    summary = explanation.summary
    day, target = summary.get("date", "an unknown day"), summary.get("target", "an unknown target")
    out.line(f"Run {explanation.run_id}, day {day}, target {target}", "bold")
    if not explanation.ended:
        out.line("NOT ENDED: it was killed, or it is still at work; nothing of it was published", "yellow")
        out.line(f"Started {_clock(summary.get('started_at'))} UTC. See whether it runs: python orchestrate.py status")
        return
    words, style = _HEADLINES.get(status_of(summary), (status_of(summary), "red"))
    out.line(f"{words} (exit code {summary.get('exit_code')})", style)
    out.line(
        f"From {_clock(summary.get('started_at'))} to {_clock(summary.get('finished_at'))} UTC, "
        f"{duration(summary.get('duration_s'))}"
    )
    for note in explanation.notes:
        out.line(note, "yellow")
    escalation = mapping(summary.get("escalation"))
    if escalation:
        _heading(f"Why (phase {escalation.get('phase', 'unknown')})", out)
        _item(str(escalation.get("reason") or "no reason recorded"), out)
        for line in escalation_lines(escalation.get("offenders")):
            _item(line, out)
    error = mapping(summary.get("error"))
    if error:
        _heading("Why", out)
        _item(str(error.get("message")), out)
    for criterion in criteria_of(summary):
        if criterion.met is False:
            _item(
                f"Not met: {criterion.text}: measured {criterion.measured}, threshold {criterion.threshold}", out, "red"
            )


def _show_collected(explanation: Explanation, out: Terminal) -> None:
    sources = sources_of(explanation.summary)
    if not sources:
        return
    _heading("What was collected", out)
    out.table(
        [
            Column("Source", keep=True),
            Column("Outcome", keep=True),
            Column("Collected", align="right", keep=True),
            Column("Quarantined", align="right", keep=True),
            Column("Duplicates", align="right", keep=True),
            Column("Published" if was_published(explanation.summary) else "Held back", align="right", keep=True),
            Column("Tries", align="right", keep=True),
        ],
        [
            (
                source.name,
                (source.status, "green" if source.loaded else "red"),
                count(source.collected),
                count(source.quarantined),
                count(source.duplicates),
                count(source.published),
                str(source.tries or "-"),
            )
            for source in sources
        ],
    )
    for source in sources:
        if source.reason:
            _item(f"{source.name}: {source.reason}", out)
        if source.loaded and source.run_id and source.run_id != explanation.run_id:
            _item(f"{source.name}: its records were collected by run {source.run_id}", out)


def _show_decisions(decisions: Sequence[Mapping[str, Any]], out: Terminal) -> None:
    _heading("What was seen and decided, in order", out)
    if not decisions:
        _item("nothing was recorded", out)
    for number, decision in enumerate(decisions, start=1):
        out.line(f"{number:>3}. {_clock(decision.get('at'))[-8:]}  {decision.get('phase')}")
        for label in ("observed", "decision", "outcome"):
            text = str(decision.get(label) or "-")
            word = {"observed": "seen", "decision": "decided"}.get(label, label)
            for position, line in enumerate(textwrap.wrap(text, max(out.width - 15, 20)) or ["-"]):
                out.line(f"     {word if position == 0 else '':<8} {line}")


def _show_changes(explanation: Explanation, out: Terminal) -> None:
    summary = explanation.summary
    _heading("What it changed", out)
    if status_of(summary) in ("SUCCESS", "PARTIAL"):
        _item(f"analytics.events: {summary['date']} replaced, {plural(summary.get('published'), 'row')}", out)
        for key, words in (
            ("quarantined", "quarantine.quarantined_events: {}"),
            ("corrected", "quality.corrections: {} with a corrected amount"),
            ("defaults_applied", "quality.corrections: {} with a default value"),
            ("duplicates", "removed as duplicates: {}"),
        ):
            if figure(summary, key):
                _item(words.format(plural(summary[key], "record")), out)
        if summary.get("archive"):
            _item(f"raw data archived: {summary['archive']}", out)
    else:
        _item("nothing that readers see", out)
    if explanation.visible_run == explanation.run_id:
        _item(f"readers see {summary['date']} as this run published it", out)
    elif explanation.visible_run:
        _item(f"readers see {summary['date']} as run {explanation.visible_run} published it", out)


def _show_evidence(explanation: Explanation, out: Terminal) -> None:
    _heading("Evidence", out)
    for test in explanation.tests:
        rows = "" if test.rows is None else f", {plural(test.rows, 'row')}"
        _item(f"{test.name}: {test.status}{rows}", out, "yellow" if test.status == "warn" else "red")
        if test.status == "error":
            _item(f"  {test.message}", out)
        out.command(test.artifact)
    if explanation.rejections:
        _item("Rejected most:", out)
        for group in explanation.rejections[:_MOST_REASONS]:
            _item(f"  {group.source} {group.reason}: {plural(group.open, 'record')}", out)
    for file in explanation.files:
        _item(file, out, "dim")


def _show_next(explanation: Explanation, target: str, out: Terminal) -> None:
    summary = explanation.summary
    _heading("What to do", out)
    if not explanation.ended:
        out.line("  Run the day again; it needs no cleaning up first:")
        out.command(command({**summary, "target": target}))
        return
    advice = mapping(summary.get("escalation")).get("recommendation")
    if advice:
        _item(f"{str(advice)[:1].upper()}{str(advice)[1:]}", out)
    if repair_command_of(summary):
        out.line("  Complete the day, once the source answers:")
        out.command(repair_command_of(summary))
    for step in next_steps_of(summary):
        if "explain " in step.command:
            continue
        _item(f"{step.text}:" if step.command else step.text, out)
        if step.command:
            out.command(step.command)


def _clock(moment: Any) -> str:
    """The moment to the second; its last eight characters are the time of day."""
    try:
        return f"{datetime.fromisoformat(str(moment)):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return "unknown time"


def explain(place: Place, run_id: str | None, as_json: bool) -> int:
    """Say what a run saw, decided and changed."""

    def work(out: Terminal) -> int:
        warehouse = place.warehouse()
        with reading_if_possible(warehouse, place.work_dir) as session:
            explanation = explain_run(session, place.work_dir, place.target, run_id)
        if as_json:
            print_json(explanation.as_dict())
        else:
            show_explanation(explanation, place.target, out)
        say_note(why_unreadable(warehouse, place.work_dir))
        return 0

    return answer(work)
