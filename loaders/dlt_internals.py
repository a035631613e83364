"""The subclasses of what dlt keeps to itself, each with what would make it needless upstream.

Wished of dlt: that the postgres destination takes options for its ADBC connection, and a copy by row groups.
"""

from __future__ import annotations

from typing import Any

from dlt.destinations.impl.postgres.factory import get_adbc_driver_location
from dlt.destinations.impl.postgres.factory import postgres as postgres_destination
from dlt.destinations.impl.postgres.postgres import PostgresClient, PostgresParquetCopyJob

from loaders.kinds.postgres import BUILTIN_TYPES


class _CopyJob(PostgresParquetCopyJob):
    # otherwise the driver makes one table of the whole file before it sends the first row: a setting of the destination would do
    _ingest_per_rowgroup = True

    def _connect(self) -> Any:
        from adbc_driver_manager import dbapi

        self._config = self._job_client.config
        credentials: Any = self._config.credentials
        uri = credentials.to_native_representation()
        return dbapi.connect(driver=get_adbc_driver_location(), db_kwargs={"uri": uri, **BUILTIN_TYPES})


class _Client(PostgresClient):
    def create_load_job(self, table: Any, file_path: str, load_id: str, restore: bool = False) -> Any:
        job = super().create_load_job(table, file_path, load_id, restore)
        return _CopyJob(file_path) if isinstance(job, PostgresParquetCopyJob) else job


class postgres(postgres_destination):
    """As dlt's own, but a connection's cost does not grow with the number of tables, which are three more a day."""

    @property
    def client_class(self) -> Any:
        """The client that makes load jobs."""
        return _Client
