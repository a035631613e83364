"""What the project's own files promise to those who work with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from end_to_end.helpers import PROJECT

from supervisor.run.build import TEST


def listed_tests(folder: Path, *selection: str) -> set[str]:
    command = [sys.executable, "-m", "dbt.cli.main", "--quiet", "ls", "--resource-type", "test", *selection]
    paths = ["--project-dir", str(PROJECT), "--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]
    env = {**os.environ, "DBT_PROFILES_DIR": str(PROJECT / "profiles"), "DUCKDB_PATH": str(folder / "warehouse.duckdb")}
    done = subprocess.run([*command, *paths], env=env, cwd=folder, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_tag_of_the_validate_phase_selects_every_test_that_the_phase_runs(folder: Path) -> None:
    # the phase selects nothing, so it runs all data tests
    assert TEST.select is None
    tests = listed_tests(folder)
    assert len(tests) > 1
    assert listed_tests(folder, "--select", "tag:validate") == tests


@pytest.mark.parametrize(
    "path",
    [
        "failed_records.log",
        "edr_target/index.html",
        "dbt_packages/package.yml",
        "target/manifest.json",
        "runs/1/run.log",
    ],
)
def test_git_ignores_what_a_run_leaves_behind(path: str) -> None:
    assert subprocess.run(["git", "check-ignore", "--quiet", path], cwd=PROJECT, check=False).returncode == 0
