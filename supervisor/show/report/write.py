"""Reports of earlier runs, written again; and what a run that was killed after its publish had still to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.common.files import write_text
from supervisor.record.archive import ArchiveError, archive_day, archived_runs
from supervisor.record.history import read_runs
from supervisor.record.ledger import table_exists
from supervisor.show.report.data import ReportData, read_report_data
from supervisor.warehouse.base import Session, Warehouse

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


def report_path(work_dir: Path, run_id: str) -> Path:
    """Where a run's report is."""
    return work_dir / "reports" / f"quality_{run_id}.html"


def write_report(session: Session, run: Summary, path: Path) -> str:
    """Write a run's report.

    Returns:
        What the report lacks, for people; "" when it is whole. The rows behind the figures are those of the day, so a
        run that another one has replaced since keeps its figures and decisions only.
    """
    from supervisor.show.report.page import render_report

    shown = _concluded(run)
    lacks = ""
    if _is_published(session, run):
        data = read_report_data(session, shown)
    elif _is_held_back(session, run):
        data = read_report_data(session, shown, published=False)
    else:
        data = ReportData(summary=shown)
        lacks = f"examples and scores of run {run.run_id} are gone: {run.date} was built again since"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render_report(data))
    return lacks


def _concluded(run: Summary) -> Summary:
    """The summary with its end: what the ledger holds was written while the publish was still going on."""
    publish = run.phases.get("publish")
    phases = dict(run.phases)
    if publish is not None and publish.status == "RUNNING" and run.has_published:
        phases["publish"] = publish.model_copy(update={"status": "COMPLETED"})
    return run.model_copy(update={"phases": phases, "report": f"reports/quality_{run.run_id}.html"})


def _is_published(session: Session, run: Summary) -> bool:
    published = [one for one in read_runs(session, run.date, run.date) if one.has_published]
    return bool(published) and published[-1].run_id == run.run_id


def _is_held_back(session: Session, run: Summary) -> bool:
    """Whether dbt's views still hold the day as this run built it."""
    view = "quality_scores__day"
    if run.has_published or not table_exists(session, "intermediate", view):
        return False
    found = session.query(
        f"select 1 as found from intermediate.{view} where load_date = ? and run_id = ? limit 1", (run.date, run.run_id)
    )
    return bool(found)


def finish_leftovers(warehouse: Warehouse, run: Summary, work_dir: Path, archive: str) -> list[str]:
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


def _archive_leftovers(run: Summary, work_dir: Path, archive: str) -> list[str]:
    collected: dict[str, list[str]] = {}
    for name, source in run.sources.items():
        if source.is_loaded and source.run_id and (work_dir / "runs" / source.run_id / "landing").is_dir():
            collected.setdefault(source.run_id, []).append(name)
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
