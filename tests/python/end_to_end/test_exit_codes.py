"""Each exit code means what `--help` says."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from end_to_end.helpers import GOLDEN_DAY, Run, load_day, orchestrate


def test_0_the_goal_is_met(golden: Run) -> None:
    assert (golden.exit_code, golden.summary["exit_code"]) == (0, 0)
    assert all(criterion["met"] for criterion in golden.summary["criteria"])


def test_0_there_is_nothing_to_do(golden: Run) -> None:
    again = load_day(golden.folder)
    assert (again.exit_code, again.summary["exit_code"], again.summary["status"]) == (0, 0, "NOTHING_TO_DO")


def test_1_an_unexpected_error(folder: Path, small_servers: dict[str, str]) -> None:
    (folder / "runs").write_text("a file where a folder belongs")
    run = load_day(folder, servers=small_servers)
    assert run.exit_code == 1
    assert "unexpected error" in run.errors
    assert run.output == ""


def test_2_a_wrong_option_a_wrong_goal_and_wrong_alerts(folder: Path, small_servers: dict[str, str]) -> None:
    assert orchestrate(folder, "--date", "2025-02-30").exit_code == 2
    (folder / "wrong.md").write_text("## Success Criteria\n\n- completness >= 95 %\n")
    wrong = orchestrate(folder, "--date", GOLDEN_DAY, "--goal", "wrong.md")
    assert wrong.exit_code == 2
    assert "completness" in wrong.errors
    alerts = orchestrate(folder, "--date", GOLDEN_DAY, env={**small_servers, "GOALKEEPER_ALERTS": "me@example.com"})
    assert alerts.exit_code == 2
    assert "GOALKEEPER_ALERTS" in alerts.errors


def test_3_published_but_partial(partial: Run) -> None:
    assert (partial.exit_code, partial.summary["exit_code"], partial.summary["status"]) == (3, 3, "PARTIAL")


def test_4_escalated(without_data: Run) -> None:
    summary = without_data.summary
    assert (without_data.exit_code, summary["exit_code"], summary["status"]) == (4, 4, "ESCALATED")


def test_5_another_run_holds_the_lock(folder: Path, small_servers: dict[str, str]) -> None:
    holder = {"run_id": "20251116_020000", "pid": os.getpid(), "host": "db1", "started_at": "2025-11-16T02:00:00+00:00"}
    with (folder / "warehouse.duckdb.lock").open("w") as lock:
        lock.write(json.dumps(holder))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = load_day(folder, servers=small_servers)
    assert run.exit_code == 5
    for words in (holder["run_id"], str(holder["pid"]), holder["started_at"]):
        assert str(words) in run.errors
    assert not (folder / "warehouse.duckdb").exists()


def test_help_names_every_code(folder: Path) -> None:
    text = orchestrate(folder, "--help").output
    codes = text[text.index("Exit codes:") :]
    for number in (0, 1, 2, 3, 4, 5, 130, 143):
        assert f"{number} " in codes or f"{number}," in codes or f"{number};" in codes
