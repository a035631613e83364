"""One run at a time per warehouse: a lock that the operating system lets go of when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol


class LockHeldError(Exception):
    """Raised when another run holds the lock; says which, since when and how to look at it."""


class Exclusive(Protocol):
    """A warehouse that can be held for one run."""

    def exclusive(self, run_id: str) -> AbstractContextManager[None]:
        """Hold it for the time of the block."""

    def lock_path(self, work_dir: Path) -> Path:
        """Where the lock file of the runs lies."""


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock; `started_at` is an ISO time with its zone."""

    run_id: str
    pid: int
    host: str
    started_at: str

    @classmethod
    def here(cls, run_id: str) -> Holder:
        """Return this process, from now on."""
        return cls(run_id, os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))

    def describe(self) -> str:
        """Return who it is in a few words."""
        return f"run {self.run_id} (pid {self.pid} on {self.host}, since {self.started_at})"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


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
            last = _last_holder(path) or Holder("unknown", 0, "unknown", "unknown")
            raise LockHeldError(
                f"run {last.run_id} holds the lock {path} since {last.started_at} (pid {last.pid or 'unknown'} on "
                f"{last.host}). Wait for it to end, then run the same command again; a lock whose process is gone is taken "
                "over by itself."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(Holder.here(run_id).as_dict()).encode(), 0)
        with nullcontext() if warehouse is None else warehouse.exclusive(run_id):
            yield
    finally:
        os.close(descriptor)


def lock_holder(path: Path) -> Holder | None:
    """Return the run that holds the lock at this moment; None when nobody does."""
    holder = _last_holder(path)
    # asking the lock itself would make a run that starts right now believe it taken, so it is asked last
    if holder is None or (holder.host == socket.gethostname() and not _is_alive(holder.pid)):
        return None
    return holder if _is_locked(path) else None


def _last_holder(path: Path) -> Holder | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Holder(str(found["run_id"]), int(found["pid"]), str(found["host"]), str(found["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_locked(path: Path) -> bool:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False
