"""One run at a time on a PostgreSQL server: a session's advisory lock, which ends with its connection.

`metadata.run_lock` holds one row, the last holder. It says who has the lock, and after a lost connection whether anybody else has
had it in between: then what this run has built may not be what it believes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from supervisor.record.migrations import migrate
from supervisor.warehouse.base import DbApiSession, WarehouseError
from supervisor.warehouse.lock import LockHeldError

# "goal" in ASCII; advisory locks belong to a database, so one number is enough for all
_KEY = (0x676F616C, 1)
_SEARCH_S = 10.0
_SEARCH_PAUSE_S = 0.1


class AdvisoryLock:
    """The lock of a warehouse, held by a connection of its own.

    Args:
        connect: Opens a connection under an application name.
        warehouse: Where it is, for people.
        children: Application names of a run's children.
    """

    def __init__(self, connect: Callable[[str], Any], warehouse: str, run_id: str, children: Sequence[str]) -> None:
        self._connect, self._warehouse, self._run_id, self._children = connect, warehouse, run_id, tuple(children)
        self._name = f"goalkeeper {run_id} pid {os.getpid()} on {socket.gethostname()}"[:63]
        self._connection: Any = None
        self._server_pid = 0

    def acquire(self) -> None:
        """Take the lock and leave this run's name in it; what a killed run left working on the server is ended.

        Raises:
            LockHeldError: Another run has it.
            WarehouseError: The server can't be reached or refuses.
        """
        self._open()
        if not self._try():
            holder = self._describe_holder()
            self.release()
            raise LockHeldError(
                f"{holder} holds the lock of warehouse {self._warehouse}. Wait for it to end, then run the same command again; "
                "the lock of a run that is gone is free by itself."
            )
        self._query(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = any(%s) "
            "and datname = current_database() and pg_has_role(usesysid, 'usage')",
            (list(self._children),),
        )
        self._connection.autocommit = False
        with self._connection:
            migrate(DbApiSession(self._connection.cursor, "%s", "postgres"))
            self._query("delete from metadata.run_lock")
            self._query(
                "insert into metadata.run_lock (run_id, pid, host, started_at) values (%s, %s, %s, %s)",
                (self._run_id, os.getpid(), socket.gethostname(), datetime.now(UTC)),
            )
        self._connection.autocommit = True

    def connection(self) -> Any:
        """Return the connection that holds the lock; a lost one is replaced by one that holds it again.

        The new connection waits for the old one's end, so whatever that one was committing is done or undone by then.

        Raises:
            WarehouseError: The server can't be reached, or another run has had the lock in between.
        """
        if not self._is_alive():
            self._take_again()
        return self._connection

    def release(self) -> None:
        """Let go of the lock."""
        with contextlib.suppress(Exception):
            self._connection.close()

    def _open(self) -> None:
        self._connection = self._connect(self._name)
        self._connection.autocommit = True
        self._server_pid = self._connection.info.backend_pid

    def _is_alive(self) -> bool:
        try:
            self._connection.autocommit = True
            self._query("select 1")
        except Exception:
            return False
        return True

    def _take_again(self) -> None:
        lost_pid = self._server_pid
        self.release()
        self._open()
        deadline = time.monotonic() + _SEARCH_S
        while not self._try():
            # the server may not have noticed yet that nobody listens to the old connection
            self._query(
                "select pg_terminate_backend(pid) from pg_stat_activity where pid = %s and application_name = %s",
                (lost_pid, self._name),
            )
            if time.monotonic() > deadline:
                holder = self._describe_holder()
                self.release()
                raise WarehouseError(
                    f"this run has lost its lock of warehouse {self._warehouse}, {holder} holds it now"
                )
            time.sleep(_SEARCH_PAUSE_S)
        last = self._query("select run_id, pid, host from metadata.run_lock")
        if last != [(self._run_id, os.getpid(), socket.gethostname())]:
            self.release()
            raise WarehouseError(
                f"this run has lost its lock of warehouse {self._warehouse}, and another run has worked there since: "
                "run the same command again"
            )

    def _try(self) -> bool:
        return bool(self._query("select pg_try_advisory_lock(%s, %s)", _KEY)[0][0])

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, tuple(parameters) or None)
            return list(cursor.fetchall()) if cursor.description else []

    def _describe_holder(self) -> str:
        """Say who has the lock; its row is written a moment after the lock is taken, the connection's name is there at once."""
        holders = self._query(
            "select application_name, pg_stat_activity.pid from pg_locks inner join pg_stat_activity using (pid) "
            "where locktype = 'advisory' and pg_locks.database = (select oid from pg_database where datname = current_database()) "
            "and classid = %s and objid = %s and granted",
            _KEY,
        )
        if not holders:
            return "another run"
        name, server_pid = holders[0]
        with contextlib.suppress(Exception):
            for run_id, pid, host, started_at in self._query(
                "select run_id, pid, host, started_at from metadata.run_lock"
            ):
                if name.startswith(f"goalkeeper {run_id} pid {pid} "):
                    since = started_at.astimezone(UTC).isoformat(timespec="seconds")
                    return f"run {run_id} (pid {pid} on {host}, since {since}, server process {server_pid})"
        return f"{name or 'another run'} (server process {server_pid})"
