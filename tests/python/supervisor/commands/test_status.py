"""`status` says of each day what it is, what it lacks and what comes next, and gets in nobody's way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from end_to_end.helpers import GOLDEN_DAY
from recorded_days import leave_folder, leave_ledger, recorded
from supervisor_asks import ask

from supervisor.commands.status import judge_day
from supervisor.common.outcome import Outcome
from supervisor.record.history import DayHistory
from supervisor.record.summary import Summary
from supervisor.warehouse.lock import Holder, lock_holder

DAY = date(2025, 11, 16)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOLD_LOCK = """
import sys
from pathlib import Path
from supervisor.warehouse.lock import run_lock
with run_lock(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def run(status: str = "SUCCESS", run_id: str = "r1", at: datetime = NOON) -> Summary:
    sources = {"s3": {"status": "loaded"}, "api": {"status": "loaded"}}
    escalation = {"phase": "validate", "reason": "too many failures"} if status == "ESCALATED" else None
    return recorded(
        "golden", status=status, exit_code=Outcome.of(status).exit_code, run_id=run_id, started_at=at.isoformat(),
        finished_at=at.isoformat(), published=10, sources=sources, escalation=escalation,
    )  # fmt: skip


def judge(history: DayHistory, configured: tuple[str, ...] = (), **asked: Any) -> Any:
    return judge_day(DAY, history, configured, asked.get("requests", {}), asked.get("holder"), "duckdb")


def test_a_complete_day_needs_nothing(tmp_path: Path) -> None:
    summary = leave_ledger(tmp_path, "golden")
    (day,) = ask(tmp_path, "status", "--json").data["days"]
    assert day["state"] == "complete"
    assert day["published"] == 333_100
    assert day["run_id"] == summary.run_id
    assert day["missing"] == []
    assert day["next_command"] == ""


def test_a_partial_day_names_what_is_missing_and_the_repair(tmp_path: Path) -> None:
    summary = leave_ledger(tmp_path, "partial")
    answer = ask(tmp_path, "status")
    (day,) = ask(tmp_path, "status", "--json").data["days"]
    assert (day["state"], day["missing"], day["published"]) == ("partial", ["api"], 318_500)
    assert day["next_command"] == summary.repair_command
    assert "318,500" in answer.output
    assert summary.repair_command in answer.output


def test_an_escalated_day_shows_what_was_published_before_and_the_run_that_held_it_back(tmp_path: Path) -> None:
    held_back = leave_ledger(tmp_path, "escalated")
    (day,) = ask(tmp_path, "status", "--json").data["days"]
    assert (day["state"], day["published"]) == ("escalated", None)
    assert "no correction is left to try" in day["note"]
    assert day["next_command"] == f"python orchestrate.py explain {held_back.run_id}"


def test_the_sandbox_is_not_started_for_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_ledger(tmp_path, "golden")
    monkeypatch.setattr("orchestrate.sandbox_if_needed", lambda *_: pytest.fail("the sandbox was started"))
    assert ask(tmp_path, "status").exit_code == 0


def test_days_of_a_span_that_were_never_run_are_shown(tmp_path: Path) -> None:
    leave_ledger(tmp_path, "golden")
    answer = ask(tmp_path, "status", "--from", "2025-11-15", "--to", "2025-11-18")
    assert answer.output.count("never run") == 3
    assert "python orchestrate.py --from 2025-11-15 --to 2025-11-18" in answer.output


def test_without_any_run_it_says_how_to_begin(tmp_path: Path) -> None:
    answer = ask(tmp_path, "status")
    assert answer.exit_code == 0
    assert "python orchestrate.py --date" in answer.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2025-11-16"], "--from and --to belong together"),
        (["--date", "2025-11-16", "--from", "2025-11-16", "--to", "2025-11-17"], "one or the other"),
        (["--from", "2025-11-17", "--to", "2025-11-16"], "--from 2025-11-16 --to 2025-11-17"),
        (["--date", "tomorrow"], "'tomorrow' is not a day"),
    ],
)
def test_a_wrong_span_is_a_usage_error(tmp_path: Path, arguments: list[str], words: str) -> None:
    answer = ask(tmp_path, "status", *arguments)
    assert answer.exit_code == 2
    assert words in answer.errors


def test_while_a_run_works_it_is_named_and_the_warehouse_is_left_alone(tmp_path: Path) -> None:
    leave_folder(tmp_path, "golden")
    # not a database: opening it would be an error
    (tmp_path / "warehouse.duckdb").write_text("busy")
    request = {"run_id": "20990101_000000", "date": "2025-11-17", "target": "duckdb", "started_at": NOON.isoformat()}
    (tmp_path / "runs" / "20990101_000000").mkdir()
    (tmp_path / "runs" / "20990101_000000" / "request.json").write_text(json.dumps(request))
    lock = tmp_path / "warehouse.duckdb.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(lock), "20990101_000000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        status = ask(tmp_path, "status", "--json").data
        assert status["running"]["pid"] == holder.pid
        assert {day["date"]: day["state"] for day in status["days"]} == {
            GOLDEN_DAY: "complete",
            "2025-11-17": "running",
        }
        refused = ask(tmp_path, "quarantine", "list", "--date", GOLDEN_DAY)
        assert refused.exit_code == 5
        assert str(holder.pid) in refused.errors
    finally:
        holder.communicate("")
    assert lock_holder(lock) is None


def test_a_lock_whose_process_is_gone_is_held_by_nobody(tmp_path: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    lock = tmp_path / "warehouse.duckdb.lock"
    for pid in (int(gone.stdout), os.getpid()):
        lock.write_text(json.dumps({"run_id": "r", "pid": pid, "host": socket.gethostname(), "started_at": "now"}))
        assert lock_holder(lock) is None
    lock.write_text("not json")
    assert lock_holder(lock) is None


def test_a_source_that_was_added_since_makes_the_day_partial() -> None:
    one = run()
    history = DayHistory(published=one, last=one, loaded=("api", "s3"))
    assert judge(history, configured=("api", "s3")).state == "complete"
    day = judge(history, configured=("api", "orders", "s3"))
    assert (day.state, day.missing) == ("partial", ("orders",))
    assert day.next_command.endswith("--source-filter orders")


def test_a_day_that_escalated_points_to_its_explanation() -> None:
    day = judge(DayHistory(last=run("ESCALATED"), loaded=("s3",)))
    assert (day.state, day.published, day.note) == ("escalated", None, "too many failures")
    assert day.next_command == "python orchestrate.py explain r1"


def test_what_was_published_stays_the_state_when_a_later_run_escalates() -> None:
    before = run()
    later = run("ESCALATED", "r2", NOON + timedelta(hours=1))
    day = judge(DayHistory(published=before, last=later, loaded=("api", "s3")))
    assert (day.state, day.run_id, day.published) == ("complete", "r1", 10)
    assert "r2" in day.note


def test_a_killed_run_leaves_an_interrupted_day_with_the_command_that_goes_on() -> None:
    request = {"r9": {"date": DAY.isoformat(), "started_at": NOON.isoformat(), "pid": 1}}
    day = judge(DayHistory(), requests=request)
    assert (day.state, day.next_command) == ("interrupted", "python orchestrate.py --date 2025-11-16")
    running = judge(DayHistory(), requests=request, holder=Holder("r9", 1, "here", NOON.isoformat()))
    assert (running.state, running.next_command) == ("running", "")


def test_a_run_that_broke_off_leaves_its_reason_and_the_same_command() -> None:
    failed = recorded(
        "golden", status="FAILED", exit_code=1, error={"type": "OSError", "message": "OSError: disk full"}
    )
    day = judge(DayHistory(last=failed))
    assert (day.state, day.note) == ("failed", "OSError: disk full")
    assert day.next_command == "python orchestrate.py --date 2025-11-16"


def test_a_day_published_too_late_is_complete() -> None:
    late = recorded("golden", exit_code=3)
    day = judge(DayHistory(published=late, last=late, loaded=("api", "postgres", "s3")))
    assert (day.state, day.next_command) == ("complete", "")


def test_a_day_with_a_file_that_could_not_be_read_is_open_and_names_it(tmp_path: Path) -> None:
    sources = recorded("golden").as_dict()["sources"]
    sources["s3"]["incomplete"] = [{"object": "raw/b.parquet", "reason": "parquet_broken"}]
    leave_ledger(tmp_path, "golden", status="PARTIAL", exit_code=3, sources=sources)
    (day,) = ask(tmp_path, "status", "--json").data["days"]
    assert (day["state"], day["missing"], day["incomplete"]) == ("partial", [], ["s3"])
    assert day["next_command"] == "python orchestrate.py --date 2025-11-16 --source-filter s3"
    output = ask(tmp_path, "status").output
    assert "part of s3" in output
    assert "S3: raw/b.parquet (parquet_broken) could not be read" in output
