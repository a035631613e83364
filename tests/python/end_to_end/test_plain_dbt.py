"""dbt alone, as CI and analysts use it, on what has been loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from end_to_end.helpers import PROJECT, Run, copy_of, events_csv, orchestrate, rows


def dbt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DBT_PROFILES_DIR": str(PROJECT / "profiles"), "DUCKDB_PATH": str(folder / "warehouse.duckdb")}
    command = [sys.executable, "-m", "dbt.cli.main", *arguments, "--project-dir", str(PROJECT)]
    paths = ["--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    return subprocess.run([*command, *paths], env=env, cwd=folder, capture_output=True, text=True, check=False)


def test_dbt_build_works_on_what_has_been_loaded_and_publishes_the_same(small: Run, tmp_path: Path) -> None:
    shutil.copy(small.folder / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    build = dbt(tmp_path, "build")
    assert build.returncode == 0, build.stdout[-3000:]
    assert "unit test" in build.stdout
    assert rows(tmp_path, "select count(*) from analytics.events where run_id = 'manual'") == [(3_331,)]
    assert events_csv(tmp_path) == events_csv(small.folder)


def test_dbt_build_works_on_an_empty_warehouse(tmp_path: Path) -> None:
    build = dbt(tmp_path, "build")
    assert build.returncode == 0, build.stdout[-3000:]
    assert rows(tmp_path, "select count(*) from analytics.events") == [(0,)]


def test_the_docs_are_one_page_with_lineage_and_no_network(small: Run, tmp_path: Path) -> None:
    page = tmp_path / "docs.html"
    run = orchestrate(copy_of(small, tmp_path / "day"), "docs", "--output", str(page))
    assert run.exit_code == 0, run.errors
    assert str(page) in run.output
    content = page.read_text(encoding="utf-8")
    assert "model.goalkeeper.int_events_checked" in content
    assert "exposure.goalkeeper.quality_report" in content
