"""DuckDB: one file, DUCKDB_PATH or `warehouse.duckdb` in the working directory."""

from __future__ import annotations

import os
from typing import Any

from loaders.attempt import Deadline
from loaders.engines import Engine


class DuckDB(Engine):
    """One connection for all loads: opening and closing the file costs a checkpoint."""

    dlt_name = "duckdb"
    library = "dlt.destinations.impl.duckdb.duck"

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(deadline)
        self._connection: Any = None

    def destination(self) -> Any:
        """See `Engine`."""
        import dlt

        return dlt.destinations.duckdb(self.connect())

    def connect(self) -> Any:
        """Return the connection, with the same limits as dbt's and the supervisor's have."""
        if self._connection is None:
            import duckdb

            self._connection = duckdb.connect(os.environ.get("DUCKDB_PATH", "warehouse.duckdb"))
            self._connection.execute("set preserve_insertion_order = false")
            self._connection.execute("set timezone = 'UTC'")
            if memory := os.environ.get("GOALKEEPER_MEMORY"):
                self._connection.execute("set memory_limit = ?", [memory])
            if threads := os.environ.get("GOALKEEPER_THREADS"):
                self._connection.execute(f"set threads = {int(threads)}")
        return self._connection

    def close(self) -> None:
        """Close the file, so that the next process finds it unlocked and checkpointed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
