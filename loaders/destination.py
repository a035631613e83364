"""How the PostgreSQL warehouse is reached; read before dlt is imported, so that what is missing is said at once."""

from __future__ import annotations

import os
from typing import Any

from loaders.errors import ConfigurationError
from loaders.redact import register_secrets

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
