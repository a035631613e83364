"""A source that is not there is refused before anything else, whatever the day's state is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from end_to_end.helpers import GOLDEN_DAY, Run, orchestrate

from sandbox.process import running_sandbox


@pytest.fixture
def complete(golden: Run, tmp_path: Path) -> Path:
    """A folder whose golden day is complete."""
    shutil.copy(golden.folder / "warehouse.duckdb", tmp_path)
    return tmp_path


def test_an_unknown_source_of_a_complete_day_is_a_usage_error(complete: Path) -> None:
    before = sorted(complete.iterdir())
    run = orchestrate(complete, "--date", GOLDEN_DAY, "--source-filter", "foo")
    assert run.exit_code == 2, run.errors
    assert "source 'foo' is unknown. Configured: s3, postgres, api. Try: --source-filter s3" in run.errors
    assert sorted(complete.iterdir()) == before


def test_an_unknown_source_is_a_usage_error_where_sources_are_configured(complete: Path) -> None:
    with running_sandbox(GOLDEN_DAY, 0.01) as env:
        run = orchestrate(complete, "--date", GOLDEN_DAY, "--source-filter", "foo", env=env)
    assert run.exit_code == 2, run.errors
    assert "source 'foo' is unknown. Configured: " in run.errors


@pytest.mark.parametrize("arguments", [("--from", GOLDEN_DAY, "--to", GOLDEN_DAY), ("--date", "2025-11-20", "--force")])
def test_an_unknown_source_is_a_usage_error_in_every_way_to_run(folder: Path, arguments: tuple[str, ...]) -> None:
    run = orchestrate(folder, *arguments, "--source-filter", "foo")
    assert run.exit_code == 2, run.errors
    assert "source 'foo' is unknown. Configured: s3, postgres, api." in run.errors
    assert not list(folder.iterdir())


def test_a_known_source_of_a_complete_day_has_nothing_to_do(complete: Path) -> None:
    run = orchestrate(complete, "--date", GOLDEN_DAY, "--source-filter", "API")
    assert run.exit_code == 0, run.errors
    assert "complete" in run.errors
