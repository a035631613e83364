"""The resident dbt: parsed once whatever the engine may use, again when the project has changed, replaced when it is gone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.dbt.client import Dbt, DbtError, DbtWorker
from supervisor.warehouse.duckdb import DuckDBWarehouse

PROFILE = """
small:
  outputs:
    duckdb:
      type: duckdb
      path: "{{ env_var('DUCKDB_PATH') }}"
      threads: 1
      settings:
        memory_limit: "{{ env_var('GOALKEEPER_MEMORY', '4GB') }}"
        threads: "{{ env_var('GOALKEEPER_THREADS', '4') | int }}"
"""
LIMIT = "select current_setting('memory_limit') as memory, current_setting('threads') as threads"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one model, which tells what its engine may use."""
    folder = tmp_path / "project"
    files = {"dbt_project.yml": "name: small\nprofile: small\n", "profiles/profiles.yml": PROFILE}
    for name, content in {**files, "models/limits.sql": LIMIT}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    monkeypatch.setenv("DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    return folder


@pytest.fixture
def worker(project: Path) -> Iterator[DbtWorker]:
    made = DbtWorker(project, "duckdb")
    yield made
    made.stop()


def build(worker: DbtWorker, run_dir: Path) -> str:
    """Build everything, and return what dbt logged of it."""
    Dbt(worker, run_dir).invoke("all", ["run"], {}, timeout_s=120)
    return (run_dir / "dbt" / "dbt.log").read_text()


def found(sql: str = "select * from main.limits") -> dict[str, Any]:
    with DuckDBWarehouse().session() as session:
        return session.query(sql)[0]


def test_another_limit_of_the_engine_reaches_it_and_costs_no_parsing(
    worker: DbtWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [("1GB", "1", "953.6 MiB"), ("2GB", "2", "1.8 GiB"), ("3GB", "2", "2.7 GiB")]
    logs = []
    for number, (memory, threads, effective) in enumerate(limits):
        monkeypatch.setenv("GOALKEEPER_MEMORY", memory)
        monkeypatch.setenv("GOALKEEPER_THREADS", threads)
        if number == 2:
            # a later command
            worker.stop()
        logs.append(build(worker, tmp_path / f"run-{number}"))
        assert found() == {"memory": effective, "threads": int(threads)}
    assert ["Command `cli parse` succeeded" in log for log in logs] == [True, False, True]
    assert "Unable to do partial parsing because saved manifest not found" in logs[0]
    assert "Unable to do partial parsing" not in logs[2]
    assert "0 files deleted, 0 files added, 0 files changed" in logs[2]


def test_what_changes_in_the_project_between_two_runs_counts_for_the_second(
    worker: DbtWorker, project: Path, tmp_path: Path
) -> None:
    build(worker, tmp_path / "run-1")
    (process,) = worker.pids
    (project / "models" / "limits.sql").write_text("select 'changed' as memory")
    (project / "models" / "more.sql").write_text("select memory || ' too' as words from {{ ref('limits') }}")
    build(worker, tmp_path / "run-2")
    assert found("select * from main.more") == {"words": "changed too"}
    assert worker.pids == {process}
    # a project that is broken fails its day, and the next one when it is mended does not
    (project / "models" / "more.sql").write_text("select {{ nonsense( }}")
    with pytest.raises(DbtError, match="can't be parsed"):
        build(worker, tmp_path / "run-3")
    (project / "models" / "more.sql").write_text("select 'mended' as words")
    build(worker, tmp_path / "run-4")
    assert found("select * from main.more") == {"words": "mended"}


def test_a_process_that_is_gone_is_replaced(worker: DbtWorker, tmp_path: Path) -> None:
    build(worker, tmp_path / "run-1")
    (process,) = worker.pids
    os.kill(process, signal.SIGKILL)
    psutil.Process(process).wait()
    build(worker, tmp_path / "run-2")
    assert worker.pids
    assert worker.pids != {process}
    assert (tmp_path / "run-2" / "dbt" / "worker.log").exists()
