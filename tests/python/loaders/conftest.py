"""Real servers for the loaders' tests: the sandbox, a bare S3 endpoint and a scripted HTTP API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import psycopg2
import pytest
from loader_helpers import S3_KEYS, Bucket, Database, ScriptedApi
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing configured on this machine reaches a test."""
    for variable in list(os.environ):
        if variable.startswith(("SOURCES__", "POSTGRES_", "AWS_")):
            monkeypatch.delenv(variable)
    project = tmp_path / "project"
    (project / ".dlt").mkdir(parents=True)
    monkeypatch.setenv("DLT_PROJECT_DIR", str(project))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "global"))
    monkeypatch.setenv("DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))


@pytest.fixture(scope="session")
def sandbox() -> Iterator[dict[str, str]]:
    """A hundredth of the golden day on three real servers, and an empty warehouse database."""
    command = [sys.executable, "-m", "sandbox", "--date", "2025-11-16", "--scale", "0.01"]
    with subprocess.Popen(
        [*command, "--faults", "none", "--warehouse"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        yield json.loads(process.stdout.readline())["env"]
        process.stdin.close()
        process.wait(timeout=20)


@pytest.fixture
def configured(sandbox: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The sandbox's sources and warehouse in the environment."""
    for name, value in sandbox.items():
        monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A bare S3 endpoint."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str) -> Bucket:
    """A new, empty bucket."""
    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1", **S3_KEYS)
    name = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    return Bucket(client, name, s3_endpoint)


@pytest.fixture
def database(sandbox: dict[str, str]) -> Iterator[Database]:
    """A new, empty schema in a real PostgreSQL."""
    connection = psycopg2.connect(
        host=sandbox["POSTGRES_HOST"],
        port=sandbox["POSTGRES_PORT"],
        user=sandbox["POSTGRES_USER"],
        password=sandbox["POSTGRES_PASSWORD"],
        dbname=sandbox["POSTGRES_DB"],
    )
    connection.autocommit = True
    schema = f"t_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"create schema {schema}")
    yield Database(connection, schema, sandbox)
    with connection.cursor() as cursor:
        cursor.execute(f"drop schema {schema} cascade")
    connection.close()


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """An HTTP server that does what the test says."""
    with ScriptedApi() as server:
        yield server
