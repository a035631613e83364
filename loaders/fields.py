"""Types of settings, and what a mistake in them is called: pydantic reads a source's section into its dataclass."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError

from loaders.errors import ConfigurationError
from loaders.providers import dlt_secret
from loaders.redact import register_secrets
from loaders.templates import check_template

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
SETTINGS = ConfigDict(extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False)
_WANTED = {
    "bool": "true or false",
    "float": "a number",
    "finite": "a number",
    "int": "a whole number",
    "string": "a text",
    "tuple": "a list of texts",
}
T = TypeVar("T")


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"= {value!r} is not a name of lower-case letters, digits and underscores.")
    return value


def _texts(value: Any) -> Any:
    """Return a list, which as text is a JSON list or separated by commas."""
    if not isinstance(value, str):
        return value
    if not value.startswith("["):
        return [item.strip() for item in value.split(",")]
    try:
        return json.loads(value)
    except ValueError:
        # as it is, it is no list
        return value


Name = Annotated[str, AfterValidator(_name)]
Template = Annotated[str, AfterValidator(check_template)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
# to pydantic true is also 1
_Number = BeforeValidator(lambda value: str(value) if isinstance(value, bool) else value)
Seconds = Annotated[float, _Number, Field(ge=0.1)]
Count = Annotated[int, _Number, Field(ge=1)]
Days = Annotated[int, _Number, Field(ge=0)]


def check_window(cursor: str | None, late_days: int, reference: bool) -> None:
    """Raise `ValueError` when what says which records are of the day can't hold together."""
    if reference and cursor:
        raise ValueError(
            f"cursor = {cursor!r} takes the day's records, and a reference table has none. Remove cursor or reference."
        )
    if late_days and not cursor:
        raise ValueError(
            f"late_days = {late_days} needs a cursor: the field that says of which day a record is. Add cursor."
        )


CONTRACT_KEYS = ("schema_contract", "required_columns")
"""Keys that a source of every kind may have; `loaders.kinds.contract` reads them."""


def as_table(value: Any, where: str) -> dict[str, Any]:
    """Return a table, which as text is a JSON object.

    Raises:
        ConfigurationError: When it is no table.
    """
    try:
        found = json.loads(value) if isinstance(value, str) else value or {}
    except ValueError:
        found = None
    if not isinstance(found, Mapping):
        # its value may be a credential
        raise ConfigurationError(f"{where} is not a table. Correct it.")
    return dict(found)


def sections(value: Any, where: str) -> dict[str, dict[str, Any]]:
    """Return the sections of a source's raw tables by name, in its order.

    Raises:
        ConfigurationError: When one is no table, or its name is none for the warehouse.
    """
    found = as_table(value, where)
    for name in found:
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"[{where}.{name}]: {name!r} is not a table name for the warehouse. Use lower-case "
                "letters, digits and underscores; the source's own name goes into the section."
            )
    return {name: as_table(found[name], f"{where}.{name}") for name in sorted(found)}


def settings(model: type[T], values: Mapping[str, Any], where: str, also: Iterable[str] = (), **read: Any) -> T:
    """Return a dataclass made of a configuration section.

    Args:
        model: A pydantic dataclass with the configuration `SETTINGS`; its `name` is no key.
        values: The section's keys and values, from toml (typed) or the environment (text).
        where: Its dotted path, for messages, such as `sources.s3`.
        also: Keys that may stand here too, and that somebody else reads.
        read: What was read of it already, or is no key.

    Raises:
        ConfigurationError: Naming the key, its value and what to do next.
    """
    traits = {field.name: field for field in fields(model) if field.name != "name"}  # type: ignore[arg-type]
    known = sorted({*traits, *also, *(["kind", *CONTRACT_KEYS] if hasattr(model, "kind") else [])})
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            text = f"{where}.{key} is not a known key.{hint} Known here: {', '.join(known)}. Correct or remove it."
            raise ConfigurationError(text)
    # what is set to nothing is not set
    given = {key: value for key, value in values.items() if value != "" and key in traits}
    try:
        return model(**{**given, **read})
    except ValidationError as failed:
        mistake = failed.errors(include_url=False)[0]
    # outside of the handler: the values that pydantic's error shows may be secret
    key = str(mistake["loc"][0]) if mistake["loc"] else ""
    place = ".".join(map(str, (where, *mistake["loc"])))
    limits = mistake.get("ctx", {})
    if mistake["type"] == "missing":
        example = (model.__pydantic_fields__[key].examples or ["..."])[0]  # type: ignore[attr-defined]
        raise ConfigurationError(
            f'{place} is missing. Set it in .dlt/config.toml, for example {key} = "{example}", or as {env_name(place)}.'
        )
    if mistake["type"] == "value_error":
        raise ConfigurationError(f"{place}{' ' if key else '.'}{limits['error']}")
    if mistake["type"] == "literal_error":
        wanted = f"one of: {limits['expected']}"
    elif "ge" in limits or "le" in limits:
        bound = f"least {limits['ge']:g}" if "ge" in limits else f"most {limits['le']}"
        wanted = f"a number of at {bound}"
    elif limits.get("max_length") == 1:
        wanted = "one character"
    else:
        wanted = _WANTED.get(mistake["type"].partition("_")[0]) or f"right: {mistake['msg']}"
    shown = repr(mistake["input"]) if key in traits and traits[key].repr else "***"
    raise ConfigurationError(f"{place} = {shown} is not {wanted}. Correct it.")


def env_name(path: str) -> str:
    """Return the environment variable of a dotted configuration path."""
    return path.replace(".", "__").upper()


def secret(key: str, values: Mapping[str, Any], where: str) -> str:
    """Return a credential from the section or from dlt's own providers; the error says where to put it."""
    value = values.get(key) or dlt_secret(*where.split(".")[1:], key)
    if value is None:
        raise ConfigurationError(
            f"{where}.{key} is missing. Put it into .dlt/secrets.toml "
            f"(see .dlt/example.secrets.toml) or set {env_name(f'{where}.{key}')}."
        )
    register_secrets([str(value)])
    return str(value)
