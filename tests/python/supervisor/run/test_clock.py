"""What the deadline leaves to each phase, and what it is spent on first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_helpers import PROJECT, make_state, nobody

from supervisor.goal.compile import load_goal
from supervisor.plan.plan import make_plan
from supervisor.run.clock import PhaseClock
from supervisor.run.ending import RunEnd
from supervisor.run.limits import DEADLINE, MEMORY, THREADS, engine_environment, limited_engine, overruled
from supervisor.run.outlets import Outlets
from supervisor.run.state import RunState
from supervisor.show.report.write import ReportWriter
from supervisor.warehouse.duckdb import DuckDBWarehouse


class Watch:
    """A clock that goes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("supervisor.run.clock.time.monotonic", lambda: self.now)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def make_clock(deadline_s: int) -> PhaseClock:
    return PhaseClock(deadline_s, nobody)


def test_what_a_phase_leaves_over_goes_to_the_next(watch: Watch) -> None:
    clock = make_clock(1_800)
    clock.start("collect", "Data Collection")
    assert clock.remaining("collect") == 600
    watch.now += 100
    assert clock.remaining("collect") == 500
    clock.finish("collect", "COMPLETED")
    clock.start("transform", "Data Transformation")
    assert clock.remaining("transform") == 1_100
    assert clock.phases()["collect"] == {"status": "COMPLETED", "duration_s": 100}


def test_retries_are_granted_from_what_is_left(watch: Watch) -> None:
    clock = make_clock(45)
    clock.start("collect", "Data Collection")
    assert clock.retries("collect", 1, attempt_s=1) == 2
    assert clock.retries("collect", 2, attempt_s=1) == 1
    assert clock.retries("collect", 1, attempt_s=8) == 1
    watch.now += 10
    assert clock.retries("collect", 1, attempt_s=8) == 0
    assert clock.retries("collect", 3, attempt_s=0) == 0


def test_past_the_deadline_nothing_remains(watch: Watch) -> None:
    clock = make_clock(45)
    clock.start("collect", "Data Collection")
    watch.now += 60
    clock.finish("collect", "COMPLETED")
    clock.start("transform", "Data Transformation")
    assert clock.remaining("transform") == 0


# ---------------------------------------------------------------- the end of a run


@pytest.fixture
def state(tmp_path: Path, watch: Watch) -> RunState:
    return make_state(tmp_path, deadline_s=45)


def end_of(state: RunState) -> RunEnd:
    warehouse = DuckDBWarehouse(state.request.work_dir / "w.duckdb")
    return RunEnd(state, warehouse, Outlets(nobody, ReportWriter(), lambda summary: None))


def landed(state: RunState, size: int) -> None:
    folder = state.run_dir / "landing" / "s3"
    folder.mkdir(parents=True)
    with (folder / "part.parquet").open("wb") as file:
        file.truncate(size)


def test_the_archive_is_dropped_first_when_little_time_is_left(state: RunState, watch: Watch) -> None:
    landed(state, 10**9)
    state.clock.start("publish", "Data Publishing")
    assert end_of(state).drop_optional_work(["s3"]) is False
    watch.now += 40
    assert end_of(state).drop_optional_work(["s3"]) is True
    (entry,) = state.decisions
    assert (entry["phase"], entry["decision"]) == ("publish", "drop the archive")
    assert "5.0 s are left" in entry["observed"]
    assert "10.2 s" in entry["observed"]


def test_without_an_archive_there_is_nothing_to_drop(state: RunState, watch: Watch) -> None:
    state.clock.start("publish", "Data Publishing")
    watch.now += 100
    assert end_of(state).drop_optional_work([]) is False


def test_a_day_that_is_published_too_late_is_no_success(state: RunState, watch: Watch) -> None:
    assert (state.code_of("SUCCESS"), state.code_of("PARTIAL"), state.code_of("ESCALATED")) == (0, 3, 4)
    watch.now += 1_801
    assert (state.code_of("SUCCESS"), state.code_of("PARTIAL"), state.code_of("ESCALATED")) == (3, 3, 4)
    (deadline,) = [one for one in state.summary("SUCCESS").criteria if one.metric == "duration_s"]
    assert (deadline.met, deadline.threshold) == (False, 1800)


def test_a_deadline_that_passes_after_the_publish_is_told_and_the_ledger_corrected(
    state: RunState, watch: Watch
) -> None:
    from supervisor.record.ledger import migrate, record_run

    end = end_of(state)
    warehouse = DuckDBWarehouse(state.request.work_dir / "w.duckdb")
    with warehouse.transaction() as session:
        migrate(session)
        record_run(session, state.summary("SUCCESS").as_dict(), state.decisions)
    end.note_publication(state.code_of("SUCCESS"))
    watch.now += 1_801
    summary = end.conclude("SUCCESS")
    assert (summary.status, summary.exit_code) == ("SUCCESS", 3)
    assert "duration is 30 min 1 s, limit ≤ 30 min" in summary.decisions[-1].observed
    with warehouse.session() as session:
        (run,) = session.query("select status, exit_code, summary from metadata.pipeline_runs")
        decisions = session.query("select decision from metadata.decisions")
    assert (run["status"], run["exit_code"]) == ("SUCCESS", 3)
    assert json.loads(run["summary"])["exit_code"] == 3
    assert len(decisions) == 1
    assert json.loads((state.run_dir / "summary.json").read_text()) == summary.as_dict()


# ---------------------------------------------------------------- memory and cores


def test_the_goals_memory_and_cores_go_to_the_engine() -> None:
    goal = load_goal(PROJECT / "goal.md")
    small, large = (
        engine_environment(make_plan(goal, {"s3": "s3"}, {"s3": [records]}, cores=cores))
        for records, cores in ((5_000, 8), (5_000_000, 2))
    )
    assert small == {MEMORY: "4800MB", THREADS: "4", DEADLINE: "1800"}
    # more threads than there are cores cost memory and gain nothing
    assert large == {MEMORY: "6000MB", THREADS: "2", DEADLINE: "1800"}


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv(MEMORY, "1GB")
    monkeypatch.delenv(THREADS, raising=False)
    with limited_engine({MEMORY: "6000MB", THREADS: "4"}):
        inside: dict[str, Any] = {name: os.environ[name] for name in (MEMORY, THREADS)}
    assert inside == {MEMORY: "1GB", THREADS: "4"}
    assert overruled({MEMORY: "6000MB", THREADS: "4"}) == [
        "GOALKEEPER_MEMORY=1GB is set and goes before the plan's 6000MB"
    ]
    assert THREADS not in os.environ
