"""One run at a time: who holds the lock is known, and a holder that is gone holds nothing."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.common.processes import python_path
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.duckdb import DuckDBWarehouse
from supervisor.warehouse.engines import engine, open_warehouse
from supervisor.warehouse.lock import Holder, LockHeldError, lock_holder, run_lock
from supervisor.warehouse.postgres import PostgresWarehouse

HOLD = """
import sys
from pathlib import Path
from supervisor.warehouse.lock import run_lock
with run_lock(Path(sys.argv[1]), "r1"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_is_taken_once_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "w.lock"
    with run_lock(path, "r1"):
        holder = lock_holder(path)
        assert holder is not None
        assert (holder.run_id, holder.pid, holder.host) == ("r1", os.getpid(), socket.gethostname())
        with pytest.raises(LockHeldError, match=rf"^run r1 holds the lock {path} since .* \(pid {os.getpid()} on "):
            run_lock(path, "r2").__enter__()
    assert lock_holder(path) is None
    with run_lock(path, "r3"):
        pass


def test_a_killed_run_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "w.lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        env={**os.environ, "PYTHONPATH": python_path()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    holder = lock_holder(path)
    assert holder is not None
    assert holder.pid == process.pid
    process.kill()
    process.communicate()
    assert lock_holder(path) is None
    with run_lock(path, "r2"):
        pass


@pytest.mark.parametrize("content", ["", "{", "[]", '{"run_id": "r1"}', '{"run_id": 1, "pid": "x", "host": 1}'])
def test_a_lock_file_that_says_nothing_has_no_known_holder(tmp_path: Path, content: str) -> None:
    path = tmp_path / "w.lock"
    path.write_text(content)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert lock_holder(path) is None
        with pytest.raises(LockHeldError, match="run unknown holds"):
            run_lock(path, "r2").__enter__()


def test_a_holder_on_another_machine_is_asked_by_the_lock_alone(tmp_path: Path) -> None:
    path = tmp_path / "w.lock"
    elsewhere = Holder("r1", 2**22 + 1, "elsewhere", "2025-11-17T02:00:00+00:00")
    path.write_text(json.dumps(elsewhere.as_dict()))
    assert lock_holder(path) is None
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert lock_holder(path) == elsewhere


def test_the_lock_of_a_file_is_beside_it_and_that_of_a_server_in_the_working_directory(tmp_path: Path) -> None:
    assert DuckDBWarehouse(tmp_path / "w.duckdb").lock_path(Path("work")) == tmp_path / "w.duckdb.lock"
    assert PostgresWarehouse().lock_path(Path("work")) == Path("work/postgres.lock")


def test_a_warehouse_is_held_by_one_run_and_made_ready_by_itself(warehouse: Warehouse, tmp_path: Path) -> None:
    with run_lock(warehouse.lock_path(tmp_path), "r1", warehouse), warehouse.session() as session:
        assert session.query("select n from scratch.numbers") == [{"n": 1}]
    assert warehouse.remote_holder() is None


def test_a_server_knows_its_holder_from_anywhere(at_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    long_name = "a-host-with-a-name-that-no-application-name-has-room-for"
    monkeypatch.setattr(socket, "gethostname", lambda: long_name)
    rival = open_warehouse("postgres")
    with open_warehouse("postgres").exclusive("20251117_020000"):
        holder = rival.remote_holder()
        assert holder is not None
        assert (holder.run_id, holder.pid, holder.host) == ("20251117_020000", os.getpid(), long_name)
        # the connection's name has no room for it, the row has
        with pytest.raises(LockHeldError, match=f"run 20251117_020000 .pid {os.getpid()} on {long_name}, since 20.*Z?"):
            rival.exclusive("r2").__enter__()
    assert rival.remote_holder() is None


def test_an_engine_that_serves_readers_says_so() -> None:
    assert {target: engine(target).serves_readers for target in ("duckdb", "postgres")} == {
        "duckdb": False,
        "postgres": True,
    }
