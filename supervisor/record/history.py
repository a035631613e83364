"""Reading what earlier runs left: runs, decisions, days and volumes; from the ledger or from the runs' folders."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.common.outcome import PUBLISHED_STATUSES, Outcome
from supervisor.goal.metrics import Past
from supervisor.record.ledger import HAS_PUBLISHED, WAS_LOADED, has_ledger
from supervisor.warehouse.base import Session

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

REQUEST_FILE = "request.json"
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


# after so many days without a good load nothing is known of a source's columns
_MOST_LOADS = 30


@dataclass(frozen=True)
class KnownColumns:
    """The columns of a source's last good load, and the days on which changes were seen that no good load has taken in since.

    Attributes:
        columns: As the loaders told them.
        seen: The earliest day of a change, by its `key`.
    """

    columns: Mapping[str, Any]
    seen: Mapping[Any, date]

    @staticmethod
    def key(change: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return what makes a change the same on two days."""
        return change["table"], change["column"], change["change"]


@dataclass(frozen=True)
class DayHistory:
    """What is known of one day.

    Attributes:
        published: The newest run that published it.
        last: The newest run of all.
        loaded: Sources whose raw records of the day are there.
    """

    published: Summary | None = None
    last: Summary | None = None
    loaded: tuple[str, ...] = ()


def read_runs(session: Session, first: date, last: date) -> list[Summary]:
    """Read for each day the newest run and the newest one that published it, the oldest run first."""
    if not has_ledger(session):
        return []
    rows = session.query(
        "select summary from (select *, row_number() over (partition by load_date order by finished_at desc) as recency, "
        f"row_number() over (partition by load_date, case when {HAS_PUBLISHED} then 1 else 0 end "
        "order by finished_at desc) as recency_of_kind from metadata.pipeline_runs where load_date between ? and ?) "
        f"as ranked where recency = 1 or (recency_of_kind = 1 and {HAS_PUBLISHED}) "
        "order by finished_at",
        (first, last),
    )
    return [_summary(row["summary"]) for row in rows]


def _summary(text: str) -> Summary:
    # pydantic takes a while to import, and a run's start reads no summary
    from supervisor.record.summary import Summary

    return Summary.model_validate_json(text)


def read_loaded(session: Session, first: date, last: date) -> dict[date, tuple[str, ...]]:
    """Read which sources have raw records of each day."""
    if not has_ledger(session):
        return {}
    loaded: dict[date, list[str]] = defaultdict(list)
    for row in session.query(
        "select distinct load_date, source from metadata.load_outcomes "
        f"where {WAS_LOADED} and load_date between ? and ? order by load_date, source",
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


def group_days(runs: Iterable[Summary], loaded: Mapping[date, Sequence[str]]) -> dict[date, DayHistory]:
    """Put runs, the oldest first, and loads together by day."""
    newest: dict[date, Summary] = {}
    published: dict[date, Summary] = {}
    for run in runs:
        newest[run.date] = run
        if run.has_published:
            published[run.date] = run
    return {
        day: DayHistory(published.get(day), newest.get(day), tuple(loaded.get(day, ()))) for day in {*newest, *loaded}
    }


def read_run(session: Session, run_id: str) -> Summary | None:
    """Read one run; None when the ledger has no such run."""
    if not has_ledger(session):
        return None
    rows = session.query(
        "select summary from metadata.pipeline_runs where run_id = ? order by finished_at desc limit 1", (run_id,)
    )
    return _summary(rows[0]["summary"]) if rows else None


def newest_run(session: Session, day: date | None = None) -> Summary | None:
    """Read the newest run, of a day or of all; None when there is none."""
    if not has_ledger(session):
        return None
    condition, parameters = ("where load_date = ?", (day,)) if day else ("", ())
    rows = session.query(
        f"select summary from metadata.pipeline_runs {condition} order by finished_at desc limit 1", parameters
    )
    return _summary(rows[0]["summary"]) if rows else None


def run_ids(session: Session) -> list[str]:
    """Return the ids of all runs, the newest first."""
    if not has_ledger(session):
        return []
    rows = session.query("select run_id from metadata.pipeline_runs order by finished_at desc")
    return [row["run_id"] for row in rows]


def read_decisions(session: Session, run_id: str) -> list[dict[str, Any]]:
    """Read a run's decisions in order, as `decisions.jsonl` has them."""
    rows = session.query(
        "select phase, observed, decision, outcome, decided_at as at from metadata.decisions where run_id = ? "
        "order by decision_number",
        (run_id,),
    )
    return [{**row, "at": row["at"].isoformat()} for row in rows]


def read_volumes(session: Session, before: date, days: int) -> dict[str, list[int]]:
    """Read how many records each source brought on its last loaded days before a day, the newest first."""
    if not has_ledger(session):
        return {}
    volumes: dict[str, list[int]] = defaultdict(list)
    for row in session.query(
        "select source, count_collected from ("
        "select *, row_number() over (partition by source order by load_date desc) as place from ("
        "select *, row_number() over (partition by source, load_date order by finished_at desc) as recency "
        f"from metadata.load_outcomes where {WAS_LOADED} and load_date < ?) as loads where recency = 1) as ranked "
        "where place <= ? order by source, place",
        (before, days),
    ):
        volumes[row["source"]].append(row["count_collected"])
    return dict(volumes)


def read_good_volumes(session: Session, source: str, before: date, past: Past) -> list[int]:
    """Read how many records a source brought on the last good days before a day, the newest first.

    A day is good when its newest run published it as a whole and met every limit, and nothing was loaded of it since.
    """
    if not has_ledger(session):
        return []
    rows = session.query(
        "select loads.count_collected from ("
        "select *, row_number() over (partition by load_date order by finished_at desc) as recency "
        f"from metadata.load_outcomes where source = ? and {WAS_LOADED} and load_date < ?) as loads inner join ("
        "select *, row_number() over (partition by load_date order by finished_at desc) as recency "
        "from metadata.pipeline_runs where load_date < ?) as runs on loads.load_date = runs.load_date "
        "where loads.recency = 1 and runs.recency = 1 and runs.status = ? and runs.exit_code = 0 "
        "and loads.finished_at <= runs.finished_at"
        + (f" and extract(isodow from loads.load_date) = {before.isoweekday()}" if past.same_weekday else "")
        + " order by loads.load_date desc limit ?",
        (source, before, before, Outcome.SUCCESS.status, past.days),
    )
    return [row["count_collected"] for row in rows]


def read_known_columns(session: Session, before: date) -> dict[str, KnownColumns]:
    """Read which columns each source brought with its last good load before a day.

    A load is good when the newest run of its day published it, and all parts of the source could be read.
    """
    if not has_ledger(session):
        return {}
    rows = session.query(
        "select loads.source, loads.load_date, loads.detail, runs.status from ("
        "select *, row_number() over (partition by source order by load_date desc) as place from ("
        "select *, row_number() over (partition by source, load_date order by finished_at desc) as recency "
        "from metadata.load_outcomes where status = 'loaded' and load_date < ?) as newest where recency = 1) as loads "
        "left join (select *, row_number() over (partition by load_date order by finished_at desc) as recency "
        "from metadata.pipeline_runs where load_date < ?) as runs on loads.load_date = runs.load_date and runs.recency = 1 "
        "where loads.place <= ? order by loads.source, loads.load_date desc",
        (before, before, _MOST_LOADS),
    )
    known: dict[str, KnownColumns] = {}
    seen: dict[str, dict[Any, date]] = defaultdict(dict)
    for row in rows:
        source, detail = row["source"], json.loads(row["detail"])
        if source in known:
            continue
        if row["status"] in PUBLISHED_STATUSES and detail.get("columns") and not detail.get("incomplete"):
            known[source] = KnownColumns(detail["columns"], seen[source])
        else:
            for change in detail.get("drift", ()):
                seen[source][KnownColumns.key(change)] = row["load_date"]
    return known


def local_run(work_dir: Path, run_id: str) -> Summary | None:
    """Read the run whose folder is here; None when it has none, or none that can be read."""
    if not RUN_ID.fullmatch(run_id):
        return None
    with contextlib.suppress(OSError, ValueError):
        return _summary((work_dir / "runs" / run_id / "summary.json").read_text(encoding="utf-8"))
    return None


def local_runs(work_dir: Path, target: str) -> list[Summary]:
    """Read the runs whose folders are here, the oldest first; what can't be read is passed over."""
    found = []
    for path in (work_dir / "runs").glob("*/summary.json"):
        run = local_run(work_dir, path.parent.name)
        if run is not None and (run.target, run.run_id) == (target, path.parent.name):
            found.append(run)
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
