"""dbt alone, as CI and analysts use it, on what has been loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from end_to_end.helpers import ENGINE, PROJECT, Run, events_csv, rows


def dbt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dbt on the warehouse in a folder, from the project as the last run has parsed it."""
    (folder / "target").mkdir()
    shutil.copy(PROJECT / "target" / "duckdb" / "partial_parse.msgpack", folder / "target")
    env = {**os.environ, **ENGINE, "DBT_PROFILES_DIR": str(PROJECT / "profiles")}
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


def test_dbt_build_works_on_an_empty_warehouse(small: Run, tmp_path: Path) -> None:
    build = dbt(tmp_path, "build")
    assert build.returncode == 0, build.stdout[-3000:]
    assert rows(tmp_path, "select count(*) from analytics.events") == [(0,)]
