"""Tables of a real PostgreSQL: types, order, one snapshot, and what a server can do wrong."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from loader_helpers import DAY, FIXED, Database, load, make_attempt, read_rows, values

from loaders.config import read_sources
from loaders.errors import SourceError
from loaders.failures import classify
from loaders.kinds.postgres import PostgresCredentials, PostgresSource, PostgresTable, connection_uri, open_postgres


def test_columns_come_as_text_in_the_order_of_the_key(database: Database, tmp_path: Path):
    database.run(
        """
        create table orders_2025_11_16 (
            "Order ID" bigint primary key, payload jsonb, amount numeric, at timestamptz,
            raw bytea, tags text[], ok boolean, f float8
        );
        insert into orders_2025_11_16 values
            (3, '{"b":1, "a":2}', 1.10, '2025-11-16 01:00:00+05', '\\x00ff',
                '{a,"b c"}', true, 0.1),
            (1, null, 'NaN', 'infinity', null, null, null, 'infinity');
        """
    )
    table = database.table("orders_{date:%Y_%m_%d}", target="orders")
    extraction = open_postgres(database.source(table), make_attempt(tmp_path))
    schema = extraction.schemas["orders"]
    own = ["order_id", "payload", "amount", "at", "raw", "tags", "ok", "f"]
    assert schema.names == [*own, *FIXED]
    assert {schema.field(name).type for name in own} == {pa.string()}
    rows = read_rows(extraction)
    assert values(rows, "source_row", "source_object", *own) == [
        (
            1,
            f"{database.schema}.orders_2025_11_16",
            "1",
            None,
            "NaN",
            "infinity",
            None,
            None,
            None,
            "Infinity",
        ),
        (
            2,
            f"{database.schema}.orders_2025_11_16",
            "3",
            '{"a": 2, "b": 1}',
            "1.10",
            "2025-11-15 20:00:00+00",
            "\\x00ff",
            '{a,"b c"}',
            "true",
            "0.1",
        ),
    ]


def test_a_reference_table_keeps_its_types(database: Database, tmp_path: Path):
    database.run(
        """
        create table users (id bigint, n integer, price numeric(12, 2), big numeric, day date,
            at timestamptz, local timestamp, ok boolean, name varchar(10), uid uuid);
        insert into users values (1, 2, 3.40, 5e30, '2025-11-16', '2025-11-16 01:00+01',
            '2025-11-16 01:00', true, 'x', '00000000-0000-0000-0000-000000000001');
        """
    )
    table = database.table("users", reference=True)
    extraction = open_postgres(database.source(table), make_attempt(tmp_path))
    types = {field.name: str(field.type) for field in extraction.schemas["users"]}
    assert [types[name] for name in ("id", "n", "price", "big", "day", "at", "local", "ok")] == [
        "int64",
        "int32",
        "decimal128(12, 2)",
        "string",
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "timestamp[us]",
        "bool",
    ]
    assert "payload" not in types
    (row,) = read_rows(extraction)
    assert str(row["price"]) == "3.40"
    assert row["uid"] == "00000000-0000-0000-0000-000000000001"
    assert extraction.reference == {"users"}


def test_reference_rows_are_not_the_days_records(database: Database, tmp_path: Path):
    database.run(
        """
        create table sales as select 1 as id, '{}' as payload from generate_series(1, 3);
        create table users as select n as id from generate_series(1, 5) n;
        """
    )
    source = database.source(database.table("sales"), database.table("users", reference=True))
    loaded = load([source], tmp_path / "work")
    done = loaded.finished("shop")
    assert done["collected"] == 3
    assert done["detail"]["tables"] == {"sales": 3, "users": 5}
    assert loaded.query("select sum(id) from raw_shop.users") == [(15,)]


def test_all_tables_are_read_in_one_snapshot(database: Database, tmp_path: Path):
    database.run(
        """
        create table a as select n as id from generate_series(1, 100) n;
        create table b as select n as id from generate_series(1, 100) n;
        """
    )
    source = database.source(database.table("a"), database.table("b"))
    extraction = open_postgres(source, make_attempt(tmp_path))
    database.run("delete from a; delete from b where id > 50; insert into b values (1000)")
    counts = {name: table.num_rows for name, table in extraction.tables}
    assert counts == {"a": 100, "b": 100}


def test_nothing_can_be_written_through_the_connection(database: Database, tmp_path: Path):
    database.run("create table t (id int); create sequence s")
    where = f"nextval('{database.schema}.s') > 0"
    database.run("insert into t values (1)")
    source = database.source(database.table("t", where=where))
    with pytest.raises(SourceError, match="read-only"):
        read_rows(open_postgres(source, make_attempt(tmp_path)))


def test_a_filter_takes_the_day(database: Database, tmp_path: Path):
    database.run(
        """
        create table t (id int primary key, day date);
        insert into t values (1, '2025-11-15'), (2, '2025-11-16'), (3, '2025-11-16');
        """
    )
    table = database.table("t", where="day = '{date:%Y-%m-%d}'")
    rows = read_rows(open_postgres(database.source(table), make_attempt(tmp_path)))
    assert values(rows, "id", "source_row") == [("2", 1), ("3", 2)]


def test_names_with_quotes_are_names(database: Database, tmp_path: Path):
    database.run('create table "odd""; drop table x --" ("a""b" text); ')
    database.run("""insert into "odd""; drop table x --" values ('v')""")
    table = database.table('odd"; drop table x --', target="odd")
    rows = read_rows(open_postgres(database.source(table), make_attempt(tmp_path)))
    assert values(rows, "a_b") == ["v"]


def test_a_missing_day_is_no_data_unless_allowed(database: Database, tmp_path: Path):
    table = database.table("orders_{date:%Y_%m_%d}", target="orders", columns=("id",))
    loaded = load([database.source(table)], tmp_path / "one")
    done = loaded.finished("shop")
    assert (done["status"], done["no_data"], done["tries"]) == ("failed", True, 1)
    assert f"{database.schema}.orders_2025_11_16 does not exist" in done["reason"]
    loaded = load([database.source(table, allow_empty=True)], tmp_path / "two")
    assert loaded.finished("shop")["status"] == "loaded"
    assert loaded.query("select count(*), count(id), count(payload) from raw_shop.orders") == [(0, 0, 0)]


def test_an_empty_table_is_no_data_unless_allowed(database: Database, tmp_path: Path):
    database.run("create table t (id int)")
    source = database.source(database.table("t"))
    assert load([source], tmp_path / "one").finished("shop")["no_data"]
    source = database.source(database.table("t"), allow_empty=True)
    loaded = load([source], tmp_path / "two")
    assert loaded.finished("shop")["status"] == "loaded"
    assert loaded.query("select count(id) from raw_shop.t") == [(0,)]


def test_a_missing_reference_table_fails_at_once(database: Database, tmp_path: Path):
    source = database.source(database.table("users", reference=True), allow_empty=True)
    done = load([source], tmp_path / "work").finished("shop")
    assert (done["tries"], done["transient"]) == (1, False)
    assert "no such table" in done["reason"]
    assert "no_data" not in done


def test_a_terminated_backend_is_transient(database: Database, tmp_path: Path):
    database.run("create table t as select n as id, repeat('x', 500) from generate_series(1, 300000) n")
    extraction = open_postgres(database.source(database.table("t")), make_attempt(tmp_path))
    next(extraction.tables)
    database.run(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'goalkeeper' and datname = current_database()"
    )
    with pytest.raises(SourceError) as caught:
        list(extraction.tables)
    assert caught.value.transient


def test_a_statement_ends_at_its_timeout(database: Database, tmp_path: Path):
    database.run("create table t (id int); insert into t values (1)")
    table = database.table("t", where="pg_sleep(20) is not null")
    started = time.monotonic()
    extraction = open_postgres(database.source(table, timeout_s=0.5), make_attempt(tmp_path))
    with pytest.raises(SourceError) as caught:
        read_rows(extraction)
    assert caught.value.code == "Timeout"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("change", "code", "transient"),
    [
        ({"password": "canary-wrong"}, "wrong password", False),
        ({"database": "nothing_there"}, "no such database", False),
        ({"port": 9}, "Connection refused", True),
        ({"host": "no-such-host.invalid"}, "host not found", True),
    ],
)
def test_failures_to_connect_are_told_apart(
    database: Database, tmp_path: Path, change: dict[str, object], code: str, transient: bool
):
    database.run("create table t (id int)")
    source = database.source(database.table("t"), credentials=database.credentials(**change))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        open_postgres(source, make_attempt(tmp_path))
    failure = classify(caught.value, "connecting")
    assert (failure.code, failure.transient) == (code, transient)
    assert "canary-wrong" not in failure.text + failure.detail


def test_a_denied_table_fails_at_once(configured: dict[str, str], tmp_path: Path):
    (source,) = read_sources(["postgres"])
    assert isinstance(source, PostgresSource)
    secret = PostgresTable("pg_authid", "pg_authid", "pg_catalog", None, False, ())
    denied = replace(source, tables=(secret,))
    done = load([denied], tmp_path / "work").finished("postgres")
    assert (done["tries"], done["transient"]) == (1, False)
    assert "permission denied" in done["reason"]


def test_connection_strings_quote_every_part():
    credentials = PostgresCredentials("h", 5432, "d b", "u@x", "p:/?#&", {"sslmode": "require"})
    start = "postgresql://u%40x:p%3A%2F%3F%23%26@h:5432/d%20b?"
    assert connection_uri(credentials).startswith(start)
    assert "sslmode=require" in connection_uri(credentials)


def test_location_names_the_day(database: Database):
    source = database.source(database.table("t_{date:%Y%m%d}", target="t"), database.table("users", reference=True))
    assert source.location(DAY) == "t_20251116"
