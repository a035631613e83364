"""Days that many tests look at: each is run once for all workers, and each worker looks at a copy of its own.

What takes long comes first, so that no worker is left alone with it in the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from end_to_end.helpers import GOLDEN_DAY, PROJECT, SCALE, YESTERDAY, Run, load_day
from shared_days import shared_run
from supervisor_alerts import channels
from xdist.scheduler import LoadFileScheduling

from sandbox.process import running_sandbox

LONG = ("end_to_end/test_situations.py", "postgres/", "supervisor/run/test_replay.py", "end_to_end/", "supervisor/run/")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that run days before the others."""

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(HERE).as_posix()
        return next((at for at, beginning in enumerate(LONG) if path.startswith(beginning)), len(LONG))

    items.sort(key=place)


class ByServer(LoadFileScheduling):
    """A file stays with one worker, and so do the files that share a PostgreSQL warehouse."""

    def _split_scope(self, nodeid: str) -> str:
        path = super()._split_scope(nodeid)
        folder = path.rpartition("/")[0]
        return folder if folder.endswith("python/postgres") else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServer | None:
    """Let `--dist loadfile` keep together what has one server."""
    return ByServer(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The golden day as `make demo` runs it: the API's first request times out, and the goal sets the engine's limits."""
    return shared_run(tmp_path_factory, "golden", lambda folder: load_day(folder, faults="api=timeout:1", engine={}))


@pytest.fixture(scope="session")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A hundredth of the golden day with the API down, with a goal and an archive of one's own.

    What it told people is in `received.json`.
    """

    def run(folder: Path) -> Run:
        shutil.copy(PROJECT / "goal.md", folder / "my goal.md")
        given = ("--goal", "my goal.md", "--archive", "kept here")
        with channels() as (alerts, receiver):
            day = load_day(folder, *given, faults="api=down", scale=SCALE, env=alerts)
            (folder / "received.json").write_text(json.dumps(receiver.received), encoding="utf-8")
        return day

    return shared_run(tmp_path_factory, "partial", run)


@pytest.fixture(scope="session")
def without_data(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A day of which no source has records."""

    def run(folder: Path) -> Run:
        return load_day(folder, faults="s3=missing,postgres=missing,api=empty", scale=SCALE)

    return shared_run(tmp_path_factory, "without-data", run)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, small_servers: dict[str, str]) -> Run:
    """A hundredth of the golden day, published after the day before it; for reading and copying only."""

    def run(folder: Path) -> Run:
        before = load_day(folder, "--archive", "", day=YESTERDAY, scale=SCALE)
        assert before.exit_code == 0, before.errors
        today = load_day(folder, servers=small_servers)
        assert today.exit_code == 0, today.errors
        return today

    return shared_run(tmp_path_factory, "small", run)


@pytest.fixture(scope="session")
def small_servers() -> Iterator[dict[str, str]]:
    """The environment of a run on a hundredth of the golden day, in which nothing goes wrong."""
    with running_sandbox(GOLDEN_DAY, SCALE) as environment:
        yield environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty working directory."""
    return tmp_path
