"""DuckDB, the embedded engine: one file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from supervisor.warehouse.base import Session, Warehouse, WarehouseError


class DuckDBWarehouse(Warehouse):
    """The embedded warehouse: the file DUCKDB_PATH, or `warehouse.duckdb` in the working directory.

    The file belongs to one process at a time: opening it while a run works could make that run fail.
    """

    target = "duckdb"
    drivers = ("duckdb", "_duckdb")
    transient_words = re.compile(
        r"could not set lock on file|conflict on (tuple|update|append)|temporarily unavailable", re.IGNORECASE
    )
    serves_readers = False

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ.get("DUCKDB_PATH", "warehouse.duckdb")).resolve()

    @property
    def description(self) -> str:
        """Where it is, for people."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def lock_path(self, work_dir: Path) -> Path:
        """Beside the file."""
        return self.path.with_name(f"{self.path.name}.lock")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open the file; raises `WarehouseError` when another process has it."""
        import duckdb

        try:
            connection = duckdb.connect(str(self.path))
        except duckdb.Error as error:
            raise WarehouseError(
                f"warehouse {self.path} can't be opened: {error}. "
                "If another program has the file open, close it and run the same command again.",
                is_transient=self.is_transient(error),
            ) from error
        try:
            connection.execute("set TimeZone = 'UTC'")
            # rows have no order in a warehouse; keeping one would cost a buffer of the whole day
            connection.execute("set preserve_insertion_order = false")
            if memory := os.environ.get("GOALKEEPER_MEMORY"):
                connection.execute("set memory_limit = ?", [memory])
            if threads := os.environ.get("GOALKEEPER_THREADS"):
                connection.execute(f"set threads = {int(threads)}")
            # a DuckDB cursor would be a second connection, outside the transaction; the count of changes comes as a row
            yield Session(lambda: connection, changed_by=lambda cursor: int(cursor.fetchone()[0]))
        finally:
            connection.close()

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

    @contextmanager
    def exclusive(self, run_id: str) -> Iterator[None]:
        """Nothing more to hold: the lock file is beside the warehouse, wherever a run comes from."""
        yield

    @contextmanager
    def trial(self) -> Iterator[Session]:
        """Open the file; one that was not there is removed again."""
        is_new = not self.exists()
        try:
            with self.session() as session:
                yield session
        finally:
            if is_new:
                self.path.unlink(missing_ok=True)

    def version(self, session: Session) -> tuple[str, str]:
        """Return "DuckDB" and its version; the locked dependency is a fitting one."""
        return f"DuckDB {session.query('select version() as version')[0]['version']}", ""

    @classmethod
    def is_transient(cls, error: Exception) -> bool:
        """Whether another process has the file, or another transaction the rows; a full disk is the same type."""
        import duckdb

        return isinstance(error, duckdb.IOException | duckdb.TransactionException) and super().is_transient(error)
