"""The ledger on a bare connection: which load is in force, and what is removed for it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from supervisor.goal.metrics import Past
from supervisor.record.history import read_good_volumes
from supervisor.record.ledger import (
    LoadOutcome,
    adopt_references,
    commit_loads,
    correct_run,
    has_ledger,
    has_loads,
    is_recorded,
    migrate,
    published_summary,
    raw_tables,
    read_day,
    read_state,
    record_run,
)
from supervisor.record.migrations import MIGRATIONS
from supervisor.warehouse.base import Session, Warehouse, WarehouseError

DAY, OTHER_DAY = date(2025, 11, 16), date(2025, 11, 15)


def load(source: str, load_id: str | None, **more: Any) -> LoadOutcome:
    given = {"location": "somewhere", "collected": 2, "rejected": 0, "tries": 1, "reason": None, "duration_s": 0.5}
    status = "failed" if load_id is None else "loaded"
    return LoadOutcome(source=source, status=status, load_id=load_id, detail={"title": source}, **{**given, **more})


def summary(run_id: str, status: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    given = {
        "run_id": run_id,
        "date": DAY.isoformat(),
        "target": "x",
        "status": status,
        "exit_code": 0,
        "published": 3,
        "duration_s": 1.0,
    }
    return {**given, "started_at": now, "finished_at": now, **more}


def decision(text: str) -> dict[str, str]:
    at = datetime.now(UTC).isoformat()
    return {"phase": "collect", "observed": "seen", "decision": text, "outcome": "done", "at": at}


@pytest.fixture
def raw(warehouse: Warehouse) -> Any:
    """A warehouse with the ledger's tables and a raw table of source `lake`, into which `add` appends rows of a load."""
    with warehouse.transaction() as session:
        migrate(session)
        session.execute("create schema raw_lake")
        session.execute("create table raw_lake.events (n integer, load_date date, load_id varchar(64))")
        session.execute("create table raw_lake._dlt_loads (load_id varchar(64))")
    yield warehouse
    with warehouse.session() as session:
        session.execute("drop schema raw_lake cascade")


def add(session: Session, load_id: str, day: date = DAY) -> None:
    session.execute_many("insert into raw_lake.events values (?, ?, ?)", [(1, day, load_id), (2, day, load_id)])


def loads_of(session: Session) -> list[tuple[date, str]]:
    rows = session.query("select distinct load_date, load_id from raw_lake.events order by 1, 2")
    return [(row["load_date"], row["load_id"]) for row in rows]


def test_without_a_ledger_a_day_is_unknown(warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        assert not has_ledger(session)
        assert read_day(session, DAY).open(["lake"]) == ["lake"]
    assert read_state(warehouse, DAY).last_run is None


def test_a_load_replaces_its_sources_day_and_nothing_else(raw: Warehouse) -> None:
    with raw.transaction() as session:
        add(session, "r1")
        add(session, "r1", OTHER_DAY)
        commit_loads(session, "r1", OTHER_DAY, [load("lake", "r1")])
        commit_loads(session, "r1", DAY, [load("lake", "r1")])
    with raw.transaction() as session:
        add(session, "killed")
        add(session, "r2")
        commit_loads(session, "r2", DAY, [load("lake", "r2")])
    with raw.session() as session:
        assert loads_of(session) == [(OTHER_DAY, "r1"), (DAY, "r2")]
        assert [table["table_name"] for table in raw_tables(session)] == ["events"]
        assert has_loads(session, "r2")
        assert not has_loads(session, "killed")


def test_a_failed_source_keeps_the_rows_of_its_last_load(raw: Warehouse) -> None:
    with raw.transaction() as session:
        add(session, "r1")
        commit_loads(session, "r1", DAY, [load("lake", "r1")])
    with raw.transaction() as session:
        add(session, "r2")
        commit_loads(session, "r2", DAY, [load("lake", None, reason="Timeout")])
    with raw.session() as session:
        assert loads_of(session) == [(DAY, "r1")]
        in_force = read_day(session, DAY).loads["lake"]
    assert (in_force.load_id, in_force.collected, in_force.detail) == ("r1", 2, {"title": "lake"})


def test_a_rollback_leaves_rows_and_ledger_as_they_were(raw: Warehouse) -> None:
    with raw.transaction() as session:
        add(session, "r1")
        commit_loads(session, "r1", DAY, [load("lake", "r1")])

    def break_off() -> None:
        with raw.transaction() as session:
            add(session, "r2")
            commit_loads(session, "r2", DAY, [load("lake", "r2")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    with raw.session() as session:
        assert loads_of(session) == [(DAY, "r1")]
        assert not has_loads(session, "r2")


def test_references_read_anew_take_the_mark_of_the_load_in_force_also_when_tried_again(raw: Warehouse) -> None:
    with raw.transaction() as session:
        add(session, "r1")
        commit_loads(session, "r1", DAY, [load("lake", "r1")])
        add(session, "replay")
    for _ in range(2):
        with raw.transaction() as session:
            adopt_references(session, "replay", DAY, {"lake": ["events"]})
    with raw.session() as session:
        assert session.query("select n, load_id from raw_lake.events order by n") == [
            {"n": 1, "load_id": "r1"},
            {"n": 2, "load_id": "r1"},
        ]


def test_a_run_is_recorded_and_brought_up_to_how_it_ended(raw: Warehouse) -> None:
    with raw.transaction() as session:
        record_run(session, summary("r1"), [decision("go on"), decision("publish")])
    with raw.transaction() as session:
        correct_run(session, summary("r1", "PARTIAL", exit_code=3, report="r.html"), [decision("go on")])
    with raw.session() as session:
        assert is_recorded(session, "r1")
        assert session.query("select decision_number, decision from metadata.decisions") == [
            {"decision_number": 1, "decision": "go on"}
        ]
    state = read_state(raw, DAY)
    assert state.last_run is not None
    assert (state.last_run["status"], state.last_run["exit_code"]) == ("PARTIAL", 3)
    assert published_summary(state).report == "r.html"
    assert json.loads(state.last_run["summary"])["run_id"] == "r1"


def test_a_run_that_published_nothing_is_not_the_days(raw: Warehouse) -> None:
    with raw.transaction() as session:
        record_run(session, summary("r1"), [])
        record_run(session, summary("r2", "ESCALATED", exit_code=4), [])
    state = read_state(raw, DAY)
    assert state.last_run is not None
    assert state.last_run["run_id"] == "r1"


def test_a_newer_releases_metadata_is_refused_before_anything_is_read(raw: Warehouse) -> None:
    with raw.session() as session:
        session.execute(
            "insert into metadata.schema_migrations values (?, 'later', current_timestamp)", (len(MIGRATIONS) + 1,)
        )
    with pytest.raises(WarehouseError, match="a newer release has been used here"):
        read_state(raw, DAY)


@pytest.mark.parametrize(
    ("past", "volumes"),
    [(Past(4, same_weekday=True), [101, 102]), (Past(3, same_weekday=False), [109, 101, 110]), (Past(1, False), [109])],
    ids=str,
)
def test_a_sources_past_is_that_of_its_good_days(history: Warehouse, past: Past, volumes: list[int]) -> None:
    with history.session() as session:
        assert read_good_volumes(session, "lake", DAY, past) == volumes


@pytest.fixture
def history(warehouse: Warehouse) -> Warehouse:
    """A ledger of days that were good or were not; 7, 14 and so on days before are of its weekday."""

    def run(session: Session, days_before: int, collected: int, *, rerun: str = "", **more: Any) -> None:
        day, run_id = DAY - timedelta(days=days_before), f"r{days_before}{rerun}"
        loads = [load("lake", run_id, collected=collected), load("shop", run_id, collected=9)]
        commit_loads(session, run_id, day, loads)
        if more.get("status") != "KILLED":
            record_run(session, {**summary(run_id), "date": day.isoformat(), **more}, [])

    with warehouse.transaction() as session:
        migrate(session)
        for weeks, more in enumerate(
            ({}, {"status": "PARTIAL", "exit_code": 3}, {"status": "ESCALATED", "exit_code": 4}, {"exit_code": 3}, {}),
            1,
        ):
            run(session, 7 * weeks, 100 + weeks, **more)
        # good once, and then collected again by a run that was killed, or that escalated
        run(session, 35, 9, rerun="again", status="KILLED")
        run(session, 42, 102)
        run(session, 1, 103)
        run(session, 1, 9, rerun="again", status="ESCALATED", exit_code=4)
        run(session, 2, 109)
        run(session, 10, 110)
        # the day itself and those after it are not its past
        run(session, 0, 9)
        run(session, -7, 9)
    return warehouse
