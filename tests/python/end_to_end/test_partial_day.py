"""A source that stays away: the others are published, and the printed command completes the day."""

from __future__ import annotations

import shlex
from pathlib import Path

from end_to_end.helpers import Run, copy_of, events_csv, orchestrate, rows


def test_the_day_is_published_without_the_api(partial: Run) -> None:
    assert partial.exit_code == 3, partial.errors
    summary = partial.summary
    assert summary["status"] == "PARTIAL"
    assert summary["published"] == 318_500
    assert summary["sources"]["api"]["status"] == "failed"
    assert summary["sources"]["api"]["tries"] == 3
    assert rows(partial.folder, "select count(*) from analytics.events") == [(318_500,)]


def test_three_tries_with_two_and_four_seconds_between_are_decided_and_said(partial: Run) -> None:
    retries = [d["decision"] for d in partial.summary["decisions"] if d["decision"].startswith("retry")]
    assert retries == ["retry in 2 s", "retry in 4 s"]
    assert "Attempt 3" in partial.errors


def test_the_repair_command_completes_the_day_with_the_rows_of_a_day_that_never_failed(
    partial: Run, golden: Run, tmp_path: Path
) -> None:
    command = partial.summary["repair_command"]
    assert command == "python orchestrate.py --date 2025-11-16 --source-filter api"
    assert command in partial.errors
    folder = copy_of(partial, tmp_path / "repaired")
    repaired = orchestrate(folder, *shlex.split(command)[2:], "--json", env={"SANDBOX_FAULTS": "none"})
    assert repaired.exit_code == 0, repaired.errors
    assert repaired.summary["published"] == 333_100
    assert repaired.summary["sources"]["s3"]["run_id"] == partial.summary["run_id"]
    assert events_csv(folder) == events_csv(golden.folder)
