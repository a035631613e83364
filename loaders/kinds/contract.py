"""The keys that a source of every kind may have: what its columns may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.dataclasses import dataclass as settings_dataclass

from loaders.contract import Contract, Mode
from loaders.fields import CONTRACT_KEYS, SETTINGS, Texts, settings


@settings_dataclass(frozen=True, config=SETTINGS)
class ContractSettings:
    """The keys as they are written; see `loaders.contract.Contract`."""

    schema_contract: Mode = "evolve"
    required_columns: Texts = ()


def read_contract(values: Mapping[str, Any], where: str) -> Contract:
    """Return what a source's columns may do, from its section.

    Raises:
        ConfigurationError: Naming the key, its value and what to do next.
    """
    read = settings(ContractSettings, {key: values[key] for key in CONTRACT_KEYS if key in values}, where)
    return Contract(read.schema_contract, read.required_columns)
