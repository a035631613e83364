"""`explain`: what a run saw, decided and changed, with the evidence, from its folder or, when that is gone, the warehouse.

Readable by someone who was just woken up: what is broken and why comes first.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.commands.answer import Place, answer, print_json, say_note
from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.text import count, duration, plural
from supervisor.dbt.artifacts import ArtifactError, read_invocation
from supervisor.record.history import (
    REQUEST_FILE,
    RUN_ID,
    local_run,
    local_runs,
    newest_run,
    open_requests,
    read_decisions,
    read_run,
    read_runs,
    run_ids,
)
from supervisor.record.quarantine import Choice, Group, find_shelf, read_groups
from supervisor.show.advice import next_steps_of, offender_lines
from supervisor.show.terminal import Column, Terminal
from supervisor.warehouse.base import Session
from supervisor.warehouse.reading import reading_if_possible, why_unreadable

if TYPE_CHECKING:
    from supervisor.record.summary import Source, Summary

_NEAREST = 5
_MOST_REASONS = 8
_FILES = (
    "summary.json",
    "decisions.jsonl",
    REQUEST_FILE,
    "run.log",
    "loaders.log",
    "loaders.err",
    "dbt/dbt.log",
    "dbt/worker.log",
)


@dataclass(frozen=True)
class Evidence:
    """A dbt node that did not pass.

    Attributes:
        status: dbt's word: fail, warn or error.
        rows: Rows that a test returned.
        artifact: The `run_results.json` that says so.
    """

    name: str
    status: str
    rows: int | None
    message: str
    artifact: str


@dataclass(frozen=True)
class Explanation:
    """Everything that is left of a run.

    Attributes:
        found_in: The run's folder, or the warehouse.
        summary: None when the run never ended: it was killed or still works.
        request: What was asked of it, as far as that is known.
        decisions: As `decisions.jsonl` has them.
        visible_run: The run whose rows of the day readers see now.
        rejections: What this run rejected, as far as its rows are still there.
        files: What is left of it on disk.
    """

    run_id: str
    found_in: str
    summary: Summary | None
    request: Mapping[str, Any]
    decisions: Sequence[Mapping[str, Any]]
    tests: Sequence[Evidence] = ()
    rejections: Sequence[Group] = ()
    visible_run: str | None = None
    files: Sequence[str] = ()
    notes: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "run_id": self.run_id,
            "found_in": self.found_in,
            "ended": self.summary is not None,
            "visible_run": self.visible_run,
            "summary": dict(self.request) if self.summary is None else self.summary.as_dict(),
            "decisions": list(self.decisions),
            "tests": [asdict(test) for test in self.tests],
            "rejections": [group.as_dict() for group in self.rejections],
            "files": list(self.files),
            "notes": list(self.notes),
        }


def explain_run(session: Session | None, work_dir: Path, target: str, run_id: str | None) -> Explanation:
    """Gather what is left of a run.

    Args:
        session: The warehouse; None when it does not exist or another run has it.
        work_dir: Where `runs/` is.
        target: The warehouse's target.
        run_id: Which run; None for the newest.

    Raises:
        UsageError: No such run; names the nearest ids.
    """
    known = _known_ids(session, work_dir, target)
    if run_id is None:
        newest = newest_run(session) if session is not None else None
        run_id = newest.run_id if newest else known[0] if known else ""
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(_unknown(run_id, known, target))
    folder = work_dir / "runs" / run_id
    recorded = read_run(session, run_id) if session is not None else None
    summary = local_run(work_dir, run_id) or recorded
    request = _read_json(folder / REQUEST_FILE)
    if summary is None and request is None:
        raise UsageError(_unknown(run_id, known, target))
    decisions: Sequence[Mapping[str, Any]] = _read_lines(folder / "decisions.jsonl")
    if not decisions and recorded is not None and session is not None:
        decisions = read_decisions(session, run_id)
    tests, notes = _failed_tests(folder / "dbt", work_dir)
    if not folder.exists():
        notes = [f"runs/{run_id}/ is gone, and dbt's artifacts with it: this is what the warehouse remembers", *notes]
    visible, rejections = (None, []) if not session or not summary else _seen_in_warehouse(session, summary, target)
    return Explanation(
        run_id=run_id,
        found_in=f"runs/{run_id}" if folder.exists() else "warehouse",
        summary=summary,
        request=request or {},
        decisions=decisions,
        tests=tests,
        rejections=rejections,
        visible_run=visible,
        files=_files(folder, work_dir, summary),
        notes=notes,
    )


def _known_ids(session: Session | None, work_dir: Path, target: str) -> list[str]:
    local = [run.run_id for run in local_runs(work_dir, target)]
    begun = list(open_requests(work_dir, target))
    recorded = run_ids(session) if session is not None else []
    return sorted({*local, *begun, *recorded}, reverse=True)


def _unknown(run_id: str, known: Sequence[str], target: str) -> str:
    if not known:
        return f"run '{run_id}' is unknown: no run is recorded here. Look with: {command_line(None, target, 'status')}"
    near = difflib.get_close_matches(run_id, known, n=_NEAREST, cutoff=0.5)
    words = f"The nearest: {', '.join(near)}" if near else f"The newest: {', '.join(known[:_NEAREST])}"
    return f"run '{run_id}' is unknown. {words}. Try: {command_line(None, target, f'explain {(near or known)[0]}')}"


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _read_lines(path: Path) -> list[Mapping[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        # the last line of a run that was killed may be cut off
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def _failed_tests(folder: Path, work_dir: Path) -> tuple[list[Evidence], list[str]]:
    """Read every invocation's artifacts, in their order, for what did not pass, and say which can't be read."""
    found, complaints = [], []
    for path in sorted(folder.glob("*/run_results.json"), key=lambda path: _number(path.parent.name)):
        try:
            invocation = read_invocation(path.parent)
        except ArtifactError as error:
            complaints.append(str(error))
            continue
        found += [
            Evidence(
                result.name,
                result.status,
                result.failures,
                " ".join((result.message or "").split()),
                str(path.relative_to(work_dir)),
            )
            for result in (invocation.results if invocation else ())
            if result.status in ("fail", "warn", "error")
        ]
    return found, complaints


def _number(name: str) -> int:
    head = name.partition("-")[0]
    return int(head) if head.isdigit() else 0


def _seen_in_warehouse(session: Session, summary: Summary, target: str) -> tuple[str | None, list[Group]]:
    """Which run's rows readers see now, and what this run rejected, if those rows are still its own."""
    published = [run for run in read_runs(session, summary.date, summary.date) if run.has_published]
    visible = published[-1].run_id if published else None
    for held_back in (False, True):
        with contextlib.suppress(UsageError):
            shelf = find_shelf(session, summary.date, target, held_back=held_back)
            if shelf.run_id == summary.run_id:
                return visible, read_groups(session, shelf, Choice())
    return visible, []


def _files(folder: Path, work_dir: Path, summary: Summary | None) -> list[str]:
    paths = [folder / name for name in _FILES]
    if summary is not None:
        paths.append(work_dir / "reports" / f"quality_{summary.run_id}.html")
    return [str(path.relative_to(work_dir)) for path in paths if path.exists() and path.stat().st_size]


def show_explanation(explanation: Explanation, target: str, out: Terminal) -> None:
    """Write the explanation, the verdict first and the evidence last."""
    summary = explanation.summary
    if summary is None:
        _show_unended(explanation, target, out)
    else:
        _show_verdict(summary, explanation.notes, out)
        _show_collected(summary, out)
    _show_decisions(explanation.decisions, out)
    if summary is not None:
        _show_changes(summary, explanation.visible_run, out)
    _show_evidence(explanation, out)
    _heading("What to do", out)
    if summary is None:
        out.line("  Run the day again; nothing needs cleaning up first:")
        out.command(command_line(None, target, f"--date {explanation.request.get('date')}"))
    else:
        _show_next(summary, out)


def _heading(text: str, out: Terminal) -> None:
    out.line()
    out.line(text, "bold")


def _item(text: str, out: Terminal, style: str = "") -> None:
    for line in textwrap.wrap(text, out.width, initial_indent="  ", subsequent_indent="    ") or [""]:
        out.line(line, style)


def _show_unended(explanation: Explanation, target: str, out: Terminal) -> None:
    request = explanation.request
    day, place = request.get("date", "an unknown day"), request.get("target", "an unknown target")
    out.line(f"Run {explanation.run_id}, day {day}, target {place}", "bold")
    out.line("NOT ENDED: it was killed, or it is still at work; nothing of it was published", "yellow")
    status = command_line(None, target, "status")
    out.line(f"Started {_clock(request.get('started_at'))} UTC. See whether it runs: {status}")


def _show_verdict(summary: Summary, notes: Sequence[str], out: Terminal) -> None:
    outcome = summary.outcome
    out.line(f"Run {summary.run_id}, day {summary.date}, target {summary.target}", "bold")
    out.line(f"{summary.status}: {outcome.told} (exit code {summary.exit_code})", outcome.colour)
    began, ended = _clock(summary.started_at), _clock(summary.finished_at)
    out.line(f"From {began} to {ended} UTC, {duration(summary.duration_s)}")
    for note in notes:
        out.line(note, "yellow")
    if summary.escalation:
        _heading(f"Why (phase {summary.escalation.phase})", out)
        for line in (summary.escalation.reason, *offender_lines(summary)):
            _item(line, out)
    if summary.error:
        _heading("Why", out)
        _item(summary.error.message, out)
    for one in summary.missed:
        _item(f"Not met: {one.title}: measured {one.evidence}, threshold {one.limit}", out, "red")
    for one in summary.criteria:
        if one.note and one.met is None:
            _item(f"Not measured: {one.title}: {one.note}", out, "yellow")


def _show_collected(summary: Summary, out: Terminal) -> None:
    if not summary.sources:
        return
    _heading("What was collected", out)
    out.table(
        [
            Column("Source", keep=True),
            Column("Outcome", keep=True),
            Column("Collected", align="right", keep=True),
            Column("Quarantined", align="right", keep=True),
            Column("Duplicates", align="right", keep=True),
            Column("Published" if summary.made_visible else "Held back", align="right", keep=True),
            Column("Tries", align="right", keep=True),
        ],
        [
            (
                name,
                (_arrival(source), "green" if source.is_whole else "yellow" if source.is_loaded else "red"),
                count(source.collected),
                count(source.quarantined),
                count(source.duplicates),
                count(source.published),
                count(source.tries),
            )
            for name, source in summary.sources.items()
        ],
    )
    for name, source in summary.sources.items():
        if source.reason:
            _item(f"{name}: {source.reason}", out)
        if source.is_loaded and source.run_id not in (None, summary.run_id):
            _item(f"{name}: its records were collected by run {source.run_id}", out)
        for change in source.drift:
            _item(f"{name}: column changed: {change}", out, "yellow")
        if source.is_loaded and source.incomplete:
            _item(f"{name}: {source.unread} could not be read", out)


def _arrival(source: Source) -> str:
    return "incomplete" if source.is_loaded and source.incomplete else source.status


def _show_decisions(decisions: Sequence[Mapping[str, Any]], out: Terminal) -> None:
    _heading("What was seen and decided, in order", out)
    if not decisions:
        _item("nothing was recorded", out)
    for number, decision in enumerate(decisions, start=1):
        out.line(f"{number:>3}. {_clock(decision.get('at'))[-8:]}  {decision.get('phase')}")
        for label, word in (("observed", "seen"), ("decision", "decided"), ("outcome", "outcome")):
            text = str(decision.get(label) or "-")
            for position, line in enumerate(textwrap.wrap(text, max(out.width - 15, 20)) or ["-"]):
                out.line(f"     {word if position == 0 else '':<8} {line}")


def _show_changes(summary: Summary, visible_run: str | None, out: Terminal) -> None:
    _heading("What it changed", out)
    if summary.has_published:
        for entity in summary.entities.values():
            _item(f"{entity.table}: {summary.date} replaced, {plural(entity.published, 'row')}", out)
        for records, words in (
            (summary.quarantined, "quarantine.quarantined_records: {}"),
            (summary.corrected, "quality.corrections: {} with a corrected value"),
            (summary.defaults_applied, "quality.corrections: {} with a default value"),
            (summary.duplicates, "removed as duplicates: {}"),
        ):
            if records:
                _item(words.format(plural(records, "record")), out)
        if summary.archive:
            _item(f"raw data archived: {summary.archive}", out)
    else:
        _item("nothing that readers see", out)
    if visible_run:
        whose = "this run" if visible_run == summary.run_id else f"run {visible_run}"
        _item(f"readers see {summary.date} as {whose} published it", out)


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


def _show_next(summary: Summary, out: Terminal) -> None:
    if summary.escalation and summary.escalation.recommendation:
        advice = summary.escalation.recommendation
        _item(advice[:1].upper() + advice[1:], out)
    if summary.repair_command:
        when = "what could not be read is there" if summary.incomplete and not summary.missing else "the source answers"
        out.line(f"  Complete the day, once {when}:")
        out.command(summary.repair_command)
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
