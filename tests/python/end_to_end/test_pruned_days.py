"""A day whose raw records have passed their retention never loses what it has published."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from end_to_end.helpers import GOLDEN_DAY, Run, copy_of, events_csv, load_day

from supervisor.record.retention import Retention, expired_raw
from supervisor.warehouse.duckdb import DuckDBWarehouse


def test_a_source_alone_does_not_replace_a_day_whose_other_records_are_gone(
    small: Run, small_servers: dict[str, str], tmp_path: Path
) -> None:
    folder = copy_of(small, tmp_path / "day")
    warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
    long_after = date.fromisoformat(GOLDEN_DAY) + timedelta(days=400)
    references = {"s3": (), "api": (), "postgres": ("users",)}
    for one in expired_raw(Retention(raw_days=30), warehouse, long_after, (), references):
        one.remove()
    before = events_csv(folder)
    run = load_day(folder, "--force", "--source-filter", "api", "--archive", "", servers=small_servers)
    assert run.exit_code == 4, run.errors
    assert run.summary["escalation"]["subjects"] == ["postgres", "s3"]
    assert run.summary["escalation"]["recommendation"].endswith(f"--force --date {GOLDEN_DAY} --archive ''")
    assert events_csv(folder) == before
    # all of them together may
    run = load_day(folder, "--force", "--archive", "", servers=small_servers)
    assert run.exit_code == 0, run.errors
    assert events_csv(folder) == before


def test_a_runs_folder_keeps_no_files_that_the_archive_has(golden: Run) -> None:
    run_dir = golden.folder / "runs" / golden.summary["run_id"]
    assert not (run_dir / "landing").exists()
    assert not (run_dir / "dlt").exists()
    kept = [path for path in (golden.folder / "archive").rglob("*") if path.is_file()]
    assert len(kept) > len(golden.summary["sources"])
