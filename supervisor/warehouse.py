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

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run a query and return its rows, each a mapping from column to value."""


class Warehouse(Protocol):
    """Where the day is built and published."""

    target: str
    description: str

    def session(self) -> Any:
        """Open a session: a context manager; statements outside a transaction commit at once."""

    def transaction(self) -> Any:
        """Open a session within one transaction: commits at the end of the block, rolls back on an error."""

    def exists(self) -> bool:
        """Whether there is anything to read yet."""


@dataclass(frozen=True)
class _DbApiSession:
    cursor_of: Callable[[], Any]
    placeholder: str

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        self._run(sql, parameters)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        for row in rows:
            self._run(sql, row)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        cursor = self._run(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _run(self, sql: str, parameters: Sequence[Any]) -> Any:
        cursor = self.cursor_of()
        if parameters:
            cursor.execute(sql.replace("?", self.placeholder), tuple(parameters))
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
            yield _DbApiSession(lambda: connection, "?")
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open the file and hold one transaction."""
        with self.session() as session:
            session.execute("begin transaction")
            try:
                yield session
            except BaseException:
                session.execute("rollback")
                raise
            session.execute("commit")


@dataclass(frozen=True)
class PostgresWarehouse:
    """A PostgreSQL database, 16 or later, addressed by the POSTGRES_* variables that profiles.yml reads."""

    target: str = "postgres"

    @property
    def description(self) -> str:
        """Where it is, for people; without credentials."""
        host, port = os.environ.get("POSTGRES_HOST", "localhost"), os.environ.get("POSTGRES_PORT", "5432")
        return f"{host}:{port}/{os.environ.get('POSTGRES_DB', 'warehouse')}"

    def exists(self) -> bool:
        """Whether the server answers; raises `WarehouseError` when it does not."""
        with self.session():
            return True

    def _connect(self) -> Any:
        import psycopg2

        try:
            return psycopg2.connect(
                host=os.environ.get("POSTGRES_HOST", "localhost"),
                port=int(os.environ.get("POSTGRES_PORT", "5432")),
                user=os.environ.get("POSTGRES_USER", "goalkeeper"),
                password=os.environ.get("POSTGRES_PASSWORD") or None,
                dbname=os.environ.get("POSTGRES_DB", "warehouse"),
                sslmode=os.environ.get("POSTGRES_SSLMODE", "prefer"),
                connect_timeout=10,
                application_name="goalkeeper",
                options="-c timezone=UTC",
            )
        except psycopg2.Error as error:
            raise WarehouseError(
                f"warehouse {self.description} can't be reached: {str(error).strip()}. "
                "Check POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB."
            ) from error

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Connect, with each statement committed at once."""
        connection = self._connect()
        try:
            connection.autocommit = True
            yield _DbApiSession(connection.cursor, "%s")
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Connect and hold one transaction."""
        connection = self._connect()
        try:
            with connection:
                yield _DbApiSession(connection.cursor, "%s")
        finally:
            connection.close()


def open_warehouse(target: str) -> DuckDBWarehouse | PostgresWarehouse:
    """Return the warehouse of a dbt target; raises `WarehouseError` for an unknown one."""
    if target == "duckdb":
        return DuckDBWarehouse(Path(os.environ.get("DUCKDB_PATH", "warehouse.duckdb")).resolve())
    if target == "postgres":
        return PostgresWarehouse()
    raise WarehouseError(f"target '{target}' is unknown; the targets of profiles/profiles.yml are duckdb and postgres")
