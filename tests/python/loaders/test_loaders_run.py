"""The child process: events, exit codes, deadlines, and what ends up in the warehouse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from loader_helpers import (
    DAY,
    FIXED,
    ROOT,
    Answer,
    Bucket,
    Database,
    ScriptedApi,
    load,
    query,
    run_child,
)

from loaders import warehouse
from loaders.engines.duckdb import DuckDB

CANARIES = ("PASSWORD", "TOKEN", "SECRET_ACCESS_KEY", "ACCESS_KEY_ID")


def secrets_in(folder: Path, env: dict[str, str]) -> list[tuple[str, str]]:
    secrets = {name: value for name, value in env.items() if name.endswith(CANARIES)}
    assert len(secrets) >= 4
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            found += [(name, str(path)) for name, value in secrets.items() if value.encode() in content]
    return found


def warehouse_rows(env: dict[str, str], sql: str) -> list[tuple[Any, ...]]:
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DB"}
    given = {key: env[f"POSTGRES_{name}"] for key, name in names.items()}
    with closing(psycopg2.connect(**given)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


COUNTS = """
    select 'api', count(*), count(distinct payload) > 1 from raw_api.events
    union all select 's3', count(*), count(distinct event_id) > 1 from raw_s3.events
    union all select 'transactions', count(*), count(distinct id) = count(*)
        from raw_postgres.transactions
    union all select 'users', count(*), count(distinct user_id) = count(*) from raw_postgres.users
    order by 1
"""


def test_the_day_is_loaded_by_the_child_into_duckdb(configured: dict[str, str], tmp_path: Path):
    code, loaded, errors = run_child(tmp_path / "work")
    assert code == 0
    assert errors == ""
    assert [event["source"] for event in loaded.of("source_started")] == ["api", "postgres", "s3"]
    assert loaded.of("source_started", "s3")[0]["location"] == "data-lake/raw/2025/11/16/"
    assert {event["status"] for event in loaded.of("source_finished")} == {"loaded"}
    collected = {event["source"]: event["collected"] for event in loaded.of("source_finished")}
    assert collected == {"api": 150, "postgres": 750, "s3": 2500}
    progress = [event["text"] for event in loaded.of("source_progress")]
    assert "Query: SELECT * FROM public.transactions_2025_11_16" in progress
    assert any(text.endswith("Parquet files") for text in progress)
    counts = loaded.query(COUNTS)
    assert [row[1] for row in counts if row[0] != "users"] == [150, 2500, 750]
    assert all(row[2] for row in counts)
    types = dict(
        loaded.query(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = 'raw_s3' and table_name = 'events'"
        )
    )
    assert list(types)[-len(FIXED) :] == FIXED
    assert loaded.query("select distinct load_date, load_id, reject_reason from raw_s3.events") == [
        (DAY, "run-1", None)
    ]
    assert not secrets_in(tmp_path, configured)
    # what landed stays for the archive, what was loaded does not stay twice
    assert sorted(path.name for path in (tmp_path / "work" / "landing").iterdir()) == ["api", "postgres", "s3"]
    assert not list((tmp_path / "work").rglob("*/dlt/*/*"))


def test_both_targets_hold_the_same_rows(configured: dict[str, str], tmp_path: Path):
    # the warehouse is shared with other tests, and may hold their loads
    run_id = "both-targets"
    code, loaded, errors = run_child(tmp_path / "work", "--target", "postgres", "--run-id", run_id)
    assert (code, errors) == (0, "")
    assert {event["status"] for event in loaded.of("source_finished")} == {"loaded"}
    assert not secrets_in(tmp_path, configured)
    run_child(tmp_path / "duck", "--source", "s3", "--run-id", run_id)
    sql = (
        "select event_id, user_id, event_type, event_time, amount, quantity, currency, country, "
        "device, payload, load_date, source_object, source_row, load_id, reject_reason "
        f"from raw_s3.events where load_id = '{run_id}' order by source_object, source_row"
    )
    there = warehouse_rows(configured, sql)
    assert len(there) == 2500
    assert there == query(sql)
    (types,) = warehouse_rows(
        configured,
        "select array_agg(data_type::text order by ordinal_position) from "
        "information_schema.columns where table_schema = 'raw_api' and table_name = 'events'",
    )
    assert types[0] == [
        "character varying",
        "date",
        "character varying",
        "bigint",
        "character varying",
        "timestamp with time zone",
        "character varying",
        "character varying",
    ]


def test_only_the_chosen_source_is_loaded(configured: dict[str, str], tmp_path: Path):
    code, loaded, _ = run_child(tmp_path / "work", "--source", "api")
    assert code == 0
    assert [event["source"] for event in loaded.of("source_finished")] == ["api"]
    schemas = query("select distinct schema_name from duckdb_tables()")
    assert schemas == [("raw_api",)]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--source", "s4"], ["'s4'", "api, postgres, s3"]),
        (["--date", "2025-02-30"], ["'2025-02-30'", "YYYY-MM-DD"]),
        (["--date", "20251116"], ["'20251116'"]),
        (["--target", "oracle"], ["oracle", "duckdb"]),
        (["--deadline-s", "0"], ["--deadline-s"]),
        (["--run-id", "../x"], ["--run-id"]),
    ],
)
def test_configuration_errors_end_with_2_and_one_line(
    configured: dict[str, str], tmp_path: Path, arguments: list[str], parts: list[str]
):
    code, loaded, _ = run_child(tmp_path / "work", *arguments)
    assert code == 2
    (event,) = loaded.events
    assert event["event"] == "configuration_error"
    assert all(part in event["message"] for part in parts)
    assert not Path(os.environ["DUCKDB_PATH"]).exists()


def test_help_is_no_error(tmp_path: Path):
    command = [sys.executable, "-m", "loaders", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--deadline-s" in done.stderr
    assert done.stdout == ""


def test_a_missing_warehouse_variable_is_a_configuration_error(
    configured: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("POSTGRES_PASSWORD")
    code, loaded, _ = run_child(tmp_path / "work", "--target", "postgres")
    assert code == 2
    assert [event["event"] for event in loaded.events] == ["configuration_error"]
    assert "POSTGRES_PASSWORD is not set" in loaded.events[0]["message"]


def test_one_failing_source_touches_no_other(bucket: Bucket, api: ScriptedApi, tmp_path: Path):
    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n")
    api.script = lambda path, number: Answer(status=500)
    loaded = load([api.source(), bucket.source()], tmp_path / "work")
    assert loaded.finished("partner")["status"] == "failed"
    assert loaded.finished("lake")["status"] == "loaded"
    assert query("select x from raw_lake.events") == [("1",)]


def test_all_sources_down_still_ends_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOURCES__PARTNER__KIND", "rest_api")
    monkeypatch.setenv("SOURCES__PARTNER__BASE_URL", "http://127.0.0.1:9")
    code, loaded, _ = run_child(tmp_path / "work")
    assert code == 0
    assert loaded.finished("partner")["reason"] == (
        "source 'partner': no page after 3 tries (connection refused, GET /)"
    )
    assert not Path(os.environ["DUCKDB_PATH"]).exists()


def test_a_hung_source_is_left_behind_and_the_others_are_loaded(bucket: Bucket, api: ScriptedApi, tmp_path: Path):
    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n")
    # accepts and never answers; the read timeout alone would wait a minute
    api.script = lambda path, number: Answer(delay_s=60)
    started = time.monotonic()
    loaded = load([api.source(timeout_s=60), bucket.source()], tmp_path / "work", deadline_s=4)
    assert time.monotonic() - started < 15
    assert loaded.finished("lake")["status"] == "loaded"
    done = loaded.finished("partner")
    assert (done["status"], done["transient"]) == ("failed", True)
    assert "timeout" in done["reason"]


def test_a_hung_source_does_not_keep_the_child_alive(api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    api.script = lambda path, number: Answer(delay_s=60)
    monkeypatch.setenv("SOURCES__PARTNER__KIND", "rest_api")
    monkeypatch.setenv("SOURCES__PARTNER__BASE_URL", api.url)
    code, loaded, _ = run_child(tmp_path / "work", "--deadline-s", "1", timeout=30)
    assert code == 0
    assert "timeout" in loaded.finished("partner")["reason"]


def test_a_second_load_appends_and_deletes_nothing(bucket: Bucket, tmp_path: Path):
    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n2\n")
    load([bucket.source()], tmp_path / "one")
    load([bucket.source()], tmp_path / "two", run_id="run-2")
    assert query("select load_id, count(*) from raw_lake.events group by 1 order by 1") == [
        ("run-1", 2),
        ("run-2", 2),
    ]
    tables = query("select table_name from duckdb_tables() order by 1")
    assert [name for (name,) in tables] == ["_dlt_loads", "_dlt_version", "events"]


def test_rejected_records_are_counted(bucket: Bucket, tmp_path: Path):
    bucket.put("raw/2025/11/16/a.csv", b"x,y\n1,2\n3\n")
    done = load([bucket.source()], tmp_path / "work").finished("lake")
    assert (done["collected"], done["rejected"]) == (2, 1)


def test_a_count_that_differs_fails_the_source(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n2\n")
    monkeypatch.setattr(warehouse.Warehouse, "_count", lambda *_: 1)
    done = load([bucket.source()], tmp_path / "work").finished("lake")
    assert (done["status"], done["transient"]) == ("failed", False)
    assert done["reason"] == (
        "source 'lake': row counts differ, raw_lake.events holds 1 rows of load run-1 and 2 were collected"
    )


def test_a_locked_warehouse_is_tried_again(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n")
    script = "import duckdb, sys, time\nheld = duckdb.connect(sys.argv[1])\nprint(1, flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, os.environ["DUCKDB_PATH"]], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        connect = DuckDB.connect

        def connect_or_free(self: DuckDB) -> Any:
            try:
                return connect(self)
            except Exception:
                holder.kill()
                holder.wait()
                raise

        monkeypatch.setattr(DuckDB, "connect", connect_or_free)
        loaded = load([bucket.source()], tmp_path / "work")
    (failed,) = loaded.of("attempt_failed")
    assert failed["error"] == "warehouse file is locked"
    # no other file is opened in its place
    assert not list(Path().glob("load_*.duckdb"))
    assert loaded.finished("lake")["status"] == "loaded"
    assert query("select count(*) from raw_lake.events") == [(1,)]


def test_a_load_that_broke_before_writing_is_repeated_from_an_untouched_package(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob

    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n2\n")
    real, calls = DuckDbCopyJob.run, []

    def fail_once(job: DuckDbCopyJob) -> None:
        calls.append(job)
        if len(calls) == 1:
            raise ConnectionResetError("connection reset by peer")
        real(job)

    monkeypatch.setattr(DuckDbCopyJob, "run", fail_once)
    loaded = load([bucket.source()], tmp_path / "work")
    assert loaded.finished("lake")["status"] == "loaded"
    assert loaded.of("attempt_failed")[0]["error"] == "Connection reset"
    assert query("select count(*) from raw_lake.events") == [(2,)]


def test_a_load_that_broke_after_writing_is_not_repeated(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob

    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n2\n")
    real = DuckDbCopyJob.run

    def commit_then_fail(job: DuckDbCopyJob) -> None:
        real(job)
        raise ConnectionResetError("connection reset by peer")

    monkeypatch.setattr(DuckDbCopyJob, "run", commit_then_fail)
    loaded = load([bucket.source()], tmp_path / "work")
    assert loaded.finished("lake")["status"] == "failed"
    # what was written once is there once: the supervisor sweeps it
    assert query("select count(*) from raw_lake.events") == [(2,)]


def test_a_commit_that_was_not_heard_of_is_noticed_before_the_next_try(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob

    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n2\n")
    load_rows, count, blind = DuckDbCopyJob.run, warehouse.Warehouse._count, []

    def commit_then_fail(job: DuckDbCopyJob) -> None:
        load_rows(job)
        blind.append(True)
        raise ConnectionResetError("connection reset by peer")

    def count_later(*arguments: Any) -> int:
        if blind and blind.pop():
            raise ConnectionResetError("connection reset by peer")
        return count(*arguments)

    monkeypatch.setattr(DuckDbCopyJob, "run", commit_then_fail)
    monkeypatch.setattr(warehouse.Warehouse, "_count", count_later)
    loaded = load([bucket.source()], tmp_path / "work")
    assert [event["error"] for event in loaded.of("attempt_failed")] == ["Connection reset", "partly loaded"]
    assert loaded.finished("lake")["status"] == "failed"
    assert query("select count(*) from raw_lake.events") == [(2,)]


def test_the_warehouse_is_not_left_locked(bucket: Bucket, tmp_path: Path):
    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n")
    load([bucket.source()], tmp_path / "work")
    script = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, os.environ["DUCKDB_PATH"]], check=True)


def test_pandas_is_never_imported_and_dlt_only_in_the_end():
    script = (
        "import sys\nimport loaders.__main__, loaders.sources\n"
        "print([m for m in ('dlt', 'pyarrow', 'boto3', 'requests', 'pandas') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"


@pytest.mark.parametrize("way", ["terminate", "orphan"])
def test_the_child_ends_when_told_or_when_its_parent_is_gone(
    api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
):
    api.script = lambda path, number: Answer(delay_s=60)
    monkeypatch.setenv("SOURCES__PARTNER__KIND", "rest_api")
    monkeypatch.setenv("SOURCES__PARTNER__BASE_URL", api.url)
    arguments = ["--date", "2025-11-16", "--run-id", "r", "--target", "duckdb"]
    child = [sys.executable, "-m", "loaders", *arguments, "--workdir", str(tmp_path / "work")]
    script = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen({child!r}, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\nprint(child.pid, flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        if way == "terminate":
            os.kill(pid, signal.SIGTERM)
        parent.kill()
    ends = time.monotonic() + 15
    while time.monotonic() < ends and Path(f"/proc/{pid}/stat").exists():
        if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_reference_types_that_drift_fail_with_a_reason(database: Database, tmp_path: Path):
    database.run("create table users as select 1::bigint as id")
    source = database.source(database.table("users", reference=True), allow_empty=True)
    load([source], tmp_path / "one")
    database.run("drop table users; create table users as select 'x'::text as id")
    done = load([source], tmp_path / "two", run_id="run-2").finished("shop")
    assert (done["status"], done["transient"]) == ("failed", False)
    assert query("select count(*) from raw_shop.users") == [(1,)]


def test_workdir_holds_the_log_and_what_landed(configured: dict[str, str], tmp_path: Path):
    code, _, _ = run_child(tmp_path / "work", "--date", "2025-11-15")
    assert code == 0
    assert "failed" in (tmp_path / "work" / "loaders.log").read_text()
    assert (tmp_path / "work" / "landing" / "api" / "page-00001.json").exists()
