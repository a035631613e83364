"""Publishing on a server: all or nothing for every reader, once whatever breaks, by one run at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from end_to_end.helpers import Run, orchestrate
from postgres.helpers import GOLDEN_DAY, PROJECT, clean_env, connect, dbt, export_postgres, query
from postgres.same_day import First
from postgres.tls_proxy import proxy

from supervisor.dbt.client import Dbt, DbtWorker
from supervisor.record.ledger import is_recorded
from supervisor.record.summary import Summary
from supervisor.run.publish import PublishError, publish_day
from supervisor.warehouse.base import WarehouseError
from supervisor.warehouse.lock import LockHeldError
from supervisor.warehouse.postgres import PostgresSettings, PostgresWarehouse
from supervisor.warehouse.retry import retry

DAY = date.fromisoformat(GOLDEN_DAY)
TABLES = [
    "analytics.events", "quarantine.quarantined_records", "quality.corrections", "quality.quality_scores", "metadata.lineage",
]  # fmt: skip
MARTS = ["analytics.events"]
# one statement, so one snapshot: which runs the day's rows say they are of, in each table
WHO = """
    select
        (select string_agg(distinct run_id, ',') from analytics.events where load_date = '2025-11-16'),
        (select string_agg(distinct run_id, ',') from metadata.lineage where load_date = '2025-11-16'),
        (select string_agg(distinct run_id, ',') from quality.corrections where load_date = '2025-11-16'),
        (select run_id from metadata.pipeline_runs where load_date = '2025-11-16' order by finished_at desc limit 1),
        (select count(*) from analytics.events where load_date = '2025-11-16')
"""


@pytest.fixture(scope="module")
def servers(golden_servers: dict[str, str]) -> dict[str, str]:
    return golden_servers


@pytest.fixture
def warehouse(servers: dict[str, str], published: Run) -> PostgresWarehouse:
    """The warehouse that holds it."""
    return warehouse_at(servers)


@pytest.fixture
def other(servers: dict[str, str]) -> Iterator[Any]:
    """Somebody else's connection."""
    connection = connect(servers)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def worker(servers: dict[str, str], published: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    """dbt on the warehouse that holds it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in servers.items():
            if name.startswith("POSTGRES_"):
                patch.setenv(name, value)
        one = DbtWorker(PROJECT, "postgres")
        yield Dbt(one, tmp_path_factory.mktemp("dbt"))
        one.stop()


def run_models(worker: Dbt, publish: str, *models: str) -> None:
    done = worker.invoke("run", ["run", "--select", *models], {"load_date": GOLDEN_DAY, "publish": publish}, 120)
    assert {one.status for one in done.results} == {"success"}
    assert set(models) <= {one.name for one in done.results}


def warehouse_at(env: dict[str, str], port: int | None = None) -> PostgresWarehouse:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            if name.startswith("POSTGRES_"):
                patch.setenv(name, value)
        if port is not None:
            patch.setenv("POSTGRES_PORT", str(port))
        return PostgresWarehouse(PostgresSettings.from_env())


def publish(warehouse: PostgresWarehouse, run_id: str, summary: dict[str, Any], **options: Any) -> None:
    """Publish the day again as another run; the views say the first run's id, which is replaced."""
    now = datetime.now(UTC).isoformat()
    publish_day(
        warehouse,
        DAY,
        run_id,
        TABLES,
        lambda measured: (Summary.model_validate({**summary, "run_id": run_id, "finished_at": now}), []),
        marts=MARTS,
        **options,
    )


@contextmanager
def views_of(connection: Any, run_id: str) -> Iterator[None]:
    """Let the day views say another run's id, as a build by that run would."""
    views = ("events__day", "lineage__day", "corrections__day", "quarantined_records__day", "quality_scores__day")
    before = {
        view: query(connection, f"select pg_get_viewdef('intermediate.{view}'::regclass)")[0][0] for view in views
    }
    first = query(connection, "select run_id from intermediate.lineage__day limit 1")[0][0]
    for view, definition in before.items():
        query(connection, f"create or replace view intermediate.{view} as {definition.replace(first, run_id)}")
    yield
    for view, definition in before.items():
        query(connection, f"create or replace view intermediate.{view} as {definition}")


def test_the_day_lies_in_partitions_of_its_own(other: Any, published: Run) -> None:
    assert query(other, "select count(*) from day_partitions.analytics_events_2025_11_16")[0][0] == 3_331
    plan = "\n".join(
        row[0] for row in query(other, f"explain select * from analytics.events where load_date = '{GOLDEN_DAY}'")
    )
    assert "analytics_events_2025_11_16" in plan


def test_tables_that_are_built_anew_write_no_log(other: Any, published: Run) -> None:
    rows = query(
        other,
        "select relname, relpersistence from pg_class where relnamespace = 'intermediate'::regnamespace and relkind = 'r'",
    )
    assert dict(rows)["int_events_checked"] == "u"
    assert query(
        other, "select count(*) from pg_class where relnamespace = 'analytics'::regnamespace and relpersistence = 'u'"
    ) == [(0,)]


@pytest.mark.parametrize("table", ["raw_s3.events", "raw_postgres.users", "intermediate.int_events_checked"])
def test_what_is_joined_has_statistics(other: Any, published: Run, table: str) -> None:
    # those that the server makes by itself, some time later, are counted elsewhere
    sql = f"select analyze_count from pg_stat_user_tables where relid = '{table}'::regclass"
    assert query(other, sql)[0][0] > 0


def test_a_vacuum_in_the_way_costs_no_load(servers: dict[str, str], published: Run, other: Any, tmp_path: Path) -> None:
    command = ["-m", "loaders", "--date", GOLDEN_DAY, "--run-id", "vacuumed", "--target", "postgres", "--source", "s3"]
    with closing(connect(servers)) as vacuum:
        query(vacuum, "begin")
        # the lock that a vacuum holds; one against wraparound lets nobody pass
        query(vacuum, "lock table raw_s3.events in share update exclusive mode")
        done = subprocess.run(
            [sys.executable, *command, "--workdir", str(tmp_path)],
            cwd=PROJECT,
            env={**clean_env(), **servers},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    finished = [one for one in map(json.loads, done.stdout.splitlines()) if one["event"] == "source_finished"]
    assert [(one["source"], one["status"], one["tries"]) for one in finished] == [("s3", "loaded", 1)]
    query(other, "delete from raw_s3.events where load_id = 'vacuumed'")


def test_no_connection_reads_the_columns_of_every_partition(first: First) -> None:
    """Three partitions a day: what each connection reads of the whole catalog would grow with the history."""
    # of the source, by ADBC's COPY; into the warehouse, likewise
    assert first.sent.count(b"COPY") >= 4
    assert b"attrelid, attname, atttypid" not in first.sent


def test_readers_see_one_run_or_the_other_and_never_wait(
    warehouse: PostgresWarehouse, servers: dict[str, str], published: Run, other: Any
) -> None:
    seen: list[tuple[Any, ...]] = []
    waits: list[float] = []
    done = threading.Event()

    def poll() -> None:
        with connect(servers, options="-c timezone=UTC -c lock_timeout=200") as reader:
            while not done.is_set():
                started = time.monotonic()
                seen.append(query(reader, WHO)[0])
                waits.append(time.monotonic() - started)

    # a reader in the middle of a long transaction: neither in the way nor disturbed
    old = connect(servers)
    query(old, "begin isolation level repeatable read")
    before = query(old, WHO)
    readers = [threading.Thread(target=poll, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(5):
            with views_of(other, f"reader-test-{number}"):
                publish(warehouse, f"reader-test-{number}", published.summary)
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert query(old, WHO) == before
    old.close()
    assert len(seen) > 20
    mixed = [row for row in seen if len(set(row[:4])) != 1 or row[4] != 3_331]
    assert mixed == []
    assert len({row[0] for row in seen}) > 2


def test_publishing_again_changes_no_byte(
    warehouse: PostgresWarehouse, published: Run, other: Any, tmp_path: Path
) -> None:
    before = export_postgres(other, GOLDEN_DAY, tmp_path / "before.csv").read_bytes()
    assert before.count(b"\n") == 3_331
    publish(warehouse, "again", published.summary)
    assert export_postgres(other, GOLDEN_DAY, tmp_path / "after.csv").read_bytes() == before


def test_a_publish_that_fails_leaves_everything_as_it_was(
    warehouse: PostgresWarehouse, published: Run, other: Any
) -> None:
    before = query(other, WHO)

    def conclude(measured: Any) -> Any:
        raise RuntimeError("in the middle of it")

    with pytest.raises(RuntimeError):
        publish_day(warehouse, DAY, "broken", TABLES, conclude, marts=MARTS)
    assert query(other, WHO) == before


def test_a_day_that_a_crash_has_emptied_is_not_published(
    warehouse: PostgresWarehouse, published: Run, other: Any
) -> None:
    before = query(other, WHO)
    query(other, "begin")
    query(other, "create table public.kept as select * from intermediate.int_duplicates")
    # what a crash does to unlogged tables
    query(other, "truncate intermediate.int_duplicates")
    query(
        other,
        "insert into intermediate.int_duplicates (entity, record_id) "
        "select 'events', record_id from intermediate.int_events_checked",
    )
    query(other, "commit")
    try:
        with pytest.raises(PublishError, match="would get 0 rows"):
            publish(warehouse, "emptied", published.summary, expected={"analytics.events": 3_331})
    finally:
        query(other, "truncate intermediate.int_duplicates")
        query(other, "insert into intermediate.int_duplicates select * from public.kept")
        query(other, "drop table public.kept")
    assert query(other, WHO) == before


def test_a_statement_ends_at_its_budget(warehouse: PostgresWarehouse) -> None:
    with pytest.raises(psycopg2.errors.QueryCanceled), warehouse.transaction(timeout_s=0.1) as session:
        session.query("select pg_sleep(20)")


def test_a_deadlock_is_tried_again(
    warehouse: PostgresWarehouse, servers: dict[str, str], published: Run, other: Any
) -> None:
    problems: list[str] = []
    rival = connect(servers)
    query(rival, "begin")
    query(rival, "lock table metadata.pipeline_runs in exclusive mode")
    update = "update analytics.events set device = device where load_date = '2025-11-16'"
    thread = threading.Thread(target=lambda: (query(rival, update), query(rival, "rollback")), daemon=True)
    now = datetime.now(UTC).isoformat()
    summary = Summary.model_validate({**published.summary, "run_id": "deadlocked", "finished_at": now})

    def conclude(measured: Any) -> Any:
        if not problems:
            # the rival waits for the rows that were just deleted, and has looked for a deadlock before there is one
            thread.start()
            _wait_for_lock(rival.info.backend_pid, other, longer_than_s=1.5)
        return summary, []

    retry(
        lambda: publish_day(warehouse, DAY, "deadlocked", TABLES, conclude, marts=MARTS),
        seconds=60,
        on_retry=lambda problem, wait_s: problems.append(problem),
    )
    thread.join()
    rival.close()
    assert len(problems) == 1
    assert "deadlock detected" in problems[0]
    assert query(other, "select count(*) from metadata.pipeline_runs where run_id = 'deadlocked'") == [(1,)]


def _wait_for_lock(server_pid: int, watcher: Any, longer_than_s: float) -> None:
    """Wait until a session has been waiting for a lock for so long; a second is when it looks for a deadlock, once."""
    _wait_until(
        watcher,
        "select 1 from pg_locks where pid = %s and not granted and waitstart < clock_timestamp() - %s * interval '1 second'",
        server_pid,
        longer_than_s,
    )


def _wait_until(watcher: Any, sql: str, *parameters: Any) -> None:
    """Wait until a query has rows."""
    for _ in range(6_000):
        if query(watcher, sql, parameters):
            return
        time.sleep(0.01)
    raise AssertionError(f"never: {sql} {parameters}")


def test_a_serialization_failure_is_tried_again(
    warehouse: PostgresWarehouse, servers: dict[str, str], published: Run, other: Any
) -> None:
    problems: list[str] = []
    tries = 0

    def work() -> None:
        nonlocal tries
        tries += 1
        with warehouse.transaction() as session:
            session.execute("set transaction isolation level repeatable read")
            session.query("select count(*) as found from metadata.lineage")
            if tries == 1:
                query(other, "update metadata.lineage set raw_schema = raw_schema")
            session.execute("update metadata.lineage set raw_schema = raw_schema")

    retry(work, seconds=60, on_retry=lambda problem, wait_s: problems.append(problem))
    assert tries == 2
    assert "could not serialize" in problems[0]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_commit_whose_answer_is_lost_is_settled_by_the_ledger(
    servers: dict[str, str], published: Run, other: Any, moment: str
) -> None:
    """The connection breaks before the server gets the COMMIT, or after it and before its answer comes back."""
    run_id = f"ambiguous-{moment}"
    armed, attempts, problems = threading.Event(), 0, []

    def cut(piece: bytes) -> str:
        if armed.is_set() and b"COMMIT" in piece:
            armed.clear()
            return moment
        return ""

    with proxy(servers["POSTGRES_HOST"], int(servers["POSTGRES_PORT"]), cut=cut) as port:
        through = warehouse_at(servers, port)

        def work() -> None:
            nonlocal attempts
            with through.session() as session:
                if is_recorded(session, run_id):
                    return
            attempts += 1
            if attempts == 1:
                armed.set()
            publish(through, run_id, published.summary)

        with through.exclusive(run_id):
            retry(work, seconds=60, on_retry=lambda problem, wait_s: problems.append(problem))
    assert "lost during a commit" in problems[0]
    assert attempts == (2 if moment == "before" else 1)
    assert query(other, "select count(*) from metadata.pipeline_runs where run_id = %s", (run_id,)) == [(1,)]
    assert query(other, WHO)[0][4] == 3_331


def test_a_second_run_says_who_holds_the_warehouse(
    warehouse: PostgresWarehouse, servers: dict[str, str], tmp_path: Path
) -> None:
    # from another folder, so that only the server can know
    with warehouse.exclusive("20251117_020000"):
        second = orchestrate(tmp_path, "--date", GOLDEN_DAY, "--target", "postgres", "--force", env=servers)
    assert second.exit_code == 5
    assert "run 20251117_020000 (pid " in second.errors
    assert ", since 20" in second.errors
    with warehouse.exclusive("20251117_020001"):
        pass


def test_the_holder_shows_on_the_server(warehouse: PostgresWarehouse, other: Any) -> None:
    with warehouse.exclusive("20251117_020000"):
        names = [row[0] for row in query(other, "select application_name from pg_stat_activity")]
    assert any(name.startswith("goalkeeper 20251117_020000 pid ") for name in names)


def test_a_lock_that_is_lost_is_taken_again_when_nobody_has_had_it(warehouse: PostgresWarehouse, other: Any) -> None:
    with warehouse.exclusive("careful"):
        _end_holder(other, "careful")
        with warehouse.session() as session:
            assert session.query("select 1 as one") == [{"one": 1}]
        with pytest.raises(LockHeldError), warehouse_like(warehouse).exclusive("eager"):
            pass


def test_a_run_whose_lock_another_has_had_can_not_publish(
    warehouse: PostgresWarehouse, published: Run, other: Any
) -> None:
    before = query(other, WHO)
    with warehouse.exclusive("sleeper"):
        _end_holder(other, "sleeper")
        with warehouse_like(warehouse).exclusive("rival"):
            pass
        with pytest.raises(WarehouseError, match="another run has worked there since"):
            publish(warehouse, "sleeper", published.summary)
    assert query(other, WHO) == before


def test_what_a_killed_run_left_working_is_ended(
    warehouse: PostgresWarehouse, servers: dict[str, str], other: Any
) -> None:
    orphan = connect(servers, application_name="goalkeeper-dbt")
    ended: list[str] = []

    def work() -> None:
        try:
            query(orphan, "select pg_sleep(60)")
        except psycopg2.Error as error:
            ended.append(str(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    _wait_until(other, "select 1 from pg_stat_activity where pid = %s and state = 'active'", orphan.info.backend_pid)
    with warehouse.exclusive("heir"):
        thread.join(timeout=10)
    assert ended


def warehouse_like(warehouse: PostgresWarehouse) -> PostgresWarehouse:
    return PostgresWarehouse(warehouse.settings)


def _end_holder(connection: Any, run_id: str) -> None:
    holder = f"goalkeeper {run_id} %"
    query(
        connection,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name like %s",
        (holder,),
    )


def test_a_column_that_a_release_adds_leaves_the_published_days_as_they_are(
    worker: Dbt, published: Run, other: Any
) -> None:
    before = query(other, WHO)
    # an older release that did not have these
    query(other, "alter table analytics.events drop column is_late")
    query(other, "alter table quality.quality_scores drop column threshold")
    run_models(worker, "together", "events", "quality_scores")
    assert query(other, "select count(*), count(is_late) from analytics.events") == [(3_331, 0)]
    assert query(other, WHO) == before


def test_whoever_merges_old_days_keeps_publishing(worker: Dbt, published: Run, other: Any) -> None:
    query(other, "begin")
    query(other, "alter table analytics.events detach partition day_partitions.analytics_events_2025_11_16")
    query(
        other,
        "create table day_partitions.events_2025 partition of analytics.events for values from ('2025-01-01') to ('2026-01-01')",
    )
    query(other, "insert into analytics.events select * from day_partitions.analytics_events_2025_11_16")
    query(other, "commit")
    run_models(worker, "each", "events")
    assert query(other, "select count(*) from day_partitions.events_2025") == [(3_331,)]


def test_plain_dbt_builds_measures_and_publishes_the_same(
    servers: dict[str, str], published: Run, other: Any, tmp_path: Path
) -> None:
    before = export_postgres(other, GOLDEN_DAY, tmp_path / "before.csv").read_bytes()
    done = dbt(PROJECT, servers, "postgres", "build", output=tmp_path)
    assert "unit test" in done.stdout
    assert query(other, "select distinct run_id from analytics.events") == [("manual",)]
    assert export_postgres(other, GOLDEN_DAY, tmp_path / "after.csv").read_bytes() == before
