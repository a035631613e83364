"""How a command can end is one table: what is added to it shows up wherever people look, without another change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from end_to_end.helpers import PROJECT

from supervisor.common.outcome import PUBLISHED_CODES, PUBLISHED_STATUSES, Outcome, exit_code_lines

NEW_LINES = """\
    STALE = "STALE", 6, True, "warning", "published from old data", "STALE", "a source was old", "Published, stale", "Old."
    EXPIRED = "EXPIRED", 7, False, "failed", "too late", "EXPIRED", "it came too late", "Not published, expired", "None."
"""
SHOW = """
import io, json
from datetime import date
from recorded_days import recorded
from supervisor.commands.explain import Explanation, show_explanation
from supervisor.commands.status import Status, judge_day, show_status
from supervisor.record.history import DayHistory
from supervisor.show.alerts import alert_for
from supervisor.show.closing import closing_of
from supervisor.show.report.data import ReportData
from supervisor.show.report.page import render_report
from supervisor.show.terminal import Terminal

def shown(status, code):
    summary = recorded("golden", status=status, exit_code=code, phases={})
    alert = alert_for(summary, None)
    explained, listed = io.StringIO(), io.StringIO()
    show_explanation(Explanation(summary.run_id, "", summary, {}, []), "duckdb", Terminal(explained))
    published = summary if summary.has_published else None
    day = judge_day(summary.date, DayHistory(published, summary, tuple(summary.sources)), (), {}, None, "duckdb")
    show_status(Status("duckdb", "w", (day,)), Terminal(listed))
    return {
        "alert": [alert.kind, alert.mark, alert.title], "explain": explained.getvalue(), "status": listed.getvalue(),
        "state": day.state, "published": day.published, "next": day.next_command,
        "closing": closing_of(summary).headline, "report": render_report(ReportData(summary)),
    }

print(json.dumps({status: shown(status, code) for status, code in (("STALE", 6), ("EXPIRED", 7))}))
"""


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project whose table has two lines more: one that publishes the day, and one that does not."""
    copy = tmp_path_factory.mktemp("extended")
    for name in ("supervisor", "tests", "docs", "README.md", "CONTRIBUTING.md", "orchestrate.py", "pyproject.toml"):
        path = PROJECT / name
        if path.is_dir():
            shutil.copytree(path, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, copy)
    for name in ("loaders", "sandbox"):
        (copy / name).symlink_to(PROJECT / name)
    table = copy / "supervisor" / "common" / "outcome.py"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("    @classmethod\n    def of(", NEW_LINES + "\n    @classmethod\n    def of(", 1))
    return copy


@pytest.fixture(scope="module")
def shown(extended: Path) -> dict[str, dict[str, Any]]:
    """What the copy shows of a run that ended in each of the new ways."""
    done = python(extended, "-c", SHOW)
    assert done.returncode == 0, done.stderr
    content: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return content


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [folder, folder / "tests" / "python", folder / "tests" / "python" / "supervisor"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def docs_check(folder: Path) -> subprocess.CompletedProcess[str]:
    test = "tests/python/test_docs.py::test_the_readme_and_the_docs_name_every_way_to_end"
    return python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test)


def test_the_help_names_a_new_line(extended: Path) -> None:
    text = python(extended, "orchestrate.py", "--help").stdout
    assert "  6  published from old data\n" in text
    assert "  7  too late\n" in text


def test_the_docs_check_asks_for_a_new_line_and_is_content_once_it_is_there(extended: Path) -> None:
    missing = docs_check(extended)
    assert missing.returncode == 1
    assert "6" in missing.stdout
    for path, old, new in (
        (extended / "README.md", "1 unexpected.", "1 unexpected, 6 old data, 7 too late."),
        (extended / "docs" / "operations.md", "| 130, 143 |", "| 6 | old | |\n| 7 | late | |\n| 130, 143 |"),
        (extended / "docs" / "summary.md", "`ESCALATED`, ", "`ESCALATED`, `STALE`, `EXPIRED`, "),
    ):
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    content = docs_check(extended)
    assert content.returncode == 0, content.stdout


def test_alerts_tell_of_a_new_line(shown: dict[str, dict[str, Any]]) -> None:
    published, unpublished = shown["STALE"]["alert"], shown["EXPIRED"]["alert"]
    assert published == ["partial", "warning", "Goalkeeper ⚠ PARTIAL: 2025-11-16 (duckdb)"]
    assert unpublished == ["expired", "failed", "Goalkeeper ✗ EXPIRED: 2025-11-16 (duckdb)"]


def test_status_shows_a_new_line(shown: dict[str, dict[str, Any]]) -> None:
    published, unpublished = shown["STALE"], shown["EXPIRED"]
    assert (published["state"], published["published"]) == ("stale", 333_100)
    assert published["next"] == "python orchestrate.py --date 2025-11-16"
    assert (unpublished["state"], unpublished["published"]) == ("expired", None)
    assert "explain " in unpublished["next"]
    assert "expired" in unpublished["status"]


def test_explain_and_the_closing_words_tell_a_new_line(shown: dict[str, dict[str, Any]]) -> None:
    assert "STALE: a source was old (exit code 6)" in shown["STALE"]["explain"]
    assert "analytics.events: 2025-11-16 replaced" in shown["STALE"]["explain"]
    assert "EXPIRED: it came too late (exit code 7)" in shown["EXPIRED"]["explain"]
    assert "nothing that readers see" in shown["EXPIRED"]["explain"]
    assert shown["STALE"]["closing"].startswith("Pipeline Execution: ⚠ STALE (")
    assert shown["EXPIRED"]["closing"].startswith("Pipeline Execution: ✗ EXPIRED (")


def test_the_report_tells_a_new_line(shown: dict[str, dict[str, Any]]) -> None:
    assert "⚠ Published, stale" in shown["STALE"]["report"]
    assert "333,100 published" in shown["STALE"]["report"]
    assert "✗ Not published, expired" in shown["EXPIRED"]["report"]
    assert "333,100 held back" in shown["EXPIRED"]["report"]


@pytest.mark.parametrize("outcome", Outcome)
def test_status_and_exit_code_find_their_line_again(outcome: Outcome) -> None:
    assert Outcome.of(outcome.status, outcome.exit_code) is outcome


def test_a_run_that_a_signal_stopped_is_found_by_its_status_and_is_the_worst_of_a_backfill() -> None:
    assert Outcome.of("FAILED", 143) is Outcome.FAILED
    assert Outcome.of("of another version") is Outcome.FAILED
    assert max([0, 143, 2, 5], key=Outcome.severity) == 143
    assert sorted([3, 1, 0, 4, 5, 2], key=Outcome.severity) == [0, 3, 4, 1, 5, 2]


def test_published_means_the_day_is_in_the_tables() -> None:
    assert PUBLISHED_STATUSES == ("SUCCESS", "PARTIAL")
    assert {0, 3} == PUBLISHED_CODES
    assert [code for code, _ in exit_code_lines()] == [0, 1, 2, 3, 4, 5]
