"""Which engine a target is."""

from __future__ import annotations

import os
from pathlib import Path

from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.duckdb import DuckDBWarehouse
from supervisor.warehouse.postgres import dbt_environment as postgres_environment


def open_warehouse(target: str) -> Warehouse:
    """Return the warehouse of a dbt target; raises `WarehouseError` for an unknown one."""
    if target == "duckdb":
        return DuckDBWarehouse(Path(os.environ.get("DUCKDB_PATH", "warehouse.duckdb")).resolve())
    if target == "postgres":
        from supervisor.warehouse.postgres import PostgresWarehouse

        return PostgresWarehouse()
    raise WarehouseError(f"target '{target}' is unknown; the targets of profiles/profiles.yml are duckdb and postgres")


def dbt_environment(target: str) -> dict[str, str]:
    """Return the variables that dbt's connections need beside those that profiles.yml reads."""
    if target != "postgres":
        return {}

    return postgres_environment()
