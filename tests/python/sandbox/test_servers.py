"""The sandbox serves real protocols, and breaks as told."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.exceptions
import psycopg2
import psycopg2.errors
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from botocore.config import Config
from sandbox_clients import postgres, s3_client, s3_files

from sandbox.faults import parse_faults
from sandbox.figures import GOLDEN_DATE
from sandbox.generator import generate_day
from sandbox.postgres_data import create_logins, load_transactions
from sandbox.postgres_server import PostgresServer, connect
from sandbox.process import running_sandbox
from sandbox.s3_server import S3Server
from sandbox.workspace import open_workspace

ROOT = Path(__file__).resolve().parents[3]
SCALE = 0.01
DATE = GOLDEN_DATE.isoformat()
TABLE = "transactions_2025_11_16"


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    with running_sandbox(DATE, SCALE, warehouse=True) as env:
        yield env


def test_s3_serves_the_days_files(env: dict[str, str]) -> None:
    files = s3_files(env)
    assert files == dict(generate_day(GOLDEN_DATE, SCALE).s3_objects())
    tables = [pq.read_table(io.BytesIO(content)) for content in files.values()]
    assert sum(table.num_rows for table in tables) == 2_500
    assert {str(field.type) for field in tables[0].schema} == {"string"}


def test_s3_serves_ranges(env: dict[str, str]) -> None:
    client = s3_client(env)
    part = client.get_object(Bucket="data-lake", Key="raw/2025/11/16/part-00.parquet", Range="bytes=0-3")
    assert part["Body"].read() == b"PAR1"


def test_s3_refuses_a_wrong_access_key(env: dict[str, str]) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidAccessKeyId"):
        s3_client(env, aws_access_key_id="wrong").list_buckets()


def test_postgres_serves_the_days_table_and_the_users(env: dict[str, str]) -> None:
    day = generate_day(GOLDEN_DATE, SCALE)
    with postgres(env) as cursor:
        cursor.execute(f"select id, payload, recorded_at from {TABLE} order by id")
        rows = cursor.fetchall()
        cursor.execute("select user_id, country, created_at from users order by user_id")
        users = cursor.fetchall()
    assert rows == [tuple(row.values()) for row in pa.concat_tables(day.transactions()).to_pylist()]
    assert users == [tuple(row.values()) for row in day.users().to_pylist()]


def test_postgres_lets_its_reader_write_nothing(env: dict[str, str]) -> None:
    for statement in (f"delete from {TABLE}", "drop table users", "create table mine (x int)"):
        with postgres(env) as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)


def test_postgres_refuses_a_wrong_password(env: dict[str, str]) -> None:
    wrong = env | {"SOURCES__POSTGRES__CREDENTIALS__PASSWORD": "wrong"}
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"), postgres(wrong):
        pass


def test_api_serves_the_days_records(env: dict[str, str]) -> None:
    url: str | None = f"{env['SOURCES__API__BASE_URL']}/events?date={DATE}"
    headers = {"Authorization": f"Bearer {env['SOURCES__API__AUTH__TOKEN']}"}
    records = []
    while url:
        page = requests.get(url, headers=headers, timeout=5).json()
        records += page["data"]
        url = page["next"]
    assert records == [r for page in generate_day(GOLDEN_DATE, SCALE).api_pages() for r in json.loads(page)]


def test_the_warehouse_is_empty_and_its_owner_may_create(env: dict[str, str]) -> None:
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DB"}
    connection = psycopg2.connect(**{key: env[f"POSTGRES_{name}"] for key, name in names.items()})
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("select count(*) from information_schema.tables where table_schema = 'public'")
        assert cursor.fetchone() == (0,)
        cursor.execute("create schema analytics; create role some_reader; select current_database()")
        assert cursor.fetchone() == ("warehouse",)


def test_passing_faults_are_real() -> None:
    with running_sandbox(DATE, SCALE, faults="s3=500:2,s3=corrupt:2,postgres=terminated:2") as env:
        client = s3_client(env)
        for _ in range(2):
            with pytest.raises(botocore.exceptions.ClientError, match="InternalError"):
                client.list_buckets()
        files = list(s3_files(env).values())
        assert all(content.startswith(b"PAR1") for content in files)
        assert [content.endswith(b"PAR1") for content in files] == [True] * 13 + [False] * 2
        with pytest.raises(pa.ArrowInvalid):
            pq.read_table(io.BytesIO(files[-1]))

        # the backend ends in the middle of the rows, twice
        for _ in range(2):
            with postgres(env) as cursor, pytest.raises(psycopg2.OperationalError, match=r"server closed|terminating"):
                cursor.execute(f"select * from {TABLE}")
        with postgres(env) as cursor:
            cursor.execute(f"select * from {TABLE}")
            assert len(cursor.fetchall()) == 750
            cursor.execute("select count(*) from users")


def test_missing_and_hanging_sources_are_real() -> None:
    with running_sandbox(DATE, SCALE, faults="s3=missing,postgres=hang,data=broken:100") as env:
        assert s3_files(env) == {}
        with postgres(env) as cursor:
            cursor.execute("set statement_timeout = 300")
            with pytest.raises(psycopg2.errors.QueryCanceled):
                cursor.execute(f"select count(*) from {TABLE}")


def test_dead_sources_refuse_and_leave_the_warehouse_alive() -> None:
    with running_sandbox(DATE, SCALE, faults="postgres=down,s3=down", warehouse=True) as env:
        with pytest.raises(psycopg2.OperationalError, match="refused"), postgres(env):
            pass
        with pytest.raises(botocore.exceptions.EndpointConnectionError):
            s3_client(env).list_buckets()
        connection = psycopg2.connect(
            host=env["POSTGRES_HOST"],
            port=env["POSTGRES_PORT"],
            user=env["POSTGRES_USER"],
            password=env["POSTGRES_PASSWORD"],
            dbname=env["POSTGRES_DB"],
        )
        connection.close()


def test_a_denied_and_a_missing_table_are_real() -> None:
    with open_workspace() as workspace:
        server = PostgresServer(workspace)
        try:
            server.start()
            reader, _ = create_logins(server, warehouse=False)
            for days, fault in enumerate(("denied", "missing")):
                day = generate_day(GOLDEN_DATE + dt.timedelta(days), SCALE)
                load_transactions(server, day, parse_faults(f"postgres={fault}"))
                error = {
                    "denied": psycopg2.errors.InsufficientPrivilege,
                    "missing": psycopg2.errors.UndefinedTable,
                }[fault]
                with contextlib.closing(connect(reader)) as connection, pytest.raises(error):
                    connection.cursor().execute(f"select count(*) from {day.table}")
        finally:
            server.stop()


def test_a_slow_and_a_hanging_s3_keep_their_client_waiting() -> None:
    server = S3Server(parse_faults("s3=slow"))
    server.put("object", bytes(6_000))
    login = server.start()
    keys = {"aws_access_key_id": login.access_key_id, "aws_secret_access_key": login.secret_access_key}
    config = Config(retries={"total_max_attempts": 1}, read_timeout=0.5)
    client = boto3.client("s3", endpoint_url=login.endpoint_url, region_name=login.region, config=config, **keys)
    body = client.get_object(Bucket=login.bucket, Key="object")["Body"]
    assert len(body.read(4_096)) == 4_096
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        body.read()
    server.faults = parse_faults("s3=hang")
    with pytest.raises(botocore.exceptions.ReadTimeoutError):
        client.list_buckets()
