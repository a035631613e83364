"""Read the configured sources from dlt's own configuration places, strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from loaders.errors import ConfigurationError
from loaders.kinds import MODULES
from loaders.providers import read_merged_sources, read_toml_sources
from loaders.redact import register_secrets

if TYPE_CHECKING:
    from loaders.contract import Contract
    from loaders.sources import Source


def configured_source_names() -> list[str]:
    """Return the names of all configured sources, by kind as in `MODULES` and then by name, without importing dlt.

    Raises:
        ConfigurationError: When a settings file is not valid TOML.
    """
    kinds: dict[str, str] = {}
    for name, settings in read_merged_sources().items():
        kinds[name.lower()] = str(settings.get("kind")) if isinstance(settings, dict) else ""
    order = [*MODULES, *kinds.values()]
    return sorted(kinds, key=lambda name: (order.index(kinds[name]), name))


def configured_tables() -> list[tuple[str, str]]:
    """Return the raw tables that the configured sources fill, as (source, table), without importing dlt.

    Raises:
        ConfigurationError: When a settings file is not valid TOML.
    """
    found = []
    for name, settings in sorted(read_merged_sources().items()):
        if not isinstance(settings, dict):
            continue
        for section in ("tables", "endpoints"):
            parts = settings.get(section)
            for key, part in parts.items() if isinstance(parts, dict) else ():
                named = part.get("table", key) if section == "endpoints" and isinstance(part, dict) else key
                found.append((name.lower(), str(named)))
        if not any(isinstance(settings.get(section), dict) for section in ("tables", "endpoints")):
            found.append((name.lower(), str(settings.get("table", "events"))))
    return list(dict.fromkeys(found))


def read_sources(names: Iterable[str] = ()) -> tuple[Source, ...]:
    """Read the sources of the given names, or all of them, checking every key.

    Args:
        names: Names of sources; none means all that are configured.

    Raises:
        ConfigurationError: Naming the key, its value and what to do next.
    """
    settings = read_merged_sources()
    for wanted in names:
        if wanted not in settings:
            known = ", ".join(sorted(settings)) or "none"
            raise ConfigurationError(
                f"source {wanted!r} is not configured. Known: {known}. "
                f"Add [sources.{wanted}] to .dlt/config.toml or correct the name."
            )
    if not settings:
        raise ConfigurationError(
            "no sources are configured. Add a [sources.<name>] table to .dlt/config.toml; "
            "the file shows an example of each kind."
        )
    register_secrets(_secret_values(settings), public=(*settings, *MODULES))
    # a key may have to go into the parameters; then it is in secrets.toml
    register_secrets(_parameters(read_toml_sources("secrets.toml")))
    chosen = list(dict.fromkeys(names)) or sorted(settings)
    return tuple(_read_source(name, settings[name]) for name in chosen)


def read_contracts(names: Iterable[str]) -> dict[str, Contract]:
    """Read what the columns of these sources may do: `schema_contract` and `required_columns` of each.

    Raises:
        ConfigurationError: Naming the key, its value and what to do next.
    """
    from loaders.kinds.contract import read_contract

    merged = read_merged_sources()
    return {name: read_contract(merged[name], f"sources.{name}") for name in names}


def _secret_values(node: Any, secret: bool = False) -> Iterable[str]:
    """Yield every text below a `credentials` or `auth` key that is not plainly public."""
    public = {"host", "port", "database", "username", "drivername", "region_name", "type"}
    public |= {"endpoint_url", "location", "name", "profile_name", "query", "access_token_url"}
    if isinstance(node, Mapping):
        for key, value in node.items():
            hidden = (secret and key not in public) or key in ("credentials", "auth", "headers")
            yield from _secret_values(value, hidden)
    elif secret and isinstance(node, str):
        # of a connection string only the password is secret; up to the last @, since readers of URLs disagree
        address = re.match(r"[\w+.-]+://(?:[^:@/]*:(.*)@)?", node, re.DOTALL)
        password = (address[1] or "") if address else node
        yield from {password, unquote(password)}


def _parameters(node: Any, inside: bool = False) -> Iterable[str]:
    """Yield every value below a `params` key."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _parameters(value, inside or key == "params")
    elif inside:
        yield str(node)


def _read_source(name: str, values: Any) -> Source:
    # not above: the names of the sources are needed without pydantic
    from loaders.fields import CONTRACT_KEYS, NAME, env_name
    from loaders.kinds.contract import read_contract

    where = f"sources.{name}"
    if not NAME.fullmatch(name):
        raise ConfigurationError(
            f"[{where}]: {name!r} is not a source name. Use lower-case letters, digits and "
            "underscores, beginning with a letter."
        )
    if not isinstance(values, dict):
        raise ConfigurationError(f"{where} = {values!r} must be a table with a kind.")
    kind = values.get("kind")
    if not kind:
        raise ConfigurationError(
            f"{where}.kind is missing. Set it to one of: {', '.join(MODULES)} "
            f"(in .dlt/config.toml or as {env_name(f'{where}.kind')})."
        )
    if kind not in MODULES:
        raise ConfigurationError(f"{where}.kind = {kind!r} is not one of: {', '.join(MODULES)}.")
    # a mistake in it is one in the source, also where nobody asks for the contract
    read_contract(values, where)
    own = {key: value for key, value in values.items() if key not in CONTRACT_KEYS}
    source: Source = import_module(MODULES[kind]).read(name, own, where)
    return source
