"""Artifacts that dbt wrote in a run of the golden day, cut down to what is read of them.

Recorded anew after a run in an empty folder: python tests/python/supervisor/recorded.py runs/<run_id>/dbt
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ARTIFACTS = Path(__file__).parent / "judge" / "artifacts"
INVOCATIONS = ("1-transform", "2-test")


def cut_down(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the two artifacts of an invocation by file name; a key that dbt no longer writes is a KeyError."""
    results, manifest = (json.loads((folder / f"{name}.json").read_text()) for name in ("run_results", "manifest"))
    return {
        "run_results.json": {
            "metadata": _only(results["metadata"], "dbt_schema_version", "invocation_id"),
            "elapsed_time": results["elapsed_time"],
            "results": [
                _only(result, "unique_id", "status", "message", "failures", "execution_time")
                for result in results["results"]
            ],
        },
        "manifest.json": {
            "metadata": _only(manifest["metadata"], "dbt_schema_version"),
            "nodes": {
                key: _node(node)
                for key, node in manifest["nodes"].items()
                if key in {result["unique_id"] for result in results["results"]}
            },
            "exposures": {key: _only(node, "name", "resource_type") for key, node in manifest["exposures"].items()},
            "unit_tests": {},
        },
    }


def keys_of(artifacts: Mapping[str, Mapping[str, Any]]) -> set[tuple[str, ...]]:
    """Return every key with what lies below it and the type of its value; names of nodes and columns are one."""

    def walk(value: Any, path: tuple[str, ...]) -> set[tuple[str, ...]]:
        if isinstance(value, list):
            return {found for item in value for found in walk(item, (*path, "[]"))}
        if not isinstance(value, dict):
            return {(*path, type(value).__name__)}
        named = path[-1:] in {("nodes",), ("columns",), ("exposures",)}
        # what a project writes into its meta is its own
        items = value.items() if path[-1:] != ("meta",) else ()
        return {found for key, item in items for found in walk(item, (*path, "*" if named else key))}

    return walk(dict(artifacts), ())


def recorded(invocation: str) -> dict[str, dict[str, Any]]:
    """Return the recorded artifacts of an invocation by file name."""
    return {path.name: json.loads(path.read_text()) for path in (ARTIFACTS / invocation).iterdir()}


def _only(values: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: values[key] for key in keys}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    kept = _only(node, "name", "resource_type", "schema", "alias")
    kept["config"] = _only(node["config"], "meta", "materialized")
    if node["resource_type"] == "test":
        return {**kept, **_only(node, "attached_node")} if "attached_node" in node else kept
    if node["resource_type"] == "model":
        kept["depends_on"] = _only(node["depends_on"], "nodes")
    return {**kept, "columns": {name: _column(column) for name, column in node["columns"].items()}}


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    return {**_only(column, "data_type"), "config": _only(column["config"], "meta")}


if __name__ == "__main__":
    for invocation in INVOCATIONS:
        (ARTIFACTS / invocation).mkdir(parents=True, exist_ok=True)
        for name, content in cut_down(Path(sys.argv[1]) / invocation).items():
            (ARTIFACTS / invocation / name).write_text(json.dumps(content, sort_keys=True) + "\n")
