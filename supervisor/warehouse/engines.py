"""The engines, a file each. A new one is a file here and a line in `ENGINES`; CONTRIBUTING.md says what else it needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.warehouse.base import Warehouse

ENGINES = {
    "duckdb": "supervisor.warehouse.duckdb:DuckDBWarehouse",
    "postgres": "supervisor.warehouse.postgres:PostgresWarehouse",
}
"""Class of each target of profiles/profiles.yml, imported when it is used: the names are needed without the rest."""


def engine(target: str) -> type[Warehouse]:
    """Return the engine of a dbt target; raises `WarehouseError` for an unknown one."""
    if target not in ENGINES:
        from supervisor.warehouse.base import WarehouseError

        raise WarehouseError(
            f"target '{target}' is unknown; the targets of profiles/profiles.yml are {' and '.join(ENGINES)}"
        )
    module, _, name = ENGINES[target].partition(":")
    found: type[Warehouse] = getattr(import_module(module), name)
    return found


def open_warehouse(target: str) -> Warehouse:
    """Return the warehouse of a dbt target; raises `WarehouseError` for an unknown one."""
    return engine(target)()
