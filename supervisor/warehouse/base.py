"""The supervisor's own, short connections to the warehouse.

dbt and dlt do the heavy work in processes of their own; this is for the ledger, the sweep and the publish. A connection lives
as long as its `with` block, because a DuckDB file belongs to one process at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
