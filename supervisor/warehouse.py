"""The supervisor's own, short connections to the warehouse.

dbt and dlt do the heavy work in processes of their own; this is for the ledger, the sweep and the publish. A connection lives
as long as its `with` block, because a DuckDB file belongs to one process at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class WarehouseError(Exception):
    """Raised when the warehouse can't be opened or a statement fails; says which and what to do."""


class Session(Protocol):
    """An open connection. Parameters are bound as `?`, never formatted into the text."""

    @property
    def target(self) -> str:
        """Which engine it is, as a target of profiles.yml."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run an insert, update or delete and return how many rows it changed."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run a query and return its rows, each a mapping from column to value."""


class Warehouse(Protocol):
    """Where the day is built and published."""

    @property
    def target(self) -> str:
        """Which target of profiles.yml it is."""

    @property
    def description(self) -> str:
        """Where it is, for people; without credentials."""

    def session(self) -> Any:
        """Open a session: a context manager; statements outside a transaction commit at once."""

    def transaction(self, timeout_s: float | None = None) -> Any:
        """Open a session within one transaction: commits at the end of the block, rolls back on an error.

        Args:
            timeout_s: Seconds that a single statement may take, where the engine can stop one; None for no limit.
        """

    def exclusive(self, run_id: str) -> Any:
        """Hold the warehouse for one run: a context manager. Where a file is the warehouse, its own lock is enough."""

    def exists(self) -> bool:
        """Whether there is anything to read yet."""


@dataclass(frozen=True)
class DbApiSession:
    """A session on a driver's connection.

    Attributes:
        cursor_of: Makes a cursor.
        placeholder: How the driver writes a parameter.
        target: Which engine it is, as a target of profiles.yml.
    """

    cursor_of: Callable[[], Any]
    placeholder: str
    target: str

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""
        self._run(sql, parameters)

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run an insert, update or delete and return how many rows it changed."""
        cursor = self._run(sql, parameters)
        # DuckDB gives the count as a row
        return int(cursor.fetchone()[0] if self.target == "duckdb" else cursor.rowcount)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""
        for row in rows:
            self._run(sql, row)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run a query and return its rows."""
        cursor = self._run(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _run(self, sql: str, parameters: Sequence[Any]) -> Any:
        cursor = self.cursor_of()
        if parameters:
            if self.placeholder != "?":
                sql = sql.replace("%", "%%").replace("?", self.placeholder)
            cursor.execute(sql, tuple(parameters))
        else:
            cursor.execute(sql)
        return cursor


@dataclass(frozen=True)
class DuckDBWarehouse:
    """The embedded warehouse: one file."""

    path: Path
    target: str = "duckdb"

    @property
    def description(self) -> str:
        """Where it is, for people."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open the file; raises `WarehouseError` when another process has it."""
        import duckdb

        try:
            connection = duckdb.connect(str(self.path))
        except duckdb.Error as error:
            raise WarehouseError(
                f"warehouse {self.path} can't be opened: {error}. "
                "If another program has the file open, close it and run the same command again."
            ) from error
        try:
            connection.execute("set TimeZone = 'UTC'")
            # rows have no order in a warehouse; keeping one would cost a buffer of the whole day
            connection.execute("set preserve_insertion_order = false")
            if memory := os.environ.get("GOALKEEPER_MEMORY"):
                connection.execute("set memory_limit = ?", [memory])
            if threads := os.environ.get("GOALKEEPER_THREADS"):
                connection.execute(f"set threads = {int(threads)}")
            # a DuckDB cursor would be a second connection, outside the transaction
            yield DbApiSession(lambda: connection, "?", self.target)
        finally:
            connection.close()

    @contextmanager
    def exclusive(self, run_id: str) -> Iterator[None]:
        """Nothing more to hold: see `supervisor.lock`."""
        yield

    @contextmanager
    def transaction(self, timeout_s: float | None = None) -> Iterator[Session]:
        """Open the file and hold one transaction; DuckDB has no timeout for a statement."""
        with self.session() as session:
            session.execute("begin transaction")
            try:
                yield session
            except BaseException:
                session.execute("rollback")
                raise
            session.execute("commit")


def open_warehouse(target: str) -> Warehouse:
    """Return the warehouse of a dbt target; raises `WarehouseError` for an unknown one."""
    if target == "duckdb":
        return DuckDBWarehouse(Path(os.environ.get("DUCKDB_PATH", "warehouse.duckdb")).resolve())
    if target == "postgres":
        from supervisor.warehouse_postgres import PostgresWarehouse

        return PostgresWarehouse()
    raise WarehouseError(f"target '{target}' is unknown; the targets of profiles/profiles.yml are duckdb and postgres")


def dbt_environment(target: str) -> dict[str, str]:
    """Return the variables that dbt's connections need beside those that profiles.yml reads."""
    if target != "postgres":
        return {}
    from supervisor.warehouse_postgres import dbt_environment as postgres_environment

    return postgres_environment()
