"""What the loop does with dbt can be repeated and undone: the scores, the corrections and the day are as they were."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from end_to_end.helpers import GOLDEN_DAY, PROJECT, Run, rows

from supervisor.dbt.client import Dbt, DbtError, DbtWorker
from supervisor.goal.compile import load_goal
from supervisor.run.build import REBUILD

DAY = {
    "scores": "select * from intermediate.int_quality_scores order by all",
    "corrections": "select * from intermediate.corrections__day order by all",
    "events": "select count(*), sum(hash(columns(* exclude (run_id, ingested_at)))) from intermediate.events__day",
}


@pytest.fixture(scope="module")
def folder(small: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small day's warehouse, where one iteration was carried out."""
    folder = tmp_path_factory.mktemp("iterations")
    shutil.copyfile(small.folder / "warehouse.duckdb", folder / "warehouse.duckdb")
    return folder


@pytest.fixture(scope="module")
def dbt(folder: Path) -> Iterator[Dbt]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUCKDB_PATH", str(folder / "warehouse.duckdb"))
        worker = DbtWorker(PROJECT, "duckdb")
        yield Dbt(worker, folder)
        worker.stop()


def day_of(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rows(folder, sql) for name, sql in DAY.items()}


def iterate(dbt: Dbt, run: Run, name: str, **variables: Any) -> None:
    """Carry out an iteration, with the rules of tier 1 in force."""
    given = {
        **load_goal(PROJECT / "goal.md").enforced_vars(),
        "load_date": GOLDEN_DAY,
        "run_id": run.summary["run_id"],
        "publish": "together",
        "cleansing_tier": 1,
        "iteration": 1,
    }
    rebuild = ["build", "--select", "int_corrections_in_force+", *REBUILD.options]
    invocation = dbt.invoke(name, rebuild, {**given, **variables}, timeout_s=120)
    assert {result.status for result in invocation.results} <= {"success", "pass", "warn", "no-op"}


def test_a_dbt_that_hangs_is_stopped_at_its_budget(dbt: Dbt, folder: Path) -> None:
    before = day_of(folder)
    (frozen,) = [one for one in psutil.Process().children() if "supervisor.dbt.worker" in one.cmdline()]
    os.kill(frozen.pid, signal.SIGSTOP)
    with pytest.raises(DbtError, match="dbt build was stopped after 1 s: it used up its budget") as caught:
        dbt.invoke("frozen", ["build"], {}, timeout_s=1)
    assert (caught.value.hung, caught.value.died) == (True, False)
    assert not frozen.is_running()
    # the next call has a new process, and nobody holds the file
    assert day_of(folder) == before


def test_an_iteration_that_is_repeated_changes_nothing(dbt: Dbt, folder: Path, small: Run) -> None:
    before = day_of(folder)
    assert [row for row in before["scores"] if 1 in row]
    for number in range(2):
        iterate(dbt, small, f"again-{number}")
        assert day_of(folder) == before
    assert len([*folder.glob("dbt/*-again-1/run_results.json")]) == 1


def test_a_tier_that_is_undone_leaves_the_day_as_it_was_before(dbt: Dbt, folder: Path, small: Run) -> None:
    amounts = "select count(*) from intermediate.corrections__day where field = 'amount'"
    cleansed = day_of(folder)
    assert rows(folder, amounts) == [(12,)]
    iterate(dbt, small, "undone", iteration=2, cleansing_tiers_undone=[1])
    assert rows(folder, amounts) == [(0,)]
    figures = "select sum(failed) from intermediate.int_quality_scores where dimension = 'accuracy' and iteration = "
    assert rows(folder, f"{figures} 2") == rows(folder, f"{figures} 0") != rows(folder, f"{figures} 1")
    # and what was undone can be in force again
    iterate(dbt, small, "in-force-again", iteration=3)
    assert day_of(folder)["corrections"] == cleansed["corrections"]
    assert day_of(folder)["events"] == cleansed["events"]
