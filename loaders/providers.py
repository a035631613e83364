"""Read dlt's configuration places without importing dlt.

The places and their order are dlt's own: environment variables, then `.dlt/secrets.toml`, then
`.dlt/config.toml`, each toml merged over the one in dlt's global folder. Importing dlt costs a
second, so the standard places are read here, and dlt's providers are asked (`dlt_secret`) only
for a credential that none of these places holds: a mounted secret file or a vault.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loaders.errors import ConfigurationError

ENV_PREFIX = "SOURCES__"
NATIVE = "@native"
"""Key under which a connection string is kept when single parts of it are given as well."""


def settings_folders() -> list[Path]:
    """Return dlt's settings folders, the weakest first (global, then the project's)."""
    project = Path(os.environ.get("DLT_PROJECT_DIR", "."))
    data = os.environ.get("DLT_DATA_DIR")
    home = Path(data) if data else Path.home() / ".dlt"
    if not data and not home.is_dir() and "XDG_DATA_HOME" in os.environ:
        home = Path(os.environ["XDG_DATA_HOME"]) / "dlt"
    return [home, project / ".dlt"]


def merge(base: Any, over: Any) -> Any:
    """Merge nested mappings, `over` winning; a connection string survives single overrides."""
    if isinstance(base, str) and isinstance(over, dict) and over:
        base = {NATIVE: base}
    if isinstance(base, dict) and isinstance(over, str) and base:
        return {**base, NATIVE: over}
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    merged = dict(base)
    for key, value in over.items():
        # environment variables are upper case: a toml key in mixed case is still the same key
        same = next((known for known in merged if known.lower() == key.lower()), key)
        merged[same] = merge(merged[same], value) if same in merged else value
    return merged


def read_toml_sources(file_name: str) -> dict[str, Any]:
    """Return the `sources` table of a settings file, merged over the global one.

    Raises:
        ConfigurationError: When a file is not valid TOML.
    """
    merged: dict[str, Any] = {}
    for folder in settings_folders():
        path = folder / file_name
        try:
            with path.open("rb") as file:
                document = tomllib.load(file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} is not valid TOML: {error}. Repair it.") from error
        except OSError as error:
            raise ConfigurationError(f"{path} can't be read: {error.strerror}.") from error
        sources = document.get("sources", {})
        if not isinstance(sources, dict):
            raise ConfigurationError(f"{path}: [sources] must be a table of sources.")
        merged = merge(merged, sources)
    return merged


def read_env_sources(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return `SOURCES__<NAME>__<KEY>...` variables as nested lower-case mappings."""
    nested: dict[str, Any] = {}
    for variable in sorted(environ):
        if not variable.upper().startswith(ENV_PREFIX):
            continue
        value: Any = environ[variable]
        for key in reversed(variable[len(ENV_PREFIX) :].lower().split("__")):
            value = {key: value}
        nested = merge(nested, value)
    return nested


def read_merged_sources() -> dict[str, Any]:
    """Return every configured source's settings, the strongest place winning key by key."""
    settings = merge(read_toml_sources("config.toml"), read_toml_sources("secrets.toml"))
    return dict(merge(settings, read_env_sources(os.environ)))


def dlt_secret(source: str, *path: str) -> str | None:
    """Ask dlt's own providers (mounted secrets, vaults) for one credential of a source."""
    import dlt

    value: Any = dlt.secrets.get(".".join(("sources", source, *path)))
    return None if value is None else str(value)
