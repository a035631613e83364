"""Fills the sandbox's PostgreSQL: the day's transactions, the users, the logins, the faults."""

from __future__ import annotations

import contextlib
import io
import secrets
import threading
import time
from collections.abc import Iterable

import psycopg2
import pyarrow as pa
import pyarrow.csv as csv
from psycopg2 import sql

from sandbox.faults import Faults
from sandbox.generator import Day
from sandbox.postgres_server import Login, PostgresServer, connect

SOURCE_DATABASE = "shop"
WAREHOUSE_DATABASE = "warehouse"
_READER = "pipeline_reader"
_WAREHOUSE_OWNER = "warehouse_owner"

# a reader stops at the row in the middle, and an administrator ends it there; the reader's own transaction may be
# read-only, so it is the administrator who counts
_TERMINATION = """
    create schema fault;
    create table fault.remaining as select {number} as reads;
    create function fault.strikes() returns boolean language plpgsql volatile security definer as $$
    begin
        if (select reads from fault.remaining) > 0 then
            perform pg_sleep(60);
        end if;
        return true;
    end $$;
    grant usage on schema fault to {reader};
    alter table {table} enable row level security;
    create policy reading on {table} for select to {reader}
        using (id <> {row} or fault.strikes());
"""
_WAITING = "select pid from pg_stat_activity where usename = %s and wait_event = 'PgSleep'"


def create_logins(server: PostgresServer, warehouse: bool) -> tuple[Login, Login | None]:
    """Create the source database with a read-only login, and the empty warehouse if wanted."""
    source = _create_login(server, SOURCE_DATABASE, _READER, owns=False)
    if not warehouse:
        return source, None
    return source, _create_login(server, WAREHOUSE_DATABASE, _WAREHOUSE_OWNER, owns=True)


def load_users(server: PostgresServer, users: pa.Table) -> None:
    """Create and fill the users table."""
    with connect(server.login(SOURCE_DATABASE)) as connection, connection.cursor() as cursor:
        cursor.execute("create table users (user_id bigint primary key, country text, created_at timestamptz)")
        _copy(cursor, "users", [users])
        cursor.execute(f"grant select on users to {_READER}")
        cursor.execute("analyze users")


def load_transactions(server: PostgresServer, day: Day, faults: Faults) -> None:
    """Create and fill the day's table, and apply the faults that concern it."""
    if faults.has("postgres=missing"):
        return
    table = sql.Identifier(day.table)
    with connect(server.login(SOURCE_DATABASE)) as connection, connection.cursor() as cursor:
        # filled in the transaction that creates it: then nothing is written to the log
        cursor.execute("begin")
        cursor.execute(sql.SQL("create table {} (id bigint, payload text, recorded_at timestamptz)").format(table))
        _copy(cursor, day.table, day.transactions())
        cursor.execute(sql.SQL("alter table {} add primary key (id)").format(table))
        cursor.execute("commit")
        cursor.execute(sql.SQL("analyze {}").format(table))
        if not faults.has("postgres=denied"):
            reader = sql.Identifier(_READER)
            cursor.execute(sql.SQL("grant select on {} to {}").format(table, reader))
        if number := faults.number("postgres=terminated"):
            _stop_reads_midway(cursor, day.table, number)
            threading.Thread(target=_terminate_reads, args=(server, number), daemon=True).start()


def lock_table(server: PostgresServer, table: str) -> psycopg2.extensions.connection:
    """Lock a table against all others, for as long as the returned connection is open."""
    connection = connect(server.login(SOURCE_DATABASE))
    with connection.cursor() as cursor:
        cursor.execute("begin")
        statement = sql.SQL("lock table {} in access exclusive mode")
        cursor.execute(statement.format(sql.Identifier(table)))
    return connection


def _stop_reads_midway(cursor: psycopg2.extensions.cursor, table: str, number: int) -> None:
    name = sql.Identifier(table)
    cursor.execute(sql.SQL("select id from {0} order by id offset (select count(*) / 2 from {0})").format(name))
    (row,) = cursor.fetchone()
    cursor.execute(
        sql.SQL(_TERMINATION).format(
            number=sql.Literal(number),
            reader=sql.Identifier(_READER),
            table=name,
            row=sql.Literal(row),
        )
    )


def _terminate_reads(server: PostgresServer, number: int) -> None:
    """Terminate the backends that wait midway, `number` of them."""
    # the server goes away with the sandbox, in the middle of this
    with contextlib.suppress(psycopg2.Error):
        connection = connect(server.login(SOURCE_DATABASE))
        with connection.cursor() as cursor:
            while number > 0:
                cursor.execute(_WAITING, (_READER,))
                for (pid,) in cursor.fetchall():
                    cursor.execute("update fault.remaining set reads = reads - 1")
                    cursor.execute("select pg_terminate_backend(%s, 5000)", (pid,))
                    number -= 1
                time.sleep(0.02)
        connection.close()


def _create_login(server: PostgresServer, database: str, role: str, *, owns: bool) -> Login:
    password = secrets.token_urlsafe(24)
    rights = "createrole" if owns else "nocreaterole"
    owner = role if owns else "postgres"
    admin = server.login()
    connection = connect(admin)
    with connection.cursor() as cursor:
        cursor.execute(f"create role {role} login {rights} password %s", (password,))
        cursor.execute(f"create database {database} owner {owner} strategy file_copy")
    connection.close()
    return Login(admin.host, admin.port, database, role, password)


def _copy(cursor: psycopg2.extensions.cursor, table: str, parts: Iterable[pa.Table]) -> None:
    for part in parts:
        buffer = io.BytesIO()
        # nulls are written without quotes, so PostgreSQL tells them from empty strings
        csv.write_csv(part, buffer, csv.WriteOptions(include_header=False))
        buffer.seek(0)
        statement = sql.SQL("copy {} from stdin with (format csv)").format(sql.Identifier(table))
        cursor.copy_expert(statement, buffer)
