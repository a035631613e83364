"""What the project's own files promise to those who work with it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from end_to_end.helpers import PROJECT

from supervisor.run.build import TEST


@pytest.fixture
def dbt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """dbt with the project parsed."""
    from dbt.cli.main import dbtRunner

    monkeypatch.setenv("DUCKDB_PATH", str(folder / "warehouse.duckdb"))
    return dbtRunner(manifest=dbtRunner().invoke(["parse", *paths(folder)]).result)


def paths(folder: Path) -> list[str]:
    project = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT / "profiles")]
    return ["--quiet", *project, "--target-path", str(folder / "target"), "--log-path", str(folder / "logs")]


def listed_tests(dbt: Any, folder: Path, *selection: str) -> set[str]:
    found = dbt.invoke(["ls", "--resource-type", "test", *selection, *paths(folder)])
    assert found.success, found.exception
    return set(found.result)


def test_the_tag_of_the_validate_phase_selects_every_test_that_the_phase_runs(dbt: Any, folder: Path) -> None:
    # the phase selects nothing, so it runs all data tests
    assert TEST.select is None
    tests = listed_tests(dbt, folder)
    assert len(tests) > 1
    assert listed_tests(dbt, folder, "--select", "tag:validate") == tests


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
