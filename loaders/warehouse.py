"""The warehouse end: dlt pipelines that are never resumed, and the count that is believed."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.attempt import Deadline, Extraction, Stamp
from loaders.destination import postgres_settings
from loaders.errors import WarehouseError
from loaders.failures import classify
from loaders.imports import LOCK, import_alone

TARGETS = {"duckdb": "dlt.destinations.impl.duckdb.duck", "postgres": "loaders.dlt_internals"}
"""Targets, and the module of each that a load imports."""
MAX_COLUMNS = {"postgres": 1600}
"""Columns that a table holds, where the target has a bound."""

logger = logging.getLogger(__name__)


DLT_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    # every run is a new pipeline: there is no state to restore, and none to keep growing
    "RESTORE_FROM_DESTINATION": "false",
    # dlt must not repeat a job by itself: after an ambiguous commit that duplicates rows
    "LOAD__RAISE_ON_MAX_RETRIES": "1",
    "LOAD__WORKERS": "1",
    # dlt would hold 5,000 rows whatever their size; batches come cut by their bytes
    "DATA_WRITER__BUFFER_MAX_ITEMS": "1",
    # told to stop, the process stops: nothing here needs to be finished first
    "RUNTIME__INTERCEPT_SIGNALS": "false",
    "NORMALIZE__WORKERS": "1",
}
"""dlt settings that this package depends on; they are set whatever the configuration says."""


@dataclass(frozen=True)
class Collected:
    """A source's day, ready to be loaded.

    `rows` (a count) is per table, `collected` counts all but the reference tables, `folder` holds the package.
    """

    source: str
    folder: Path
    rows: dict[str, int]
    collected: int
    rejected: int
    detail: dict[str, Any]


def import_dlt() -> Any:
    """Import dlt with the settings that this package depends on, and return it."""
    os.environ.update(DLT_SETTINGS)
    # with what several threads would import at its first use
    import_alone("dlt", "dlt.common.libs.pyarrow", "dlt.common.libs.sql_alchemy_compat", "numpy.ma")
    import dlt

    return dlt


def collect(source: str, target: str, extraction: Extraction, folder: Path) -> Collected:
    """Write an extraction's rows as a dlt load package of Parquet files.

    Args:
        source: Name of the source; the dataset is `raw_<source>`.
        target: One of `TARGETS`.
        extraction: The opened source.
        folder: A new, empty folder for the pipeline: nothing is ever resumed.

    Raises:
        Exception: Whatever the source raised while it was read, behind what dlt wraps around it; see `loaders.failures`.
    """
    dlt = import_dlt()
    rows = dict.fromkeys(extraction.schemas, 0)
    rejected = 0

    def all_tables() -> Iterator[Any]:
        nonlocal rejected
        for name, schema in extraction.schemas.items():
            # an empty batch creates the table, also when nothing follows
            yield dlt.mark.with_table_name(schema.empty_table(), name)
        for name, table in extraction.tables:
            rows[name] += table.num_rows
            if name not in extraction.reference:
                rejected += table.num_rows - table.column("reject_reason").null_count
            yield dlt.mark.with_table_name(table, name)

    # only its capabilities are used here: `Warehouse.load` brings the one with a connection
    pipeline = _pipeline(source, getattr(dlt.destinations, target)(), folder)
    resource = dlt.resource(all_tables, name=f"{source}_day", write_disposition="append")
    pipeline.extract(resource, loader_file_format="parquet")
    pipeline.normalize()
    collected = sum(count for name, count in rows.items() if name not in extraction.reference)
    return Collected(source, folder, rows, collected, rejected, extraction.detail)


def _pipeline(source: str, destination: Any, folder: Path) -> Any:
    dlt = import_dlt()
    # the first pipeline imports dlt's plugins
    with LOCK:
        return dlt.pipeline(
            f"load_{source}",
            pipelines_dir=str(folder),
            destination=destination,
            dataset_name=f"raw_{source}",
        )


class Warehouse:
    """One target; loads into it are done one after the other.

    Args:
        target: `duckdb` (file DUCKDB_PATH) or `postgres` (POSTGRES_HOST, POSTGRES_PORT,
            POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB).
        deadline: Statements on PostgreSQL are given what is left of it.

    Raises:
        ConfigurationError: When a variable that the target needs is missing.
    """

    def __init__(self, target: str, deadline: Deadline) -> None:
        self.target = target
        self._deadline = deadline
        self._connection: Any = None
        self._settings = postgres_settings() if target == "postgres" else {}

    def load(self, collected: Collected, stamp: Stamp) -> None:
        """Append a package, then count its rows in the warehouse.

        Raises:
            WarehouseError: When the target refuses, or holds other rows than were collected. It is
                transient only when nothing at all was written.
        """
        spare = collected.folder.with_name(collected.folder.name + "-untouched")
        again = spare.exists()
        if again:
            # a package that a load has touched is never loaded again, a copy of it is
            folder = collected.folder.with_name(f"{collected.folder.name}-{time.monotonic_ns()}")
            _copy_package(spare, folder)
        else:
            _copy_package(collected.folder, spare)
            folder = collected.folder
        subject = f"loading raw_{collected.source}"
        pipeline = None
        try:
            pipeline = _pipeline(collected.source, self._destination(), folder)
            if again and self._any_rows(pipeline, collected, stamp):
                # the try before was committed although it seemed to fail
                raise WarehouseError(f"partly loaded, {subject}", code="partly loaded", transient=False)
            pipeline.load()
            if self.target == "postgres":
                self._help_planner(pipeline, collected)
        except Exception as error:
            failure = classify(error, subject)
            written = False
            if pipeline is not None:
                # when this can't be known now, the next try looks before it loads
                with suppress(Exception):
                    written = self._any_rows(pipeline, collected, stamp)
            raise WarehouseError(
                failure.text,
                code=failure.code,
                transient=failure.transient and not written,
                detail=failure.detail,
            ) from error
        for table, expected in collected.rows.items():
            found = self._count(pipeline, table, stamp)
            if found != expected:
                raise WarehouseError(
                    f"row counts differ, {pipeline.dataset_name}.{table} holds {found:,} rows of "
                    f"load {stamp.load_id} and {expected:,} were collected",
                    code="row counts differ",
                    transient=False,
                )
        # the rows are there: their packages would only fill the disk, run after run
        shutil.rmtree(collected.folder.parent, ignore_errors=True)

    def _help_planner(self, pipeline: Any, collected: Collected) -> None:
        """Index what is read by day, which costs nearly nothing, and let the server know how the days lie.

        Without it the day is read slowly, not wrongly: a vacuum that is in the way must not cost a load.
        """
        with pipeline.sql_client() as client:
            client.execute_sql("set lock_timeout = '2s'")
            # a small sample is enough; the usual one would read 30,000 pages of the history
            client.execute_sql("set default_statistics_target = 10")
            for table in collected.rows:
                name = client.make_qualified_table_name(table)
                index = client.make_qualified_table_name(f"{table}_load_date")
                try:
                    client.execute_sql(
                        f'create index if not exists "{table}_load_date" on {name} using brin (load_date) with (autosummarize = on)'
                    )
                    # the server would do so in its own time, and until then read what is not summarized, history or not
                    client.execute_sql(f"select brin_summarize_new_values('{index}')")
                    client.execute_sql(f"analyze {name} (load_date)")
                except Exception:
                    logger.warning("%s has no index or no new statistics for this load", name, exc_info=True)

    def _any_rows(self, pipeline: Any, collected: Collected, stamp: Stamp) -> bool:
        from dlt.destinations.exceptions import DatabaseUndefinedRelation

        for table in collected.rows:
            # a table that is not there holds no rows
            with suppress(DatabaseUndefinedRelation):
                if self._count(pipeline, table, stamp):
                    return True
        return False

    def _count(self, pipeline: Any, table: str, stamp: Stamp) -> int:
        with pipeline.sql_client() as client:
            name = client.make_qualified_table_name(table)
            rows = client.execute_sql(
                # the date alone lets both engines pass over the history
                f"select count(*) from {name} where load_date = %s and load_id = %s",
                stamp.load_date,
                stamp.load_id,
            )
        return int(rows[0][0])

    def _destination(self) -> Any:
        dlt = import_dlt()
        if self.target == "duckdb":
            return dlt.destinations.duckdb(self._duckdb())
        from loaders.dlt_internals import postgres

        # without a space: dlt would write it as a plus, which libpq takes literally
        timeout = f"-cstatement_timeout={max(1, int(self._deadline.remaining() * 1000))}"
        return postgres(credentials={**self._settings, "query": {**self._settings["query"], "options": timeout}})

    def _duckdb(self) -> Any:
        if self._connection is None:
            import duckdb

            # one connection for all loads: opening and closing the file costs a checkpoint
            self._connection = duckdb.connect(os.environ.get("DUCKDB_PATH", "warehouse.duckdb"))
            self._connection.execute("set preserve_insertion_order = false")
            self._connection.execute("set timezone = 'UTC'")
            # the same limits as dbt's and the supervisor's connections
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


def _copy_package(folder: Path, copy: Path) -> None:
    def link_or_copy(source: str, target: str) -> None:
        # data files are never changed in place; dlt's small state files are
        if source.endswith(".parquet"):
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(folder, copy, copy_function=link_or_copy)
