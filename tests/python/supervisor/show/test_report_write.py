"""A report can be written again at any time, and what a killed run had still to do is done later."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from end_to_end.helpers import GOLDEN_DAY, Run
from supervisor_asks import ask


@pytest.fixture
def day(golden: Run, tmp_path: Path) -> Path:
    """A copy of the golden day that a test may change."""
    shutil.copytree(golden.folder, tmp_path / "day", ignore=shutil.ignore_patterns("dlt"))
    return tmp_path / "day"


def words(page: Path) -> list[str]:
    return re.sub(r"<[^>]+>|20\d\d-\S+|\d+(\.\d+)? (s|MB|GB)", " ", page.read_text(encoding="utf-8")).split()


def test_the_report_of_a_run_is_written_again_from_the_warehouse(golden: Run, tmp_path: Path) -> None:
    shutil.copy(golden.folder / "warehouse.duckdb", tmp_path)
    run_id = golden.summary["run_id"]
    answer = ask(tmp_path, "report", run_id)
    assert answer.exit_code == 0
    page = Path(answer.output.strip())
    assert page.name == f"quality_{run_id}.html"
    text = page.read_text(encoding="utf-8")
    for figure in ("333,100", "5,100", "occurred_at_unparsable", "99.04"):
        assert figure in text
    assert ask(tmp_path, "report", "--date", GOLDEN_DAY, "--output", str(tmp_path / "x.html")).exit_code == 0
    assert (tmp_path / "x.html").read_text(encoding="utf-8") == text


def test_an_unknown_run_or_day_has_no_report(golden: Run) -> None:
    unknown = ask(golden.folder, "report", "20990101_000000")
    assert unknown.exit_code == 2
    assert golden.summary["run_id"] in unknown.errors
    never = ask(golden.folder, "report", "--date", "2025-11-20")
    assert never.exit_code == 2
    assert "python orchestrate.py --date 2025-11-20" in never.errors
    assert ask(golden.folder, "report", "x", "--date", GOLDEN_DAY).exit_code == 2


def test_a_run_killed_between_publish_and_report_is_made_good_by_the_same_command(day: Path, golden: Run) -> None:
    run_id = golden.summary["run_id"]
    page = day / "reports" / f"quality_{run_id}.html"
    archive = day / "archive" / "2025" / "11" / "16"
    before, manifest = words(page), json.loads((archive / "manifest.json").read_text())
    page.unlink()
    (day / "runs" / run_id / "summary.json").unlink()
    # the files as received are still with the run, which has not come to archive them
    shutil.move(archive, day / "runs" / run_id / "landing")
    (day / "runs" / run_id / "landing" / "manifest.json").unlink()
    shutil.rmtree(day / "archive")
    answer = ask(day, "--date", GOLDEN_DAY, "--console", "plain", "--json")
    assert answer.exit_code == 0
    assert answer.data["status"] == "NOTHING_TO_DO"
    assert answer.data["report"] == f"reports/quality_{run_id}.html"
    assert f"The report of run {run_id} was missing" in answer.errors
    assert abs(len(words(page)) - len(before)) < 100
    assert json.loads((archive / "manifest.json").read_text()) == manifest
    again = ask(day, "--date", GOLDEN_DAY, "--console", "plain")
    assert "missing" not in again.errors
    assert "archived" not in again.errors
