"""The entities that a project declares in the contracts of its marts, as far as Python has to know them.

What a declaration means for the data is dbt's (macros/entities); here are names to show and tables to publish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_STANDARD = frozenset(
    {"source", "load_date", "source_object", "source_row", "run_id", "ingested_at"}
    | {"is_late", "is_anomaly", "correction_count"}
)
_TEXT = ("varchar", "text", "string", "char")


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity as its mart declares it.

    Attributes:
        table: The mart, as `schema.table`.
        key: The columns of its key.
        lookback_days: How far back a key that was published makes a record a duplicate; None when each day has its own.
        holds: By dimension, the column that says whether nothing is open in it.
        outliers: Fields whose outliers are marked, each with the field that they are compared within, if any.
        required: Fields whose absence counts against completeness, as people call them.
        conversions: Fields that each feed gives another type than text, by staging model.
    """

    name: str
    table: str
    key: tuple[str, ...]
    lookback_days: int | None
    holds: Mapping[str, str]
    outliers: Mapping[str, str | None]
    required: tuple[str, ...]
    conversions: Mapping[str, int]


def declared_entities(nodes: Mapping[str, Any]) -> dict[str, Entity]:
    """Return the entities of a dbt manifest's nodes by name."""
    found = {}
    for node in nodes.values():
        meta = _meta(node) if node["resource_type"] == "model" else {}
        if "key" in meta:
            found[node["name"]] = _entity(node, meta, nodes)
    return found


def _entity(mart: Mapping[str, Any], meta: Mapping[str, Any], nodes: Mapping[str, Any]) -> Entity:
    fields = {
        name: column
        for name, column in mart["columns"].items()
        if name not in _STANDARD and "holds" not in _meta(column)
    }
    typed = {name for name, column in fields.items() if not str(column["data_type"]).lower().startswith(_TEXT)}
    versions = meta.get("versions", "first")
    keep = versions if isinstance(versions, str) else versions["keep"]
    return Entity(
        name=mart["name"],
        table=f"{mart['schema']}.{mart['alias']}",
        key=tuple(meta["key"]),
        lookback_days=int(meta.get("lookback_days", 30)) if keep == "first" else None,
        holds={_meta(column)["holds"]: name for name, column in mart["columns"].items() if "holds" in _meta(column)},
        outliers={
            name: _meta(column)["outlier"].get("by")
            for name, column in fields.items()
            if "outlier" in _meta(column) and "is_anomaly" in mart["columns"]
        },
        required=tuple(
            str(_meta(column).get("label", name)) for name, column in fields.items() if _is_required(_meta(column))
        ),
        conversions={
            feed["name"]: len(typed & set(feed["columns"])) if feed["columns"] else len(typed)
            for feed in _feeds(mart["name"], fields, nodes)
        },
    )


def _is_required(meta: Mapping[str, Any]) -> bool:
    missing = meta.get("missing")
    return (missing.get("fails") if isinstance(missing, Mapping) else missing) == "flag"


def _feeds(name: str, fields: Mapping[str, Any], nodes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The staging models that an entity's checked records stand on, less those that it refers to."""
    referred = set()
    for column in fields.values():
        references, between = _meta(column).get("references"), _meta(column).get("between")
        if references:
            to = references["to"] if isinstance(references, Mapping) else references
            referred.add(to.split(".")[0])
        if isinstance(between, Mapping) and "from" in between:
            referred.add(between["from"])
    checked = [node for node in nodes.values() if node["name"] == f"int_{name}_checked"]
    upstream = [nodes[unique_id] for node in checked for unique_id in node["depends_on"]["nodes"] if unique_id in nodes]
    return [node for node in upstream if node["resource_type"] == "model" and node["name"] not in referred]


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return (node.get("config") or {}).get("meta") or node.get("meta") or {}
