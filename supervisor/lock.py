"""One run at a time per warehouse: a lock that the operating system lets go of when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class LockHeldError(Exception):
    """Raised when another run holds the lock; says which, since when and how to look at it."""


class Exclusive(Protocol):
    """A warehouse that can be held for one run."""

    def exclusive(self, run_id: str) -> AbstractContextManager[None]:
        """Hold it for the time of the block."""


@contextmanager
def run_lock(path: Path, run_id: str, warehouse: Exclusive | None = None) -> Iterator[None]:
    """Hold the lock for the time of the block, and the warehouse's own where it has one.

    A server can be reached from several machines, so it must keep a lock itself; the file keeps the runs of one folder apart.

    The file stays, with the last holder's name in it; what counts is the lock on it (flock(2)), which ends with the process, so
    a killed run never leaves a stale one.

    Raises:
        LockHeldError: Another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeldError(_describe(path)) from None
        holder = {
            "run_id": run_id,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        with nullcontext() if warehouse is None else warehouse.exclusive(run_id):
            yield
    finally:
        os.close(descriptor)


def _describe(path: Path) -> str:
    holder: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        holder = json.loads(path.read_text(encoding="utf-8"))
    return (
        f"run {holder.get('run_id', 'unknown')} holds the lock {path} since {holder.get('started_at', 'unknown')} "
        f"(pid {holder.get('pid', 'unknown')} on {holder.get('host', 'unknown')}). Wait for it to end, then run the same "
        "command again; a lock whose process is gone is taken over by itself."
    )
