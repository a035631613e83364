"""`explain` tells a run's story, from its folder and from the warehouse alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from end_to_end.helpers import Run
from recorded_days import leave_folder
from supervisor_asks import ask


def test_the_story_has_what_was_seen_decided_and_changed_in_order(golden: Run) -> None:
    run_id = golden.summary["run_id"]
    answer = ask(golden.folder, "explain", run_id)
    assert answer.exit_code == 0
    parts = [
        f"Run {run_id}, day 2025-11-16",
        "SUCCESS: the day was published (exit code 0)",
        "Timeout",
        "retry in 2 s",
        "test nothing_left_to_correct_in_tier_1 warned: 1,200 rows",
        "cleanse: rules of tier 1 can correct 1,200 records",
        "analytics.events: 2025-11-16 replaced, 333,100 rows",
        "Evidence",
        "run_results.json",
        "python orchestrate.py quarantine list --date 2025-11-16",
    ]
    places = [answer.output.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)


def test_the_newest_run_is_meant_when_none_is_named(golden: Run) -> None:
    assert ask(golden.folder, "explain", "--json").data["run_id"] == golden.summary["run_id"]


def test_a_partial_run_names_the_cause_and_the_repair(tmp_path: Path) -> None:
    summary = leave_folder(tmp_path, "partial")
    answer = ask(tmp_path, "explain", summary.run_id)
    assert "PARTIAL: the day was published, and a source is missing or incomplete (exit code 3)" in answer.output
    assert "no page after 3 tries and one at the fallback endpoint" in " ".join(answer.output.split())
    assert str(summary.repair_command) in answer.output
    assert ask(tmp_path, "explain", "--json").data["summary"] == summary.as_dict()


def test_an_escalated_run_says_why_first_and_what_to_do_last(tmp_path: Path) -> None:
    summary = leave_folder(tmp_path, "escalated")
    output = " ".join(ask(tmp_path, "explain", summary.run_id).output.split())
    parts = [
        "ESCALATED: nothing was published (exit code 4)",
        "Why (phase validate)",
        "s3: 760 records, occurred_at_unparsable",
        "Not met: Data transformed to target schema with < 1% transformation failure rate: measured 1.5%, threshold < 1%",
        "Held back",
        "nothing that readers see",
        "See what the rejected records have in common",
    ]
    places = [output.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)


def test_a_limit_that_was_missed_is_told_beside_the_success(tmp_path: Path) -> None:
    summary = leave_folder(tmp_path, "golden", exit_code=3)
    answer = ask(tmp_path, "explain", summary.run_id)
    assert "SUCCESS: the day was published, and a limit was missed (exit code 3)" in answer.output


def test_the_warehouse_remembers_a_run_whose_folder_is_gone(golden: Run, tmp_path: Path) -> None:
    shutil.copy(golden.folder / "warehouse.duckdb", tmp_path)
    here = ask(golden.folder, "explain", golden.summary["run_id"], "--json").data
    there = ask(tmp_path, "explain", golden.summary["run_id"], "--json").data
    assert there["found_in"] == "warehouse"
    assert there["tests"] == []
    assert "gone" in there["notes"][0]
    for key in ("phase", "observed", "decision", "outcome"):
        assert [one[key] for one in there["decisions"]] == [one[key] for one in here["decisions"]]
    assert there["rejections"] == here["rejections"]
    assert there["summary"]["published"] == 333_100


def test_a_run_that_never_ended_is_told_as_far_as_it_got(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "20260101_020000"
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(
        json.dumps({"date": "2025-11-16", "target": "duckdb", "started_at": "2026-01-01T02:00:00+00:00"})
    )
    decision = {
        "phase": "collect",
        "observed": "a timeout",
        "decision": "retry in 2 s",
        "outcome": "-",
        "at": "2026-01-01T02:00:05+00:00",
    }
    (folder / "decisions.jsonl").write_text(json.dumps(decision) + "\n" + '{"phase": "coll')
    answer = ask(tmp_path, "explain", "20260101_020000")
    assert answer.exit_code == 0
    assert "NOT ENDED" in answer.output
    assert "a timeout" in answer.output
    assert "python orchestrate.py --date 2025-11-16" in answer.output


@pytest.mark.parametrize("wrong", ["20261116_020000", "../../etc/passwd", "x' or '1'='1", ""])
def test_an_unknown_run_is_answered_with_the_nearest(tmp_path: Path, wrong: str) -> None:
    known = leave_folder(tmp_path, "golden")
    answer = ask(tmp_path, "explain", wrong)
    assert answer.exit_code == 2
    assert f"run '{wrong}' is unknown" in answer.errors
    assert known.run_id in answer.errors


def test_without_any_run_it_says_so(tmp_path: Path) -> None:
    answer = ask(tmp_path, "explain", "20261116_020000")
    assert answer.exit_code == 2
    assert "no run is recorded here" in answer.errors
