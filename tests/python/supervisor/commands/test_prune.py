"""`prune` on sixty days that the real writers recorded: what has passed its retention is gone, and what is needed stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_helpers import make_request
from supervisor_asks import Answer, ask

from supervisor.common.files import write_json
from supervisor.record.archive import archive_day, archived_days
from supervisor.record.journal import note_request, report_path
from supervisor.record.ledger import LoadOutcome, commit_loads, migrate, read_day, record_run
from supervisor.record.retention import Expired
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.lock import run_lock

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=ago) for ago in range(60, 0, -1)]
KEPT = {"RAW": 40, "ARCHIVE": 30, "LANDING": 5, "RUNS": 20, "REPORTS": 10}
# of these something is still to be done: a source is missing, nothing was published, the run was killed
PARTIAL, ESCALATED, KILLED = DAYS[3], DAYS[7], DAYS[11]
OPEN = {PARTIAL, ESCALATED, KILLED}
SOURCES = ("lake", "shop")


def run_id_of(day: date) -> str:
    return f"{day:%Y%m%d}_020000"


def since(kind: str) -> set[date]:
    return {day for day in DAYS if day >= TODAY - timedelta(days=KEPT[kind])}


@pytest.fixture
def folder(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where sixty days have run, on a warehouse of each engine."""
    for kind, days in KEPT.items():
        monkeypatch.setenv(f"RETENTION__{kind}_DAYS", str(days))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "global"))
    monkeypatch.setenv("GOALKEEPER_TARGET", warehouse.target)
    configure(monkeypatch)
    work_dir = tmp_path / "work"
    with warehouse.transaction() as session:
        migrate(session)
        for name in ("raw_lake.events", "raw_shop.orders", "raw_shop.users"):
            session.execute(f"create schema if not exists {name.split('.')[0]}")
            session.execute(f"create table {name} (n integer, load_date date, load_id varchar(64))")
        for day in DAYS:
            record_day(session, work_dir, day)
    yield work_dir
    with warehouse.session() as session:
        for schema in ("raw_lake", "raw_shop"):
            session.execute(f"drop schema {schema} cascade")


def configure(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "LAKE__KIND": "s3", "LAKE__BUCKET_URL": "s3://lake", "LAKE__PATH": "{date:%Y}/", "LAKE__TABLE": "events",
        "SHOP__KIND": "postgres", "SHOP__CREDENTIALS": "postgresql://reader:secret-of-shop@shop/shop",
        "SHOP__TABLES__ORDERS__TABLE": "orders_{date:%Y}", "SHOP__TABLES__USERS__TABLE": "users",
        "SHOP__TABLES__USERS__REFERENCE": "true",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"SOURCES__{name}", value)


def record_day(session: Any, work_dir: Path, day: date) -> None:
    """What a run of the day leaves, as the run's own writers leave it."""
    run_id = run_id_of(day)
    run_dir = work_dir / "runs" / run_id
    (run_dir / "dbt" / "1-transform").mkdir(parents=True)
    (run_dir / "dbt" / "1-transform" / "manifest.json").write_text("{}")
    request = make_request(work_dir, SOURCES)
    request = type(request)(**{**request.__dict__, "date": day, "target": session_target(session)})
    note_request(run_dir, request, "run")
    sources = SOURCES[:1] if day == PARTIAL else SOURCES
    for source in sources:
        landed = run_dir / "landing" / source / "part.csv"
        landed.parent.mkdir(parents=True)
        landed.write_text(f"{source} {day}")
    for table in ("raw_lake.events", "raw_shop.orders", "raw_shop.users"):
        if table.split("_")[1].split(".")[0] in sources:
            for n in range(3):
                session.execute(f"insert into {table} values (?, ?, ?)", (n, day, run_id))
    loads = [outcome(source, run_id if source in sources else None) for source in SOURCES]
    commit_loads(session, run_id, day, loads)
    if day == KILLED:
        (run_dir / "dlt" / "lake").mkdir(parents=True)
        (run_dir / "dlt" / "lake" / "package").write_text("of a load that was killed")
        return
    archive_day(str(work_dir / "archive"), day, run_dir / "landing", sources, run_id)
    page = report_path(work_dir, run_id)
    page.parent.mkdir(exist_ok=True)
    page.write_text("report")
    summary = summary_of(day, session_target(session), sources)
    record_run(session, summary, [])
    write_json(run_dir / "summary.json", summary)


def session_target(session: Any) -> str:
    return "duckdb" if session.placeholder == "?" else "postgres"


def outcome(source: str, load_id: str | None) -> LoadOutcome:
    status = "failed" if load_id is None else "loaded"
    return LoadOutcome(source, status, load_id, "somewhere", 3, 0, 1, None, 0.1, {"title": source})


def summary_of(day: date, target: str, sources: tuple[str, ...]) -> dict[str, Any]:
    status = "PARTIAL" if day == PARTIAL else "ESCALATED" if day == ESCALATED else "SUCCESS"
    ended = datetime(day.year, day.month, day.day, 2, 5, tzinfo=UTC).isoformat()
    loaded = {"status": "loaded", "collected": 3, "run_id": run_id_of(day)}
    found = {name: loaded if name in sources else {"status": "failed"} for name in SOURCES}
    return {
        "run_id": run_id_of(day), "date": day.isoformat(), "target": target, "status": status, "published": 6,
        "exit_code": {"PARTIAL": 3, "ESCALATED": 4}.get(status, 0), "duration_s": 1.0, "sources": found,
        "started_at": ended, "finished_at": ended,
    }  # fmt: skip


def run_dates(paths: Iterator[Path], within: Callable[[Path], str] = lambda path: path.name) -> set[date]:
    return {datetime.strptime(within(path)[:8], "%Y%m%d").date() for path in paths}


def raw_dates(warehouse: Warehouse, table: str) -> set[date]:
    with warehouse.session() as session:
        return {row["load_date"] for row in session.query(f"select distinct load_date from {table}")}


def state_of(folder: Path, warehouse: Warehouse) -> dict[str, set[date]]:
    """Which days there is something of, by kind."""
    runs = folder / "runs"
    return {
        "archive": set(archived_days(str(folder / "archive"))),
        "runs": run_dates(runs.glob("*/")),
        "landing": run_dates(runs.glob("*/landing"), lambda path: path.parent.name),
        "packages": run_dates(runs.glob("*/dlt"), lambda path: path.parent.name),
        "reports": run_dates((folder / "reports").iterdir(), lambda path: path.name.removeprefix("quality_")),
        **{table: raw_dates(warehouse, table) for table in ("raw_lake.events", "raw_shop.orders", "raw_shop.users")},
    }


def expected() -> dict[str, set[date]]:
    """What must be left: what is young enough, and everything of the days that are open."""
    snapshot = max(day for day in DAYS if day not in since("RAW"))
    raw = since("RAW") | OPEN
    return {
        "archive": since("ARCHIVE") | OPEN - {KILLED},
        "runs": since("RUNS") | OPEN,
        "landing": since("LANDING") | OPEN,
        "packages": set(),
        "reports": since("REPORTS"),
        "raw_lake.events": raw,
        # that source failed on the partial day
        "raw_shop.orders": raw - {PARTIAL},
        # the newest users before the days that are kept
        "raw_shop.users": (raw | {snapshot}) - {PARTIAL},
    }


def prune(folder: Path, *more: str) -> Answer:
    answer = ask(folder, "prune", "--json", *more)
    assert answer.exit_code == 0, answer.errors
    return answer


def test_what_has_passed_its_retention_is_gone_and_open_days_are_whole(folder: Path, warehouse: Warehouse) -> None:
    before = state_of(folder, warehouse)
    planned = prune(folder, "--dry-run").data
    assert state_of(folder, warehouse) == before
    assert prune(folder).data["expired"] == planned["expired"]
    assert state_of(folder, warehouse) == expected()
    assert planned["open_days"] == [str(day) for day in sorted(OPEN)]
    # again there is nothing to do
    assert prune(folder).data["expired"] == []


def test_a_day_without_its_raw_records_stays_complete_and_is_not_built_from_nothing(
    folder: Path, warehouse: Warehouse
) -> None:
    prune(folder)
    day = DAYS[0]
    with warehouse.session() as session:
        state = read_day(session, day)
    assert (set(state.loads), state.pruned, state.open(SOURCES)) == (set(), set(SOURCES), [])
    (found,) = ask(folder, "status", "--date", str(day), "--json").data["days"]
    assert (found["state"], found["missing"], found["next_command"]) == ("complete", [], "")
    replay = ask(folder, "replay", "--date", str(day), "--keep-references")
    assert replay.exit_code == 2
    assert f"{day} can't be built again: raw records of lake, shop have passed their retention" in replay.errors
    assert f"--date {day}" in replay.errors
    assert "--force" in replay.errors


def test_a_prune_that_was_broken_off_is_gone_on_with(
    folder: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # an archived day and a run's folder of which a kill has left something
    (folder / "archive" / f"{DAYS[0]:%Y/%m/%d}" / "manifest.json").unlink()
    run_dir = (folder / "runs" / run_id_of(DAYS[0])).rename(folder / "runs" / f".pruned-{run_id_of(DAYS[0])}")
    shutil.rmtree(run_dir / "landing")
    for name in ("summary.json", "request.json"):
        (run_dir / name).unlink()

    done: list[Expired] = []

    class Killed(Exception):
        pass

    def remove_half(expired: list[Expired]) -> list[str]:
        for one in expired[: len(expired) // 2]:
            one.remove()
            done.append(one)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("supervisor.commands.prune._remove", remove_half)
        assert ask(folder, "prune").exit_code == 1
    assert done
    prune(folder)
    assert state_of(folder, warehouse) == expected()


def test_nothing_is_removed_while_a_run_works(folder: Path, warehouse: Warehouse) -> None:
    before = state_of(folder, warehouse)
    with run_lock(warehouse.lock_path(folder), "20251116_020000", warehouse):
        assert ask(folder, "prune").exit_code == 5
    assert state_of(folder, warehouse) == before


def test_status_tells_how_long_what_is_kept(folder: Path) -> None:
    assert (
        "Kept: raw 40 days, archive 30 days, landing 5 days, runs 20 days, reports 10 days"
        in ask(folder, "status").output
    )
    assert ask(folder, "status", "--json").data["retention"] == {
        f"{kind.lower()}_days": days for kind, days in KEPT.items()
    }
