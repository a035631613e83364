"""Artifacts that dbt really wrote are read; what is of another version or does not belong together is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from end_to_end.helpers import Run

from supervisor.dbt.artifacts import ArtifactError, published_tables, read_invocation
from supervisor.dbt.entities import declared_entities


@pytest.fixture
def written(golden: Run, tmp_path: Path) -> Path:
    """A copy of the artifacts of the golden day's tests."""
    folder = golden.folder / "runs" / golden.summary["run_id"] / "dbt" / "2-test"
    for name in ("run_results.json", "manifest.json"):
        shutil.copy(folder / name, tmp_path)
    return tmp_path


def change(folder: Path, name: str, how: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / name).read_text())
    how(content)
    (folder / name).write_text(json.dumps(content))


def test_the_tests_of_a_day_are_read_with_what_the_project_says_of_them(written: Path) -> None:
    invocation = read_invocation(written)
    assert invocation is not None
    assert {test.status for test in invocation.tests} <= {"pass", "warn"}
    assert all(test.failures is not None for test in invocation.tests)
    assert "model.goalkeeper.int_quality_scores" in {test.attached_node for test in invocation.tests}
    assert {test.meta["dimension"] for test in invocation.tests if test.meta} >= {"completeness", "accuracy"}
    assert "analytics.events" in published_tables(invocation.nodes)
    (events,) = declared_entities(invocation.nodes).values()
    assert sum(events.conversions.values()) == 12
    assert events.required == ("user_id", "event_type", "timestamp", "amount")
    assert (events.holds["accuracy"], events.outliers) == ("is_in_range", {"amount": "event_type"})


def test_no_results_are_none_and_not_those_of_another_invocation(tmp_path: Path) -> None:
    assert read_invocation(tmp_path) is None


@pytest.mark.parametrize("name", ["run_results.json", "manifest.json"])
def test_another_schema_version_is_refused(written: Path, name: str) -> None:
    change(written, name, lambda content: content["metadata"].update(dbt_schema_version="https://x/v99.json"))
    with pytest.raises(ArtifactError, match=f"{name} is of schema https://x/v99.json; this release reads "):
        read_invocation(written)


def test_a_result_that_the_manifest_does_not_know_is_refused(written: Path) -> None:
    change(written, "manifest.json", lambda content: content["nodes"].clear())
    with pytest.raises(ArtifactError, match="the manifest does not know "):
        read_invocation(written)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metadata": {}}'])
def test_a_torn_artifact_is_refused(written: Path, text: str) -> None:
    (written / "run_results.json").write_text(text)
    with pytest.raises(ArtifactError, match="can't be read as a dbt artifact"):
        read_invocation(written)
