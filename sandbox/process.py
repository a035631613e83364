"""Runs the sandbox as a child process, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_STOP_TIMEOUT_S = 15.0


class SandboxError(RuntimeError):
    """Raised when the sandbox does not start; carries what it said."""


@contextlib.contextmanager
def running_sandbox(
    date: dt.date | str,
    scale: float = 1.0,
    faults: str = "none",
    warehouse: bool = False,
    timeout_s: float = 120.0,
) -> Iterator[dict[str, str]]:
    """Start the sandbox, yield the environment that a pipeline needs, and stop it.

    Args:
        date: The day in UTC.
        scale: Multiplies the day's figures.
        faults: A list as in SANDBOX_FAULTS.
        warehouse: Whether there is an empty database to be the warehouse.
        timeout_s: How long the start may take.

    Raises:
        SandboxError: When it does not start in time, with its standard error.
    """
    command = [sys.executable, "-m", "sandbox", f"--date={date}", f"--scale={scale}"]
    command += [f"--faults={faults}", *(["--warehouse"] if warehouse else [])]
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        try:
            yield _read_env(process, errors, timeout_s)
        finally:
            _stop(process)


def _read_env(process: subprocess.Popen[bytes], errors: IO[bytes], timeout_s: float) -> dict[str, str]:
    assert process.stdout is not None
    line = b""
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise SandboxError(f"sandbox: not ready after {timeout_s:g} s: {_said(errors)}")
            part = os.read(process.stdout.fileno(), 65_536)
            if not part:
                code = process.wait()
                raise SandboxError(f"sandbox: ended with code {code}: {_said(errors)}")
            line += part
    env: dict[str, str] = json.loads(line)["env"]
    return env


def _said(errors: IO[bytes]) -> str:
    errors.seek(0)
    return errors.read().decode(errors="replace").strip()


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
