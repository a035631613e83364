"""Repeating an iteration of the loop changes nothing: not the scores, not the corrections, not the day."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from end_to_end.helpers import GOLDEN_DAY, PROJECT, Run, rows

from supervisor.dbt.client import Dbt, DbtWorker
from supervisor.goal.compile import load_goal
from supervisor.run.build import REBUILD

DAY = {
    "scores": "select * from intermediate.int_quality_scores order by all",
    "corrections": "select * from intermediate.corrections__day order by all",
    "events": "select count(*), sum(hash(columns(* exclude (run_id, ingested_at)))) from intermediate.events__day",
}


@pytest.fixture
def dbt(small: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dbt]:
    """dbt on a copy of the small day's warehouse."""
    shutil.copyfile(small.folder / "warehouse.duckdb", tmp_path / "warehouse.duckdb")
    monkeypatch.setenv("DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))
    worker = DbtWorker(PROJECT, "duckdb")
    yield Dbt(worker, tmp_path)
    worker.stop()


def day_of(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rows(folder, sql) for name, sql in DAY.items()}


def test_an_iteration_that_is_repeated_changes_nothing(dbt: Dbt, tmp_path: Path, small: Run) -> None:
    variables = {
        **load_goal(PROJECT / "goal.md").enforced_vars(),
        "load_date": GOLDEN_DAY,
        "run_id": small.summary["run_id"],
        "publish": "together",
        "cleansing_tier": 1,
        "iteration": 1,
    }
    before = day_of(tmp_path)
    assert [row for row in before["scores"] if 1 in row]
    for number in range(2):
        invocation = dbt.invoke(
            f"again-{number}",
            ["build", "--select", "int_corrections_in_force+", *REBUILD.options],
            variables,
            timeout_s=120,
        )
        assert {result.status for result in invocation.results} <= {"success", "pass", "warn", "no-op"}
        assert day_of(tmp_path) == before
    assert (tmp_path / "dbt" / "2-again-1" / "run_results.json").exists()
