"""What must never be said: the secrets that this process knows of, so that every text can be cleared of them."""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from loaders.providers import settings_folders
from loaders.redact import redact, register_secrets

__all__ = ["read_secrets", "redact", "register_known_secrets"]

_SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|access_key|credential|private_key|auth|alerts)")
_PLAIN = re.compile(
    r"(?i)(host|port|database|db|username|user|drivername|region_name|endpoint_url|bucket_url|type|query)$"
)
# words that are set as a password where there is none; hiding them would only deface texts
_PUBLIC = ("password", "postgres", "goalkeeper", "warehouse", "true", "false", "test")


def read_secrets() -> dict[str, Any]:
    """Return the content of dlt's `secrets.toml`, the project's over the global one; what can't be read is empty."""
    merged: dict[str, Any] = {}
    for folder in settings_folders():
        with contextlib.suppress(OSError, ValueError):
            merged.update(tomllib.loads((folder / "secrets.toml").read_text(encoding="utf-8")))
    return merged


def register_known_secrets(more: Iterable[str] = ()) -> None:
    """Make `redact` hide what the environment and `secrets.toml` hold under names of secrets, and more values."""
    named = [*os.environ.items(), *_leaves(read_secrets(), "secret")]
    values = [value for name, value in named if _SECRET.search(name) and not _PLAIN.search(name)]
    register_secrets([part for value in (*values, *more) for part in _parts(value)], public=_PUBLIC)


def _leaves(node: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{name}__{key}")
    elif isinstance(node, str):
        yield name, node


def _parts(value: str) -> list[str]:
    """A secret as a whole; of addresses the passwords and the tokens that stand in their paths."""
    if "://" not in value:
        return [value]
    parts = []
    for address in value.split():
        with contextlib.suppress(ValueError):
            split = urlsplit(address)
            parts += [unquote(split.password or ""), *(word for word in split.path.split("/") if len(word) >= 8)]
    return parts
