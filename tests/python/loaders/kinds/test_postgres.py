"""Tables of a real PostgreSQL: types, order, one snapshot, and what a server can do wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loader_helpers import DAY, FIXED, Database, load, make_attempt, read_rows, values

from loaders.attempt import BATCH_BYTES
from loaders.config import read_sources
from loaders.errors import SourceError
from loaders.failures import classify
from loaders.formats.files import MIB
from loaders.kinds.postgres import (
    PostgresCredentials,
    PostgresSource,
    PostgresTable,
    connection_uri,
    open_postgres,
    quoted,
)
from loaders.sources import check_source
from sandbox.postgres_server import PostgresServer, connect
from sandbox.workspace import open_workspace


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server in which databases of any encoding can be made."""
    with open_workspace() as workspace:
        server = PostgresServer(workspace)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def encoded(server: PostgresServer) -> Callable[..., PostgresSource]:
    """Makes a database of an encoding with tables in it, and the source that reads them."""

    def make(encoding: str, sql: str, *tables: PostgresTable) -> PostgresSource:
        name = f"d_{encoding.lower()}_{time.monotonic_ns()}"
        with closing(connect(server.login())) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"create database {name} encoding '{encoding}' locale 'C' locale_provider libc template template0"
            )
        login = server.login(name)
        with closing(connect(login)) as connection, connection.cursor() as cursor:
            # as the bytes are given, without conversion
            cursor.execute("set client_encoding = 'SQL_ASCII'")
            cursor.execute(sql)
        credentials = PostgresCredentials(login.host, login.port, login.database, login.username, login.password)
        return PostgresSource("shop", tables, credentials, timeout_s=20)

    return make


def plain(name: str, **changes: Any) -> PostgresTable:
    return replace(PostgresTable(name, name, "public", None, False, ()), **changes)


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


def test_an_empty_table_is_no_data_beside_a_full_one_unless_allowed(database: Database, tmp_path: Path):
    database.run("create table full_one as select 1 as id; create table t (id int)")
    full = database.table("full_one")
    done = load([database.source(full, database.table("t"))], tmp_path / "one").finished("shop")
    assert (done["no_data"], done["reason"]) == (True, "source 'shop': no data: t is empty")
    done = load([database.source(full, replace(database.table("t"), allow_empty=True))], tmp_path / "two").finished(
        "shop"
    )
    assert (done["status"], done["detail"]["tables"]) == ("loaded", {"full_one": 1, "t": 0})


VIEWS = """
create table t (id int, name text, doc json, day date);
insert into t select n, 'name ' || n, '{}', date '2025-11-16' from generate_series(1, 2000) n;
create view v as select id as "Order ID", upper(name) as name, doc, day from t where id % 2 = 0 order by random();
create materialized view m as select * from t order by random();
create unique index on m (id) include (name);
create unique index on m ((id + 1)) where id < 5;
create table parted (id int, day date) partition by range (day);
create table part_1 partition of parted for values from ('2025-11-16') to ('2025-11-17');
insert into parted select id, day from t;
create unique index on parted (id, day);
"""


def test_views_and_partitioned_tables_are_read_as_tables_are(database: Database, tmp_path: Path):
    database.run(VIEWS)
    tables = [
        database.table("v", order_by=("name", "Order ID")),
        database.table("m", cursor="day"),
        database.table("parted"),
        replace(database.table("v", reference=True), name="kept"),
    ]
    extraction = open_postgres(database.source(*tables), make_attempt(tmp_path))
    found: dict[str, list[Any]] = {name: [] for name in extraction.schemas}
    for name, table in extraction.tables:
        found[name] += table.to_pylist()
    assert {name: len(rows) for name, rows in found.items()} == {"v": 1000, "m": 2000, "parted": 2000, "kept": 1000}
    names = sorted(f"NAME {number}" for number in range(2, 2001, 2))
    assert values(sorted(found["v"], key=lambda row: row["source_row"]), "name") == names
    for key in ("m", "parted"):
        assert values(sorted(found[key], key=lambda row: row["source_row"]), "id") == [str(n) for n in range(1, 2001)]
    assert {type(row["order_id"]) for row in found["kept"]} == {int}
    # what is read twice is told apart
    assert {row["source_object"] for row in found["v"]} == {f"{database.schema}.v/v"}
    assert {row["source_object"] for row in found["kept"]} == {f"{database.schema}.v/kept"}
    assert len(list((tmp_path / "landing").iterdir())) == 4


def test_tables_of_several_schemas_are_one_snapshot_of_one_source(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = f'{database.schema} "Sales"'
    database.run(f"create table orders as select 1 as id; create schema {quoted(other)}")
    try:
        database.run(f'create table {quoted(other)}."Orders" as select 2 as "select"')
        url = connection_uri(database.credentials())
        for key, value in {
            "KIND": "postgres",
            "CREDENTIALS": url,
            "SCHEMA": database.schema,
            "TABLES__ORDERS__TABLE": "orders",
            "TABLES__SALES__TABLE": "Orders",
            "TABLES__SALES__SCHEMA": other,
        }.items():
            monkeypatch.setenv(f"SOURCES__SHOP__{key}", value)
        (source,) = read_sources()
        assert source.location(DAY) == f"orders, {other}.Orders"
        assert all(check.ok for check in check_source(source, DAY))
        extraction = source.open(make_attempt(tmp_path))
        database.run(f'insert into {quoted(other)}."Orders" values (3)')
        rows = read_rows(extraction)
        assert [(row["source_object"], row.get("id"), row.get("select")) for row in rows] == [
            (f"{other}.Orders", None, "2"),
            (f"{database.schema}.orders", "1", None),
        ]
    finally:
        database.run(f"drop schema {quoted(other)} cascade")


def test_a_schema_before_the_table_is_a_mistake_that_is_told(database: Database, tmp_path: Path):
    done = load([database.source(database.table("sales.orders"))], tmp_path / "work").finished("shop")
    assert "sales.orders does not exist. Is 'sales' a schema? It goes into `schema`" in done["reason"]


def test_a_source_may_hold_nothing_but_references(database: Database, tmp_path: Path):
    database.run("create table users as select 1 as id")
    done = load([database.source(database.table("users", reference=True))], tmp_path / "work").finished("shop")
    assert (done["status"], done["collected"], done["reason"]) == ("loaded", 0, None)


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


MIDNIGHTS = """
create domain day as date;
create table t (id int primary key, "At" timestamptz, local timestamp, day date, own day, note text);
insert into t select n, (at || '+00')::timestamptz, at::timestamp, at::timestamp::date, at::timestamp::date
from unnest(array['2025-11-15 23:59:59.999999', '2025-11-16 00:00:00', '2025-11-16 23:59:59.999999', '2025-11-17 00:00:00'])
    with ordinality as given (at, n);
insert into t values (5), (6), (7);
update t set "At" = 'infinity', local = 'infinity', day = 'infinity', own = 'infinity' where id = 6;
update t set "At" = '-infinity', local = '-infinity', day = '-infinity', own = '-infinity' where id = 7;
"""


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Apia"])
@pytest.mark.parametrize("cursor", ["At", "local", "day", "own"])
def test_a_cursor_takes_the_day_to_the_microsecond(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, cursor: str
):
    database.run(MIDNIGHTS)
    monkeypatch.setenv("TZ", zone)
    monkeypatch.setenv("PGTZ", zone)
    time.tzset()
    try:
        credentials = database.credentials(query={"options": f"-ctimezone={zone}"})
        source = database.source(database.table("t", cursor=cursor), credentials=credentials)
        rows = read_rows(open_postgres(source, make_attempt(tmp_path)))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert values(rows, "id", "source_row") == [("2", 1), ("3", 2)]


def test_days_side_by_side_take_every_record_once(database: Database, tmp_path: Path):
    database.run(
        """
        create table t (id int primary key, at timestamptz);
        insert into t select n, timestamptz '2025-11-14 00:00+00' + n * interval '7 hours 13 minutes' from generate_series(0, 30) n;
        insert into t values (99, '9999-12-31 23:59:59.999999+00');
        """
    )
    source = database.source(database.table("t", cursor="at"), allow_empty=True)
    attempt = make_attempt(tmp_path)
    days = [date(2025, 11, day) for day in range(14, 25)] + [date.max]
    found = []
    for day in days:
        rows = read_rows(open_postgres(source, replace(attempt, stamp=replace(attempt.stamp, load_date=day))))
        assert all(row["at"].startswith(day.isoformat()) for row in rows)
        found += values(rows, "id")
    assert sorted(map(int, found)) == [*range(31), 99]


@pytest.mark.parametrize("cursor", ["At", "local", "day"])
def test_late_days_reach_back_to_records_that_came_late(database: Database, tmp_path: Path, cursor: str):
    database.run(MIDNIGHTS)
    table = database.table(
        "t", cursor=cursor, late_days=2, where="day >= '{start:%Y-%m-%d}' and day < '{end:%Y-%m-%d}'"
    )
    source = database.source(table)
    found = {}
    for day in (16, 17, 18):
        attempt = make_attempt(tmp_path)
        attempt = replace(attempt, stamp=replace(attempt.stamp, load_date=date(2025, 11, day)))
        found[day] = values(read_rows(open_postgres(source, attempt)), "id")
    assert found == {16: ["1", "2", "3"], 17: ["1", "2", "3", "4"], 18: ["2", "3", "4"]}
    assert source.location(DAY) == f"t ({cursor} 2025-11-14 to 2025-11-16)"


def test_a_cursor_and_a_filter_hold_both(database: Database, tmp_path: Path):
    database.run(MIDNIGHTS)
    table = database.table("t", cursor="local", where="id = 1 or id = 2")
    rows = read_rows(open_postgres(database.source(table), make_attempt(tmp_path)))
    assert values(rows, "id") == ["2"]


@pytest.mark.parametrize(
    ("cursor", "parts"),
    [("nothing", ["no such column", "'nothing'", "id, At, local"]), ("note", ["'note'", "is text", "timestamp"])],
)
def test_an_unusable_cursor_fails_at_once_and_is_named(
    database: Database, tmp_path: Path, cursor: str, parts: list[str]
):
    database.run(MIDNIGHTS)
    source = database.source(database.table("t", cursor=cursor))
    done = load([source], tmp_path / "work").finished("shop")
    assert (done["status"], done["tries"], done["transient"]) == ("failed", 1, False)
    assert all(part in done["reason"] for part in parts), done["reason"]
    (failed,) = [check for check in check_source(source, DAY) if not check.ok]
    assert all(part in failed.detail for part in parts)


def test_location_check_and_progress_name_the_window(database: Database, tmp_path: Path):
    database.run(MIDNIGHTS)
    source = database.source(database.table("t", cursor="At"))
    assert source.location(DAY) == "t (At 2025-11-16)"
    window = (
        "\"At\" >= timestamptz '2025-11-16 00:00+00' and \"At\" < timestamptz '2025-11-16 00:00+00' + interval '1 day'"
    )
    assert f"table {database.schema}.t exists, read where {window}" in [
        check.detail for check in check_source(source, DAY)
    ]
    (said,) = load([source], tmp_path / "work").of("source_progress")
    assert said["text"] == f"Query: SELECT * FROM {database.schema}.t WHERE {window}"


def test_a_day_without_records_at_the_cursor_is_no_data(database: Database, tmp_path: Path):
    database.run(MIDNIGHTS + "delete from t where id in (2, 3)")
    done = load([database.source(database.table("t", cursor="At"))], tmp_path / "work").finished("shop")
    assert done["no_data"]
    assert "t (At 2025-11-16) is empty" in done["reason"]


def test_records_come_as_text_whatever_their_types_hold(database: Database, tmp_path: Path):
    given = {
        "date": ["infinity", "-infinity", "0044-03-15 BC", "5874897-12-31"],
        "timestamp": ["infinity", "4713-11-24 00:00:00 BC", "294276-12-31 23:59:59.999999"],
        "timestamptz": ["-infinity", "10000-01-01 00:00:00+00"],
        "time": ["24:00:00"],
        "timetz": ["24:00:00+15:59"],
        "interval": ["P1Y2M3DT4H5M6.789S", "PT0S"],
        "numeric": ["NaN", "Infinity", "1" * 50 + "." + "9" * 50, "0.0000000000"],
        "numeric(5, -2)": ["12300"],
        "float8": ["NaN", "Infinity", "-Infinity", "5e-324", "-0"],
        "real": ["NaN", "1e-45"],
        "int4range": ["[1,5)", "empty", "(,)"],
        "tstzmultirange": ['{["2025-01-01 00:00:00+00","2025-01-02 00:00:00+00")}'],
        "int[]": ["{1,NULL,3}", "[0:1]={1,2}"],
        "bytea": ["\\x00ff"],
        "jsonb": ['{"a": 1.10}'],
        "json": ['{"a":1,"a":2}'],
        "mood": ["sad"],
        "pair": ['(1,"x,y")'],
        "posint": ["7"],
        "bit(3)": ["101"],
        "inet": ["10.0.0.1/8"],
        "tsvector": ["'a':1"],
        "uuid": ["00000000-0000-0000-0000-000000000001"],
        "name": ["n"],
        '"char"': ["c"],
    }
    database.run(
        "create type mood as enum ('sad'); create type pair as (a int, b text); create domain posint as int check (value > 0)"
    )
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(given))
    database.run(f"create table t (id serial primary key, {columns})")
    expected: list[tuple[str, str]] = []
    for number, texts in enumerate(given.values()):
        for text in texts:
            literal = text.replace("'", "''")
            database.run(f"insert into t (c{number}) values ('{literal}')")
            expected.append((f"c{number}", text))
    rows = read_rows(open_postgres(database.source(database.table("t")), make_attempt(tmp_path)))
    assert [(name, row[name]) for (name, _), row in zip(expected, rows, strict=True)] == expected
    loaded = load([database.source(database.table("t"))], tmp_path / "work")
    assert loaded.query("select count(*), count(reject_reason) from raw_shop.t") == [(len(expected), 0)]


ODD_USERS = """
create table users (id int primary key, "it's" date, at timestamptz, local timestamp(3), price numeric(12, 2), f float8,
    tiny numeric(3, 5), round numeric(2, -1), big numeric(40, 2));
insert into users values
    (1, '2025-11-16', '2025-11-16 01:00+01', '9999-12-31 23:59:59.999', 3.40, 'NaN', 0.00123, 120, 1e37),
    (2, 'infinity', '-infinity', 'infinity', 'NaN', '-Infinity', 'NaN', 'NaN', 'NaN'),
    (3, '0001-01-01 BC', '10000-01-01 00:00+00', '0002-01-01 BC', null, 'Infinity', null, null, null),
    (4, '0001-01-01', '0001-01-01 00:00+00', null, 0, null, null, null, null);
"""


@pytest.mark.parametrize("target", ["duckdb", "postgres"])
def test_a_reference_value_that_its_type_cannot_hold_is_null_and_told(
    configured: dict[str, str], database: Database, tmp_path: Path, target: str
):
    database.run(ODD_USERS)
    source = database.source(database.table("users", reference=True), allow_empty=True)
    types = {field.name: str(field.type) for field in open_postgres(source, make_attempt(tmp_path)).schemas["users"]}
    assert [types[name] for name in ("it_s", "at", "local", "price", "tiny", "round", "big")] == [
        "date32[day]",
        "timestamp[us, tz=UTC]",
        "timestamp[us]",
        "decimal128(12, 2)",
        "decimal128(5, 5)",
        "string",
        "string",
    ]
    loaded = load([source], tmp_path / "work", target=target)
    done = loaded.finished("shop")
    assert (done["status"], done["rejected"]) == ("loaded", 0)
    assert done["detail"]["incomplete_rows"] == {"users": 2}
    assert "users: 2 rows without a value" in loaded.of("source_progress")[-1]["text"]
    # dlt makes every timestamp one with a zone
    sql = (
        "select id, it_s, \"at\" at time zone 'UTC', local at time zone 'UTC', price, cast(f as varchar), tiny, round, big, reject_reason, "
        "reject_detail from raw_shop.users order by id"
    )
    rows = loaded.query(sql) if target == "duckdb" else database.run(sql)
    database.run("drop schema if exists raw_shop cascade")
    inf = {"duckdb": ("nan", "-inf", "inf"), "postgres": ("NaN", "-Infinity", "Infinity")}[target]
    none = None
    assert rows == [
        (1, date(2025, 11, 16), datetime(2025, 11, 16), datetime(9999, 12, 31, 23, 59, 59, 999000), Decimal("3.40"),
         inf[0], Decimal("0.00123"), "120", "1" + "0" * 37 + ".00", none, none),
        (2, none, none, none, none, inf[1], none, "NaN", "NaN", "value_out_of_range",
         "it's = infinity, at = -infinity, local = infinity, price = NaN, tiny = NaN"),
        (3, none, none, none, none, inf[2], none, none, none, "value_out_of_range",
         "it's = 0001-01-01 BC, at = 10000-01-01 00:00:00+00, local = 0002-01-01 00:00:00 BC"),
        (4, date(1, 1, 1), datetime(1, 1, 1), none, Decimal("0.00"), none, none, none, none, none, none),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "good", "text", "bad"),
    [
        ("SQL_ASCII", r"caf\xc3\xa9", "caf\u00e9", r"caf\xe9"),
        ("LATIN1", r"caf\xe9", "caf\u00e9", None),
        ("WIN1252", r"\x80 caf\xe9", "\u20ac caf\u00e9", r"\x81"),
        ("KOI8R", r"\xf0", "\u041f", None),
        ("EUC_CN", r"\xd6\xd0", "\u4e2d", None),
        ("UTF8", r"caf\xc3\xa9", "caf\u00e9", None),
    ],
)
def test_text_comes_in_any_encoding_and_what_is_no_text_fails_alone(
    encoded: Callable[..., PostgresSource], tmp_path: Path, encoding: str, good: str, text: str, bad: str | None
):
    third = f"E'{bad}'" if bad else "'c'"
    source = encoded(
        encoding,
        f"""
        create table t (id int primary key, name text, note varchar(20), tags text[], day date);
        insert into t values (1, 'a', null, null, '2025-11-16'), (2, E'{good}', E'{good}', array[E'{good}'], null),
            (3, {third}, 'n', null, null), (4, 'd', '', null, null);
        create table names as select id, name from t;
        """,
        plain("t"),
        plain("names", reference=True),
    )
    loaded = load([source], tmp_path / "work")
    done = loaded.finished("shop")
    assert (done["status"], done["collected"], done["rejected"]) == ("loaded", 4, 1 if bad else 0)
    (tags,) = (row[0] for row in loaded.query("select tags from raw_shop.t where id = '2'"))
    assert tags.strip('{}"') == text
    rows = loaded.query(
        "select id, name, note, day, source_row, reject_reason, reject_detail from raw_shop.t order by source_row"
    )
    third_row = ("3", "c", "n", None, 3, None, None)
    if bad:
        third_row = (None, None, None, None, 3, "undecodable_text", "not in the database's encoding: name")
        (payload,) = (row[0] for row in loaded.query("select payload from raw_shop.t where source_row = 3"))
        assert json.loads(payload) == {"id": "3", "name": bad, "note": "n", "tags": None, "day": None}
    assert rows == [
        ("1", "a", None, "2025-11-16", 1, None, None),
        ("2", text, text, None, 2, None, None),
        third_row,
        ("4", "d", "", None, 4, None, None),
    ]
    assert loaded.query("select name, reject_reason from raw_shop.names where id >= 2 order by id") == [
        (text, None),
        (bad or "c", "undecodable_text" if bad else None),
        ("d", None),
    ]
    landed = pq.read_table(tmp_path / "work" / "landing" / "shop" / "public.t.parquet")
    landed.validate(full=True)
    assert landed.column("name").to_pylist() == ["a", text, bad or "c", "d"]


def test_a_record_too_large_is_rejected_and_the_others_survive(database: Database, tmp_path: Path):
    database.run(
        """
        create table t (id int primary key, name text, raw bytea, doc jsonb, payload json);
        insert into t (id, name) values (1, repeat('x', 60000)), (2, repeat('x', 200001)), (3, null), (4, null),
            (5, repeat('x', 150000)), (6, 'fits');
        update t set raw = decode(repeat('00', 100001), 'hex') where id = 3;
        update t set doc = to_jsonb(repeat('y', 8000000)) where id = 4;
        update t set raw = decode(repeat('00', 50000), 'hex') where id = 5;
        update t set raw = '', doc = '{}', payload = '[1,2]' where id = 6;
        create table u as select id, name, date '2025-11-16' as day from t where id <= 2;
        """
    )
    tables = (database.table("t"), database.table("u", reference=True))
    loaded = load([database.source(*tables, max_record_bytes=200_000)], tmp_path / "work")
    done = loaded.finished("shop")
    assert (done["status"], done["collected"], done["rejected"]) == ("loaded", 6, 4)
    rows = loaded.query(
        "select source_row, length(name), payload, reject_reason, reject_detail from raw_shop.t order by 1"
    )
    sizes = {2: 200_001, 3: 200_002, 4: 8_000_002, 5: 250_000}
    assert [row[0] for row in rows if row[3]] == list(sizes)
    for number, length, payload, reason, detail in rows:
        if number in sizes:
            assert (length, payload, reason) == (None, None, "record_too_large")
            assert detail == f"{sizes[number]} bytes, the limit is 200000"
    assert rows[0][1:] == (60_000, None, None, None)
    assert rows[5][1:] == (4, "[1,2]", None, None)
    assert loaded.query("select id, name, day, reject_reason from raw_shop.u where id = 2") == [
        (2, None, date(2025, 11, 16), "record_too_large")
    ]


def test_batches_are_cut_by_bytes(database: Database, tmp_path: Path):
    database.run("create table t as select n as id, repeat(md5(n::text), 32768) as wide from generate_series(1, 100) n")
    extraction = open_postgres(database.source(database.table("t")), make_attempt(tmp_path))
    sizes = [table.nbytes for _, table in extraction.tables]
    assert sum(sizes) > 100 * MIB
    # a batch ends with the record that fills it
    assert max(sizes) < BATCH_BYTES + 3 * MIB
