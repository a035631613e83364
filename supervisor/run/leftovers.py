"""What a run that was killed after its publish had still to do: its report, and its raw data in the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.record.archive import ArchiveError, archive_day, archived_runs, drop_landed
from supervisor.record.journal import report_path
from supervisor.run.outlets import Reports
from supervisor.warehouse.base import Warehouse

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


def finish_leftovers(warehouse: Warehouse, reports: Reports, run: Summary, work_dir: Path, archive: str) -> list[str]:
    """Do what the run that published a complete day could not do any more.

    Args:
        warehouse: Where the day is published.
        reports: Writes the report.
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
                reports.write_again(session, run, path)
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
        for run_id, names in collected.items():
            drop_landed(work_dir / "runs" / run_id / "landing", names)
    except ArchiveError as error:
        return [str(error)]
    names = sorted(name for names in missing.values() for name in names)
    return [f"The raw data of {', '.join(names)} was not archived yet and is now: {archive}"] if names else []
