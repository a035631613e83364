"""PostgreSQL; how it is reached is read before dlt is imported, so that what is missing is said at once."""

from __future__ import annotations

import logging
import os
from typing import Any

from loaders.attempt import Deadline
from loaders.engines import Engine
from loaders.errors import ConfigurationError
from loaders.redact import register_secrets

logger = logging.getLogger(__name__)
_TLS = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def postgres_settings() -> dict[str, Any]:
    """Return the credentials of dlt's destination, with the defaults of profiles/profiles.yml.

    Raises:
        ConfigurationError: When a variable is missing or wrong.
    """

    def read(name: str, default: str = "") -> str:
        return os.environ.get(f"POSTGRES_{name}") or default

    # a login of its own, that can do nothing but load, is used where there is one
    password = read("LOADER_PASSWORD") or read("PASSWORD")
    if not password:
        raise ConfigurationError(
            "POSTGRES_PASSWORD is not set. The postgres target needs one, also where the server trusts everybody."
        )
    register_secrets([password])
    port = read("PORT", "5432")
    if not port.isdigit():
        raise ConfigurationError(f"POSTGRES_PORT = {port!r} is not a port number.")
    tls = {name: value for name in _TLS if (value := read(name.upper()))}
    return {
        "host": read("HOST", "localhost"),
        "port": int(port),
        "username": read("LOADER_USER") or read("USER", "goalkeeper"),
        "password": password,
        "database": read("DB", "warehouse"),
        "connect_timeout": 10,
        "query": {"application_name": "goalkeeper-loaders", **tls},
    }


class Postgres(Engine):
    """The database of POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB."""

    dlt_name = "postgres"
    library = "loaders.dlt_internals"
    max_columns = 1600

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(deadline)
        self._settings = postgres_settings()

    def destination(self) -> Any:
        """See `Engine`."""
        from loaders.dlt_internals import postgres

        # without a space: dlt would write it as a plus, which libpq takes literally
        timeout = f"-cstatement_timeout={max(1, int(self.deadline.remaining() * 1000))}"
        return postgres(credentials={**self._settings, "query": {**self._settings["query"], "options": timeout}})

    def after_load(self, client: Any, tables: list[str]) -> None:
        """Index what is read by day, which costs nearly nothing, and let the server know how the days lie.

        Without it the day is read slowly, not wrongly: a vacuum that is in the way must not cost a load.
        """
        client.execute_sql("set lock_timeout = '2s'")
        # a small sample is enough; the usual one would read 30,000 pages of the history
        client.execute_sql("set default_statistics_target = 10")
        for table in tables:
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
