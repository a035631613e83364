"""dbt's artifacts, as JSON: what ran, what came of it, and what the project says about each node.

Only the files are read, never dbt's internals. Artifacts are those of
https://docs.getdbt.com/reference/artifacts/dbt-artifacts, run_results version 6 and manifest version 12.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUN_RESULTS_SCHEMA = "https://schemas.getdbt.com/dbt/run-results/v6.json"
MANIFEST_SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v12.json"


class ArtifactError(Exception):
    """Raised when an artifact is of a version that is not understood, or two of them do not belong together."""


@dataclass(frozen=True)
class NodeResult:
    """What came of one node.

    Attributes:
        status: dbt's word: success, error, skipped, pass, fail, warn.
        failures: Rows that a test returned; None for others.
        attached_node: Unique id of the model that a test is attached to.
        meta: The node's `config.meta`.
        duration_s: Seconds that it took.
    """

    unique_id: str
    name: str
    resource_type: str
    status: str
    message: str | None
    failures: int | None
    attached_node: str | None
    meta: Mapping[str, Any]
    duration_s: float

    @property
    def is_test(self) -> bool:
        """Whether the node is a data test."""
        return self.resource_type == "test"


@dataclass(frozen=True)
class Invocation:
    """One dbt invocation.

    Attributes:
        nodes: The manifest's nodes by unique id.
        results: What came of each selected node, in the order of execution.
    """

    nodes: Mapping[str, Any] = field(repr=False)
    results: tuple[NodeResult, ...]

    @property
    def tests(self) -> tuple[NodeResult, ...]:
        """The data tests among the results."""
        return tuple(result for result in self.results if result.is_test)


def read_invocation(target_path: Path) -> Invocation | None:
    """Read the artifacts of a target folder; None when there are no run results.

    The manifest may be older than the results: the project is parsed once and run several times.

    Raises:
        ArtifactError: An artifact's schema version is not the one this reads, or a result is of a node that the
            manifest does not know.
    """
    run_results_path = target_path / "run_results.json"
    if not run_results_path.exists():
        return None
    run_results = _load(run_results_path, RUN_RESULTS_SCHEMA)
    manifest = _load(target_path / "manifest.json", MANIFEST_SCHEMA)
    nodes = {**manifest["nodes"], **manifest["exposures"], **manifest["unit_tests"]}
    strangers = [raw["unique_id"] for raw in run_results["results"] if raw["unique_id"] not in nodes]
    if strangers:
        raise ArtifactError(f"{target_path}: the manifest does not know {', '.join(strangers)}")
    return Invocation(
        nodes=nodes,
        results=tuple(_result(raw, nodes[raw["unique_id"]]) for raw in run_results["results"]),
    )


def _load(path: Path, schema: str) -> dict[str, Any]:
    try:
        artifact: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = artifact["metadata"]["dbt_schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} can't be read as a dbt artifact: {error}") from error
    if version != schema:
        raise ArtifactError(f"{path} is of schema {version}; this release reads {schema}")
    return artifact


def _result(raw: Mapping[str, Any], node: Mapping[str, Any]) -> NodeResult:
    return NodeResult(
        unique_id=raw["unique_id"],
        name=node["name"],
        resource_type=raw["unique_id"].split(".", 1)[0],
        status=raw["status"],
        message=raw.get("message"),
        failures=raw.get("failures"),
        attached_node=node.get("attached_node"),
        meta=node.get("config", {}).get("meta") or {},
        duration_s=raw["execution_time"],
    )


def published_tables(nodes: Mapping[str, Any]) -> list[str]:
    """Tables that the publish replaces a day of, as `schema.table`: the models materialized as day_partition."""
    return sorted(
        f"{node['schema']}.{node['alias']}"
        for node in nodes.values()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "day_partition"
    )
