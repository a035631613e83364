"""Reports of earlier runs, written again; and what a run that was killed after its publish had still to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.record.archive import ArchiveError, archive_day, archived_runs
from supervisor.record.history import RunRecord, read_run, read_runs, record_of
from supervisor.record.ledger import table_exists
from supervisor.show.report.data import ReportData, read_report_data
from supervisor.warehouse.base import Session, Warehouse


def report_path(work_dir: Path, run_id: str) -> Path:
    """Where a run's report is."""
    return work_dir / "reports" / f"quality_{run_id}.html"


def find_run(session: Session | None, work_dir: Path, run_id: str) -> RunRecord | None:
    """Find a run in its folder or in the ledger; None when neither knows it."""
    try:
        return record_of(json.loads((work_dir / "runs" / run_id / "summary.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None if session is None else read_run(session, run_id)


def write_report(session: Session, run: RunRecord, path: Path) -> str:
    """Write a run's report.

    Returns:
        What the report lacks, for people; "" when it is whole. The rows behind the figures are those of the day, so a
        run that another one has replaced since keeps its figures and decisions only.
    """
    from supervisor.show.report.page import render_report

    summary = _concluded(run)
    lacks = ""
    if _is_published(session, run):
        data = read_report_data(session, summary)
    elif _is_held_back(session, run):
        data = read_report_data(session, summary, published=False)
    else:
        data = ReportData(summary=summary)
        lacks = f"examples and scores of run {run.run_id} are gone: {run.date} was built again since"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(render_report(data), encoding="utf-8")
    partial.replace(path)
    return lacks


def _concluded(run: RunRecord) -> Mapping[str, Any]:
    """The summary with its end: what the ledger holds was written while the publish was still going on."""
    phases = {
        name: {**phase, "status": "COMPLETED"} if phase.get("status") == "RUNNING" and run.has_published else phase
        for name, phase in run.summary.get("phases", {}).items()
    }
    return {**run.summary, "phases": phases, "report": f"reports/quality_{run.run_id}.html"}


def _is_published(session: Session, run: RunRecord) -> bool:
    published = [one for one in read_runs(session, run.date, run.date) if one.has_published]
    return bool(published) and published[-1].run_id == run.run_id


def _is_held_back(session: Session, run: RunRecord) -> bool:
    """Whether dbt's views still hold the day as this run built it."""
    view = "quality_scores__day"
    if run.has_published or not table_exists(session, "intermediate", view):
        return False
    found = session.query(
        f"select 1 as found from intermediate.{view} where load_date = ? and run_id = ? limit 1", (run.date, run.run_id)
    )
    return bool(found)


def finish_leftovers(warehouse: Warehouse, run: RunRecord, work_dir: Path, archive: str) -> list[str]:
    """Do what the run that published a complete day could not do any more: its report, and its raw data in the archive.

    Args:
        warehouse: Where the day is published.
        run: The run that published it.
        work_dir: Where `runs/` and `reports/` are.
        archive: Folder or s3:// URL for the raw data; empty for none.

    Returns:
        What was done, one line each; also what could not be done, which never makes a published day fail.
    """
    done = []
    path = report_path(work_dir, run.run_id)
    if not path.exists():
        try:
            with warehouse.session() as session:
                write_report(session, run, path)
            done.append(
                f"The report of run {run.run_id} was missing and has been written: {path.relative_to(work_dir)}"
            )
        except OSError as error:
            done.append(f"The report of run {run.run_id} is missing and can't be written: {error}")
    if archive:
        done += _archive_leftovers(run, work_dir, archive)
    return done


def _archive_leftovers(run: RunRecord, work_dir: Path, archive: str) -> list[str]:
    collected: dict[str, list[str]] = {}
    for name, source in run.summary.get("sources", {}).items():
        landing = work_dir / "runs" / str(source.get("run_id")) / "landing"
        if source.get("status") == "loaded" and landing.is_dir():
            collected.setdefault(str(source["run_id"]), []).append(name)
    if not collected:
        return []
    try:
        there = archived_runs(archive, run.date)
        missing = {run_id: [name for name in names if there.get(name) != run_id] for run_id, names in collected.items()}
        for run_id, names in missing.items():
            if names:
                archive_day(archive, run.date, work_dir / "runs" / run_id / "landing", names, run_id)
    except ArchiveError as error:
        return [str(error)]
    names = sorted(name for names in missing.values() for name in names)
    return [f"The raw data of {', '.join(names)} was not archived yet and is now: {archive}"] if names else []
