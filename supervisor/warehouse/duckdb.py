"""DuckDB, the embedded engine: one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from supervisor.warehouse.base import DbApiSession, Session, WarehouseError


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
