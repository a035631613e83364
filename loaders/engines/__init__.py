"""The engines that are loaded into, a file each. A new one is a file here and a line in `ENGINES`, as in `supervisor.warehouse.engines`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from loaders.attempt import Deadline

ENGINES = {
    "duckdb": "loaders.engines.duckdb:DuckDB",
    "postgres": "loaders.engines.postgres:Postgres",
}
"""Class of each target of profiles/profiles.yml, imported when it is used: the names are needed without the rest."""


class Engine:
    """One target, as the loaders need it.

    Attributes:
        dlt_name: Name of dlt's destination, whose capabilities decide how a package is written.
        library: Module that a load imports.
        max_columns: Columns that a table holds, None where that has no bound.

    Args:
        deadline: No statement takes longer than what is left of it, where the engine can be told.

    Raises:
        ConfigurationError: When a variable that the target needs is missing.
    """

    dlt_name: ClassVar[str]
    library: ClassVar[str]
    max_columns: ClassVar[int | None] = None

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline

    def destination(self) -> Any:
        """Return dlt's destination, ready to be loaded into."""
        raise NotImplementedError

    def after_load(self, client: Any, tables: list[str]) -> None:
        """Do what makes a day of these tables cheap to read, with dlt's SQL client; most engines need nothing."""

    def close(self) -> None:
        """Let go of what the next process needs."""


def engine(target: str) -> type[Engine]:
    """Return the engine of one of the `ENGINES`."""
    module, _, name = ENGINES[target].partition(":")
    found: type[Engine] = getattr(import_module(module), name)
    return found
