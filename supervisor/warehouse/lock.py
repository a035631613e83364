"""One run at a time per warehouse: a lock that the operating system lets go of when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from supervisor.warehouse.base import Session, Warehouse
from supervisor.warehouse.duckdb import DuckDBWarehouse

_CONNECTION = re.compile(r"goalkeeper (?P<run_id>\S+) pid (?P<pid>\d+) on (?P<host>.*)")


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


def lock_path(warehouse: Warehouse, work_dir: Path) -> Path:
    """Where the lock of a warehouse lies: beside the file, or in the working directory for a server."""
    if isinstance(warehouse, DuckDBWarehouse):
        return warehouse.path.with_name(f"{warehouse.path.name}.lock")
    return work_dir / f"{warehouse.target}.lock"


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock; `started_at` is an ISO time with its zone."""

    run_id: str
    pid: int
    host: str
    started_at: str

    def describe(self) -> str:
        """Return who it is in a few words."""
        return f"run {self.run_id} (pid {self.pid} on {self.host}, since {self.started_at})"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def lock_holder(path: Path) -> Holder | None:
    """Return the run that holds the lock at this moment; None when nobody does."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        holder = Holder(str(found["run_id"]), int(found["pid"]), str(found["host"]), str(found["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # asking the lock itself would make a run that starts right now believe it taken, so it is asked last
    if holder.host == socket.gethostname() and not _is_alive(holder.pid):
        return None
    return holder if _is_locked(path) else None


def server_holder(session: Session) -> Holder | None:
    """Return the run that holds the lock of a PostgreSQL warehouse, on whichever machine it is; None when nobody does.

    The connection that holds it is called "goalkeeper <run> pid <pid> on <host>" (see `advisory_lock`).
    """
    rows = session.query(
        "select application_name as name, backend_start from pg_catalog.pg_stat_activity where pid in ("
        "select pid from pg_catalog.pg_locks where locktype = 'advisory' and granted and database = ("
        "select oid from pg_catalog.pg_database where datname = current_database()))"
    )
    for row in rows:
        if found := _CONNECTION.fullmatch(row["name"]):
            since = row["backend_start"].astimezone(UTC).isoformat(timespec="seconds")
            return Holder(found["run_id"], int(found["pid"]), found["host"], since)
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
