"""The warehouse end: dlt pipelines that are never resumed, and the count that is believed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.attempt import Extraction, Stamp
from loaders.engines import Engine, engine
from loaders.errors import WarehouseError
from loaders.failures import classify
from loaders.imports import LOCK, import_alone

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
        target: One of the `ENGINES`.
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
    pipeline = _pipeline(source, getattr(dlt.destinations, engine(target).dlt_name)(), folder)
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
        engine: The target's engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, collected: Collected, stamp: Stamp) -> None:
        """Append a package, then count its rows in the warehouse.

        Raises:
            WarehouseError: When the target refuses, or holds other rows than were collected. It is
                transient only when nothing at all was written.
        """
        subject = f"loading raw_{collected.source}"
        tries = sum(1 for _ in collected.folder.parent.glob(f"{collected.folder.name}-*"))
        # a package that a load has touched is never loaded again: each try has a copy of its own
        folder = _copy_package(collected.folder, f"-{tries + 1}")
        pipeline = None
        try:
            pipeline = _pipeline(collected.source, self._engine.destination(), folder)
            if tries and self._any_rows(pipeline, collected, stamp):
                # the try before was committed although it seemed to fail
                raise WarehouseError(f"partly loaded, {subject}", code="partly loaded", transient=False)
            pipeline.load()
            with pipeline.sql_client() as client:
                self._engine.after_load(client, list(collected.rows))
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

    def close(self) -> None:
        """Let the next process have the warehouse."""
        self._engine.close()


def _copy_package(folder: Path, suffix: str) -> Path:
    def link_or_copy(source: str, target: str) -> None:
        # data files are never changed in place; dlt's small state files are
        (os.link if source.endswith(".parquet") else shutil.copy2)(source, target)

    copy: Path = shutil.copytree(folder, folder.with_name(folder.name + suffix), copy_function=link_or_copy)
    return copy
