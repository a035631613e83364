"""Who holds the lock of a warehouse, without getting in the way of anybody who wants it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from supervisor.warehouse import Session

_CONNECTION = re.compile(r"goalkeeper (?P<run_id>\S+) pid (?P<pid>\d+) on (?P<host>.*)")


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
