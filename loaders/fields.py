"""Typed, strict reading of one configuration section: every key must be known and be used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from loaders.errors import ConfigurationError
from loaders.providers import dlt_secret
from loaders.redact import register_secrets
from loaders.templates import check_template

GIB = 1024**3
MIB = 1024**2

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off", ""}


class Section:
    """A configuration section that hands out typed values and refuses what nobody asked for.

    Args:
        values: The section's keys and values, from toml (typed) or the environment (text).
        where: Its dotted path, for messages, such as `sources.s3`.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = dict(values)
        self.where = where
        self._known: list[str] = []

    def _take(self, key: str) -> Any:
        self._known.append(key)
        value = self._values.get(key)
        return None if value == "" else value

    def _wrong(self, key: str, value: object, wanted: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where}.{key} = {value!r} is not {wanted}. Correct it.")

    def text(self, key: str, default: str | None = None) -> str | None:
        """Return a text, or the default when it is missing or empty."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool | Mapping | list):
            raise self._wrong(key, value, "a text")
        return str(value)

    def required(self, key: str, example: str) -> str:
        """Return a text that must be there; the error shows the example."""
        value = self.text(key)
        if value is None:
            raise ConfigurationError(
                f"{self.where}.{key} is missing. Set it in .dlt/config.toml, for example "
                f'{key} = "{example}", or as {env_name(self.where, key)}.'
            )
        return value

    def template(self, key: str, default: str | None = None) -> str | None:
        """Return a text that may hold `{date:...}` and nothing else in braces."""
        value = self.text(key, default)
        return None if value is None else check_template(value, f"{self.where}.{key}")

    def name(self, key: str, default: str) -> str:
        """Return a lower-case identifier."""
        value = self.text(key, default) or default
        if not NAME.fullmatch(value):
            raise self._wrong(key, value, "a name of lower-case letters, digits and underscores")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a boolean; text forms are true/false, yes/no, on/off, 1/0."""
        value = self._take(key)
        if value is None:
            return default
        text = str(value).strip().lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise self._wrong(key, value, "true or false")

    def number(self, key: str, default: float, least: float) -> float:
        """Return a finite number of at least `least`."""
        value = self._take(key)
        if value is None:
            return default
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise self._wrong(key, value, "a number") from error
        if isinstance(value, bool) or not least <= number < float("inf"):
            raise self._wrong(key, value, f"a number of at least {least:g}")
        return number

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; as text it is a JSON list or separated by commas."""
        value = self._take(key)
        if value is None:
            return ()
        if isinstance(value, str):
            value = self._json(key, value) if value.startswith("[") else value.split(",")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, value, "a list of texts")
        return tuple(item.strip() for item in value)

    def _json(self, key: str, value: str) -> Any:
        try:
            return json.loads(value)
        except ValueError as error:
            raise self._wrong(key, value, "valid JSON") from error

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a free-form table; as text it is a JSON object."""
        value = self._take(key)
        if value is None:
            return {}
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = self._json(key, value)
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table")
        return value

    def section(self, key: str) -> Section:
        """Return a sub-section, empty when it is missing."""
        return Section(self.mapping(key), f"{self.where}.{key}")

    def raw(self, key: str) -> Any:
        """Return whatever was given, for keys that take several forms."""
        return self._take(key)

    def keys(self) -> Iterable[str]:
        """Return the keys that were given."""
        return self._values.keys()

    def done(self) -> None:
        """Refuse keys that no reader asked for.

        Raises:
            ConfigurationError: Naming the first unknown key and the known ones.
        """
        for key in self._values:
            if key not in self._known:
                raise ConfigurationError(
                    f"{self.where}.{key} is not a known key. Known here: "
                    f"{', '.join(sorted(set(self._known)))}. Correct or remove it."
                )


def env_name(where: str, key: str) -> str:
    """Return the environment variable of a dotted configuration path."""
    return f"{where}.{key}".replace(".", "__").upper()


def secret(name: str, key: str, section: Section) -> str:
    """Return a credential from the section or from dlt's own providers; the error says where to put it."""
    value = section.text(key) or dlt_secret(name, section.where.rpartition(".")[2], key)
    if value is None:
        raise ConfigurationError(
            f"{section.where}.{key} is missing. Put it into .dlt/secrets.toml "
            f"(see .dlt/example.secrets.toml) or set {env_name(section.where, key)}."
        )
    register_secrets([value])
    return value
