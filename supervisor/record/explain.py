"""What a run saw, decided and changed, with the evidence: from its folder or, when that is gone, from the warehouse."""

from __future__ import annotations

import contextlib
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.dbt.artifacts import ArtifactError, read_invocation
from supervisor.record.history import (
    REQUEST_FILE,
    RUN_ID,
    local_runs,
    newest_run,
    open_requests,
    read_decisions,
    read_run,
    read_runs,
    run_ids,
)
from supervisor.record.quarantine import Choice, Group, find_shelf, read_groups
from supervisor.warehouse.base import Session

_NEAREST = 5
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

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Explanation:
    """Everything that is left of a run.

    Attributes:
        found_in: The run's folder, or the warehouse.
        summary: The content of its `summary.json`; what is known of the request when the run never ended.
        ended: Whether it came to an end; a run that is killed or still works has none.
        visible_run: The run whose rows of the day readers see now.
        rejections: What this run rejected, as far as its rows are still there.
        files: What is left of it on disk.
    """

    run_id: str
    found_in: str
    summary: Mapping[str, Any]
    ended: bool
    decisions: tuple[Mapping[str, Any], ...]
    tests: tuple[Evidence, ...] = ()
    rejections: tuple[Group, ...] = ()
    visible_run: str | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "schema_version": 1,
            "run_id": self.run_id,
            "found_in": self.found_in,
            "ended": self.ended,
            "visible_run": self.visible_run,
            "summary": dict(self.summary),
            "decisions": [dict(decision) for decision in self.decisions],
            "tests": [test.as_dict() for test in self.tests],
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
    summary: Mapping[str, Any] | None = _read_json(folder / "summary.json")
    recorded = read_run(session, run_id) if session is not None else None
    notes: list[str] = []
    if summary is None and recorded is not None:
        summary = recorded.summary
        if not folder.exists():
            notes.append(f"runs/{run_id}/ is gone, and dbt's artifacts with it: this is what the warehouse remembers")
    request = _read_json(folder / REQUEST_FILE)
    if summary is None and request is None:
        raise UsageError(_unknown(run_id, known, target))
    decisions: Sequence[Mapping[str, Any]] = _read_lines(folder / "decisions.jsonl")
    if not decisions and recorded is not None and session is not None:
        decisions = read_decisions(session, run_id)
    tests, complaints = _failed_tests(folder / "dbt", work_dir)
    visible, rejections = _seen_in_warehouse(session, summary, target)
    return Explanation(
        run_id=run_id,
        found_in=f"runs/{run_id}" if folder.exists() else "warehouse",
        summary=summary if summary is not None else dict(request or {}),
        ended=summary is not None,
        decisions=tuple(decisions),
        tests=tuple(tests),
        rejections=tuple(rejections),
        visible_run=visible,
        files=tuple(_files(folder, work_dir, summary)),
        notes=(*notes, *complaints),
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
    """Read every invocation's artifacts, in their order, for what did not pass."""
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


def _seen_in_warehouse(
    session: Session | None, summary: Mapping[str, Any] | None, target: str
) -> tuple[str | None, Iterable[Group]]:
    """Which run's rows readers see now, and what this run rejected, if those rows are still its own."""
    if session is None or summary is None:
        return None, ()
    day = date.fromisoformat(summary["date"])
    published = [run for run in read_runs(session, day, day) if run.has_published]
    visible = published[-1].run_id if published else None
    for held_back in (False, True):
        with contextlib.suppress(UsageError):
            shelf = find_shelf(session, day, target, held_back=held_back)
            if shelf.run_id == summary["run_id"]:
                return visible, read_groups(session, shelf, Choice())
    return visible, ()


def _files(folder: Path, work_dir: Path, summary: Mapping[str, Any] | None) -> list[str]:
    paths = [folder / name for name in _FILES]
    if summary is not None:
        paths.append(work_dir / "reports" / f"quality_{summary['run_id']}.html")
    return [str(path.relative_to(work_dir)) for path in paths if path.exists() and path.stat().st_size]
