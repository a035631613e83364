"""The resident loaders: each load in a process of its own, and none that reaches the next."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from loader_helpers import DAY, ROOT, Answer, ScriptedApi, query

from supervisor.common.processes import Child, ChildTimeoutError, Errand, python_path
from supervisor.run.workers import Workers

SOURCE = {"kind": "rest_api", "path": "events", "data_selector": "data", "table": "events"}


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    with Workers(tmp_path, "duckdb", stay=True) as made:
        yield made


@pytest.fixture
def configured_api(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    for key, value in {**SOURCE, "base_url": api.url}.items():
        monkeypatch.setenv(f"SOURCES__PARTNER__{key.upper()}", value)
    monkeypatch.setenv("SOURCES__PARTNER__PAGINATOR__TYPE", "single_page")
    api.script = lambda path, number: Answer(json.dumps({"data": [{"request": number}]}).encode())
    return api


def arguments(folder: Path, run_id: str) -> list[str]:
    given = {"--date": str(DAY), "--run-id": run_id, "--target": "duckdb", "--workdir": str(folder / run_id)}
    return [part for pair in given.items() for part in pair]


def start(workers: Workers, folder: Path, run_id: str) -> Child | Errand:
    (folder / run_id).mkdir()
    return workers.loaders(arguments(folder, run_id), folder / run_id / "loaders.err")


def load(workers: Workers, folder: Path, run_id: str) -> tuple[int, dict[str, Any]]:
    """Run a load to its end; returns its exit code and its last event."""
    started = start(workers, folder, run_id)
    *_, last = started.messages(60)
    return started.wait(), last


def collecting(started: Child | Errand) -> psutil.Process:
    """The process that does a load, once its source is being asked."""
    for message in started.messages(60):
        if message["event"] == "source_started":
            break
    assert isinstance(started, Errand)
    (child,) = psutil.Process(started.pid).children()
    return child


@pytest.mark.usefixtures("configured_api")
def test_loads_follow_each_other_in_processes_of_their_own(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(workers, tmp_path, "run-1")[1]["status"] == "loaded"
    resident = workers.pids
    # what a load finds in its environment is of this moment, and a wrong one ends with the load
    monkeypatch.setenv("SOURCES__PARTNER__KIND", "parrot")
    code, said = load(workers, tmp_path, "run-2")
    assert (code, said["event"]) == (2, "configuration_error")
    assert "'parrot'" in said["message"]
    monkeypatch.setenv("SOURCES__PARTNER__KIND", "rest_api")
    monkeypatch.setenv("SOURCES__PARTNER__TABLE", "others")
    assert load(workers, tmp_path, "run-3")[1]["status"] == "loaded"
    assert workers.pids == resident
    assert query("select load_id from raw_partner.events") == [("run-1",)]
    assert query("select load_id from raw_partner.others") == [("run-3",)]
    assert not psutil.Process(*resident).children()


def test_a_load_that_is_killed_takes_no_other_with_it(
    workers: Workers, configured_api: ScriptedApi, tmp_path: Path
) -> None:
    usual = configured_api.script
    configured_api.script = lambda path, number: Answer(b"", delay_s=60)
    started = start(workers, tmp_path, "run-1")
    collecting(started).kill()
    assert not [message for message in started.messages(60) if message["event"] == "source_finished"]
    assert started.wait() == -signal.SIGKILL
    resident = workers.pids
    configured_api.script = usual
    assert load(workers, tmp_path, "run-2")[1]["status"] == "loaded"
    assert workers.pids == resident


def test_a_load_that_outlasts_its_budget_is_ended_with_all_that_it_started(
    workers: Workers, configured_api: ScriptedApi, tmp_path: Path
) -> None:
    usual = configured_api.script
    configured_api.script = lambda path, number: Answer(b"", delay_s=60)
    started = start(workers, tmp_path, "run-1")
    child = collecting(started)
    with pytest.raises(ChildTimeoutError):
        list(started.messages(0))
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running()
    configured_api.script = usual
    assert load(workers, tmp_path, "run-2")[1]["status"] == "loaded"


def test_nobody_is_left_when_the_supervisor_is_killed(configured_api: ScriptedApi, tmp_path: Path) -> None:
    configured_api.script = lambda path, number: Answer(b"", delay_s=60)
    (tmp_path / "run-1").mkdir()
    words = arguments(tmp_path, "run-1")
    program = f"""
from pathlib import Path
from supervisor.run.workers import Workers
started = Workers(Path(), "duckdb", stay=True).loaders({words!r}, Path({str(tmp_path / "err")!r}))
for message in started.messages(60):
    print(message["event"], started.pid, flush=True)
"""
    env = {**os.environ, "PYTHONPATH": python_path()}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT
    ) as supervisor:
        assert supervisor.stdout is not None
        event, pid = supervisor.stdout.readline().split()
        assert event == "source_started"
        resident = psutil.Process(int(pid))
        processes = [resident, *resident.children()]
        assert len(processes) == 2
        supervisor.kill()
        _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
