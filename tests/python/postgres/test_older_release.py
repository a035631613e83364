"""A warehouse that the release before entities has made is brought up to date by the next run, on both engines, and keeps its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from end_to_end.helpers import GOLDEN_DAY, YESTERDAY, orchestrate
from postgres.helpers import connect, query

from supervisor.record.migrations import MIGRATIONS

# as the last release made them, with a row of the day before in each
TABLES = {
    "quarantine.quarantined_events": (
        "load_date date, source text, source_object text, source_row bigint, event_id text, reasons text, payload text, "
        "run_id text, status text, replayed_by_run text",
        "'s3', 'a.parquet', 7, 'e7', 'orphan_user', '{}', 'old', 'open', null",
    ),
    "quality.corrections": (
        "load_date date, source text, event_id text, source_object text, source_row bigint, field text, value_before text, "
        "value_after text, rule_id text, run_id text",
        "'s3', 'e8', 'a.parquet', 8, 'amount', '-1.00', '1.00', 'sign_flipped', 'old'",
    ),
    "quality.quality_scores": (
        "load_date date, run_id text, source text, dimension text, check_name text, attempted bigint, failed bigint, "
        "score numeric(9, 8), threshold numeric(9, 8), passed boolean, iteration integer",
        "'old', 's3', 'accuracy', 'amount_in_range', 10, 1, 0.9, 0.98, false, 0",
    ),
    "metadata.lineage": (
        "load_date date, run_id text, source text, load_id text, source_location text, raw_schema text, target_table text, "
        "count_collected bigint, count_quarantined bigint, count_duplicates bigint, count_published bigint",
        "'old', 's3', 'old', 'raw/', 'raw_s3', 'analytics.events', 10, 1, 0, 9",
    ),
    "intermediate.int_quality_scores": (
        "load_date date, source text, dimension text, check_name text, attempted bigint, failed bigint, "
        "score numeric(9, 8), threshold numeric(9, 8), passed boolean, iteration integer",
        "'s3', 'accuracy', 'amount_in_range', 10, 1, 0.9, 0.98, false, 0",
    ),
}
PARTITIONED = ("quarantine.quarantined_events", "quality.corrections")
Execute = Callable[[str], list[tuple[Any, ...]]]


def make_old_warehouse(execute: Execute, partitioned: bool) -> None:
    for schema in ("metadata", "quarantine", "quality", "intermediate", *(["day_partitions"] if partitioned else [])):
        execute(f"create schema if not exists {schema}")
    execute(
        "create table metadata.schema_migrations (version integer not null, name varchar(200), applied_at timestamptz)"
    )
    for migration in MIGRATIONS[:3]:
        for statement in migration.statements:
            execute(statement)
        execute(f"insert into metadata.schema_migrations values ({migration.version}, '{migration.name}', now())")
    execute(
        "insert into metadata.unpublished_scores values "
        f"('held_back', date '{YESTERDAY}', 's3', 'accuracy', 'amount_in_range', 10, 1, 0.9, 0.98, false, 0)"
    )
    for table, (columns, row) in TABLES.items():
        by_day = partitioned and table in PARTITIONED
        execute(f"create table {table} ({columns}){' partition by range (load_date)' if by_day else ''}")
        if by_day:
            name = f"day_partitions.{table.replace('.', '_')}_{YESTERDAY.replace('-', '_')}"
            execute(f"create table {name} partition of {table} for values from ('{YESTERDAY}') to ('{GOLDEN_DAY}')")
        execute(f"insert into {table} values (date '{YESTERDAY}', {row})")


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def afterwards(
    request: pytest.FixtureRequest, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Execute:
    """What a query finds in such a warehouse after a day has been run on it."""
    folder = tmp_path_factory.mktemp("older")
    ask = _asking(request.param, folder, servers)
    make_old_warehouse(ask, request.param == "postgres")
    run = orchestrate(folder, "--date", GOLDEN_DAY, "--target", request.param, "--archive", "", "--json", env=servers)
    assert run.exit_code == 0, run.errors[-3_000:]
    assert run.summary["status"] == "SUCCESS"
    return ask


def _asking(target: str, folder: Path, servers: Mapping[str, str]) -> Execute:
    def embedded(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            return connection.execute(sql).fetchall()

    server = connect(servers) if target == "postgres" else None
    return embedded if server is None else lambda sql: query(server, sql)


def test_the_rows_of_the_day_before_are_kept_and_are_those_of_events(afterwards: Execute) -> None:
    before = f"where load_date = date '{YESTERDAY}'"
    assert afterwards(f"select entity, record_key, reasons, status from quarantine.quarantined_records {before}") == [
        ("events", "e7", "orphan_user", "open")
    ]
    assert afterwards(f"select entity, record_key, value_after from quality.corrections {before}") == [
        ("events", "e8", "1.00")
    ]
    assert afterwards(f"select entity, source, failed from quality.quality_scores {before}") == [("events", "s3", 1)]
    assert afterwards(f"select entity, count_published from metadata.lineage {before}") == [("events", 9)]
    assert afterwards(f"select entity, run_id from metadata.unpublished_scores {before}") == [("events", "held_back")]


def test_the_day_lies_in_the_same_tables(afterwards: Execute) -> None:
    for table, count in (
        ("quarantine.quarantined_records", 51),
        ("metadata.lineage", 3),
        ("quality.corrections", None),
        ("quality.quality_scores", None),
    ):
        ((entities, found),) = afterwards(
            f"select count(distinct entity), count(*) from {table} where load_date = date '{GOLDEN_DAY}'"
        )
        assert entities == 1
        assert found == count if count is not None else found > 0
    assert afterwards("select count(*) from intermediate.int_quality_scores where entity is null") == [(0,)]


def test_nothing_of_the_old_name_is_left(afterwards: Execute) -> None:
    left = "select count(*) from information_schema.tables where table_schema = 'quarantine' and table_name = 'quarantined_events'"
    assert afterwards(left) == [(0,)]
