"""What every engine can do: an engine's file beside this one says how.

dbt and dlt do the heavy work in processes of their own; the supervisor's sessions are for the ledger, the sweep and the publish. A
connection lives as long as its `with` block, because a DuckDB file belongs to one process at a time.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from supervisor.warehouse.lock import Holder

MEMORY, THREADS, DEADLINE = "GOALKEEPER_MEMORY", "GOALKEEPER_THREADS", "GOALKEEPER_DEADLINE_S"
"""Variables with what a connection to an engine may use: memory, threads, seconds for a statement."""


class WarehouseError(Exception):
    """Raised when the warehouse can't be opened or a statement fails; says which and what to do.

    Attributes:
        is_transient: Whether a second try can help; the engine that raises it knows.
    """

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient


@dataclass(frozen=True)
class MissingRight:
    """A right that is not there.

    Attributes:
        role: Who lacks it.
        right: What is missing, as SQL names it: "CREATE on schema analytics".
        purpose: What it is needed for.
        remedy: What to do about it: a statement, or words where there is none.
    """

    role: str
    right: str
    purpose: str
    remedy: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.role} lacks {self.right} ({self.purpose}): {self.remedy}"


@dataclass(frozen=True)
class Session:
    """An open connection of a DB-API driver. Parameters are bound as `?`, never formatted into the text.

    Attributes:
        cursor_of: Makes a cursor.
        placeholder: How the driver writes a parameter.
        changed_by: Reads from a cursor how many rows its statement changed.
    """

    cursor_of: Callable[[], Any]
    placeholder: str = "?"
    changed_by: Callable[[Any], int] = lambda cursor: int(cursor.rowcount)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement."""
        self._run(sql, parameters)

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run an insert, update or delete and return how many rows it changed."""
        return self.changed_by(self._run(sql, parameters))

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""
        for row in rows:
            self._run(sql, row)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Run a query and return its rows, each a mapping from column to value."""
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


class Warehouse(ABC):
    """Where the day is built and published. A class an engine, made without arguments from the environment.

    Attributes:
        target: Target of profiles.yml.
        drivers: Packages whose exceptions are this engine's.
        transient_words: What it and its driver say when a second try can help.
        serves_readers: Whether it can be read while a run works.
    """

    target: ClassVar[str]
    drivers: ClassVar[tuple[str, ...]]
    transient_words: ClassVar[re.Pattern[str]]
    serves_readers: ClassVar[bool]

    @property
    @abstractmethod
    def description(self) -> str:
        """Where it is, for people; without credentials."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is anything to read yet."""

    @abstractmethod
    def session(self) -> Any:
        """Open a session: a context manager; statements outside a transaction commit at once."""

    @abstractmethod
    def transaction(self, timeout_s: float | None = None) -> Any:
        """Open a session within one transaction: commits at the end of the block, rolls back on an error.

        Args:
            timeout_s: Seconds that a single statement may take, where the engine can stop one; None for no limit.
        """

    @abstractmethod
    def exclusive(self, run_id: str) -> Any:
        """Hold the warehouse for one run: a context manager. Where a file is the warehouse, the lock beside it is enough."""

    @abstractmethod
    def version(self, session: Session) -> tuple[str, str]:
        """Return the engine's name with its version, and what is needed instead, "" when it will do."""

    def trial(self) -> Any:
        """Open a session to try things out: a context manager; a warehouse that was not there is gone afterwards."""
        return self.session()

    def lock_path(self, work_dir: Path) -> Path:
        """Where the lock file of the runs lies."""
        return work_dir / f"{self.target}.lock"

    def remote_holder(self) -> Holder | None:
        """Return the run, on whichever machine, that holds the warehouse; None where only the lock file can tell."""
        return None

    def missing_rights(self, sources: Sequence[str] = ()) -> list[MissingRight] | None:
        """Find out which rights a run would miss, without changing anything; None where the engine knows no rights.

        Args:
            sources: Names of the configured sources; their raw schemas are looked at.

        Raises:
            WarehouseError: The warehouse can't be reached.
        """
        return None

    @classmethod
    def is_configured(cls) -> bool:
        """Whether the environment says where it is; a default place counts unless it needs a server."""
        return True

    @classmethod
    def dbt_environment(cls) -> dict[str, str]:
        """Return the variables that dbt's connections need beside those that profiles.yml reads."""
        return {}

    @classmethod
    def is_transient(cls, error: Exception) -> bool:
        """Whether a second try can help against an exception of the driver."""
        return bool(cls.transient_words.search(str(error)))
