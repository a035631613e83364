"""Reading what earlier runs left: runs, decisions, days and volumes; from the ledger or from the runs' folders."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from supervisor.record.ledger import has_ledger
from supervisor.warehouse.base import Session

PUBLISHED = ("SUCCESS", "PARTIAL")
REQUEST_FILE = "request.json"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class RunRecord:
    """A run that came to an end.

    Attributes:
        published: Rows of the day after it; None when it published nothing.
        summary: The content of its `summary.json`.
    """

    run_id: str
    date: date
    target: str
    status: str
    exit_code: int
    finished_at: datetime
    published: int | None
    summary: Mapping[str, Any] = field(repr=False)

    @property
    def has_published(self) -> bool:
        """Whether readers saw the day as this run built it."""
        return self.status in PUBLISHED


@dataclass(frozen=True)
class DayHistory:
    """What is known of one day.

    Attributes:
        published: The newest run that published it.
        last: The newest run of all.
        loaded: Sources whose raw records of the day are there.
    """

    published: RunRecord | None = None
    last: RunRecord | None = None
    loaded: tuple[str, ...] = ()


def record_of(summary: Mapping[str, Any]) -> RunRecord:
    """Make a record from the content of a `summary.json`."""
    return RunRecord(
        run_id=summary["run_id"],
        date=date.fromisoformat(summary["date"]),
        target=summary["target"],
        status=summary["status"],
        exit_code=summary["exit_code"],
        finished_at=datetime.fromisoformat(summary["finished_at"]),
        published=summary["published"] if summary["status"] in PUBLISHED else None,
        summary=summary,
    )


def read_runs(session: Session, first: date, last: date) -> list[RunRecord]:
    """Read for each day the newest run and the newest one that published it, the oldest run first."""
    if not has_ledger(session):
        return []
    rows = session.query(
        "select run_id, load_date, target, status, exit_code, finished_at, count_published, summary from ("
        "select *, row_number() over (partition by load_date order by finished_at desc) as recency, "
        "row_number() over (partition by load_date, case when status in ('SUCCESS', 'PARTIAL') then 1 else 0 end "
        "order by finished_at desc) as recency_of_kind from metadata.pipeline_runs where load_date between ? and ?) "
        "as ranked where recency = 1 or (recency_of_kind = 1 and status in ('SUCCESS', 'PARTIAL')) "
        "order by finished_at",
        (first, last),
    )
    return [_record(row) for row in rows]


def _record(row: Mapping[str, Any]) -> RunRecord:
    return RunRecord(
        run_id=row["run_id"],
        date=row["load_date"],
        target=row["target"],
        status=row["status"],
        exit_code=row["exit_code"],
        finished_at=row["finished_at"],
        published=row["count_published"] if row["status"] in PUBLISHED else None,
        summary=json.loads(row["summary"]),
    )


def read_loaded(session: Session, first: date, last: date) -> dict[date, tuple[str, ...]]:
    """Read which sources have raw records of each day."""
    if not has_ledger(session):
        return {}
    loaded: dict[date, list[str]] = defaultdict(list)
    for row in session.query(
        "select distinct load_date, source from metadata.load_outcomes "
        "where status = 'loaded' and load_date between ? and ? order by load_date, source",
        (first, last),
    ):
        loaded[row["load_date"]].append(row["source"])
    return {day: tuple(names) for day, names in loaded.items()}


def known_days(session: Session, count: int) -> list[date]:
    """Return the last days that any run dealt with, the oldest first."""
    if not has_ledger(session):
        return []
    rows = session.query(
        "select load_date from metadata.pipeline_runs union select load_date from metadata.load_outcomes "
        "order by 1 desc limit ?",
        (count,),
    )
    return [row["load_date"] for row in reversed(rows)]


def group_days(runs: Iterable[RunRecord], loaded: Mapping[date, Sequence[str]]) -> dict[date, DayHistory]:
    """Put runs, the oldest first, and loads together by day."""
    newest: dict[date, RunRecord] = {}
    published: dict[date, RunRecord] = {}
    for run in runs:
        newest[run.date] = run
        if run.has_published:
            published[run.date] = run
    return {
        day: DayHistory(published.get(day), newest.get(day), tuple(loaded.get(day, ()))) for day in {*newest, *loaded}
    }


def read_run(session: Session, run_id: str) -> RunRecord | None:
    """Read one run; None when the ledger has no such run."""
    if not has_ledger(session):
        return None
    rows = session.query(
        "select * from metadata.pipeline_runs where run_id = ? order by finished_at desc limit 1", (run_id,)
    )
    return _record(rows[0]) if rows else None


def newest_run(session: Session, day: date | None = None) -> RunRecord | None:
    """Read the newest run, of a day or of all; None when there is none."""
    if not has_ledger(session):
        return None
    condition, parameters = ("where load_date = ?", (day,)) if day else ("", ())
    rows = session.query(
        f"select * from metadata.pipeline_runs {condition} order by finished_at desc limit 1", parameters
    )
    return _record(rows[0]) if rows else None


def run_ids(session: Session) -> list[str]:
    """Return the ids of all runs, the newest first."""
    if not has_ledger(session):
        return []
    rows = session.query("select run_id from metadata.pipeline_runs order by finished_at desc")
    return [row["run_id"] for row in rows]


def read_decisions(session: Session, run_id: str) -> list[dict[str, str]]:
    """Read a run's decisions in order, as `decisions.jsonl` has them."""
    rows = session.query(
        "select phase, observed, decision, outcome, decided_at from metadata.decisions where run_id = ? "
        "order by decision_number",
        (run_id,),
    )
    return [
        {**{key: row[key] for key in ("phase", "observed", "decision", "outcome")}, "at": row["decided_at"].isoformat()}
        for row in rows
    ]


def read_volumes(session: Session, before: date, days: int) -> dict[str, list[int]]:
    """Read how many records each source brought on its last loaded days before a day, the newest first."""
    if not has_ledger(session):
        return {}
    volumes: dict[str, list[int]] = defaultdict(list)
    for row in session.query(
        "select source, count_collected from ("
        "select *, row_number() over (partition by source order by load_date desc) as place from ("
        "select *, row_number() over (partition by source, load_date order by finished_at desc) as recency "
        "from metadata.load_outcomes where status = 'loaded' and load_date < ?) as loads where recency = 1) as ranked "
        "where place <= ? order by source, place",
        (before, days),
    ):
        volumes[row["source"]].append(row["count_collected"])
    return dict(volumes)


def local_runs(work_dir: Path, target: str) -> list[RunRecord]:
    """Read the runs whose folders are here, the oldest first; what can't be read is passed over."""
    found = []
    for path in (work_dir / "runs").glob("*/summary.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = record_of(json.loads(path.read_text(encoding="utf-8")))
            if record.target == target and record.run_id == path.parent.name:
                found.append(record)
    return sorted(found, key=lambda run: run.finished_at)


def open_requests(work_dir: Path, target: str) -> dict[str, Mapping[str, Any]]:
    """Return what was asked of the runs that began here and have not ended, by run id: they work or were killed."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((work_dir / "runs").glob(f"*/{REQUEST_FILE}")):
        if not (path.parent / "summary.json").exists():
            with contextlib.suppress(OSError, ValueError):
                request = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(request, dict) and request.get("target") == target:
                    found[path.parent.name] = request
    return found
