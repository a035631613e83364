"""Runs a command as a whole process tree and says how long it took and how much memory it had at most."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Measurement:
    """Wall time in seconds, peak resident memory of the tree in MB (10^6 bytes), exit code, standard output."""

    wall_s: float
    peak_mb: float
    exit_code: int
    output: str


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Measurement:
    """Run a command to its end, sampling its tree's memory every 20 ms."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=cwd, env=dict(env), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        tree = psutil.Process(process.pid)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(tree))
            time.sleep(0.02)
        wall = time.perf_counter() - started
        assert process.stdout is not None
        return Measurement(wall, peak / 1e6, process.returncode, process.stdout.read())


def _resident(root: psutil.Process) -> int:
    total = 0
    with contextlib.suppress(psutil.Error):
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total
