"""A day that is run once for all workers of a test session."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from end_to_end.helpers import Run


def shared_run(factory: pytest.TempPathFactory, name: str, run: Callable[[Path], Run]) -> Run:
    """Run a day in a folder that all workers share, unless one of them has; return it in a copy for this worker.

    A copy, because the engine's file can be open for writing in one process only, and because some commands that look
    at a day leave something in its folder.
    """
    own = factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    done = common / f"{name}.json"
    with (common / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder = common / f"shared-{name}"
            folder.mkdir()
            done.write_text(json.dumps(dataclasses.asdict(run(folder)), default=str), encoding="utf-8")
    kept = json.loads(done.read_text(encoding="utf-8"))
    copy = shutil.copytree(kept["folder"], factory.mktemp(name) / "day")
    return Run(**{**kept, "folder": Path(copy)})
