"""What the loaders' tests share: sources made by hand, real servers, and reading what came."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

from loaders.attempt import Attempt, Deadline, Extraction, Stamp
from loaders.events import Events
from loaders.kinds import s3
from loaders.kinds.postgres import PostgresCredentials, PostgresSource, PostgresTable
from loaders.kinds.rest_api import RestApiSource
from loaders.kinds.s3 import S3Source, list_objects
from loaders.run import RunSettings, run
from loaders.sources import Source

ROOT = Path(__file__).parents[3]
DAY = date(2025, 11, 16)
S3_KEYS = {"aws_access_key_id": "test-key-id", "aws_secret_access_key": "test-secret-key"}
FIXED = [
    "load_date",
    "source_object",
    "source_row",
    "load_id",
    "loaded_at",
    "reject_reason",
    "reject_detail",
]


class RetryOnce:
    """Runs a step once."""

    def __call__(self, step: Callable[[], Any], within: Deadline | None = None) -> Any:
        return step()


def make_attempt(folder: Path, deadline_s: float = 30) -> Attempt:
    stamp = Stamp(DAY, "run-1", datetime(2025, 11, 17, 2, tzinfo=UTC))
    return Attempt(stamp, folder / "landing", Deadline(deadline_s), lambda _: None, RetryOnce())


def read_rows(extraction: Extraction) -> list[dict[str, Any]]:
    """Return all rows of an extraction, by object and row."""
    rows = [row for _, table in extraction.tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: (row["source_object"], row["source_row"]))


def values(rows: Iterable[dict[str, Any]], *names: str) -> list[Any]:
    """Return chosen columns of rows, plain for one column."""
    chosen = [tuple(row[name] for name in names) for row in rows]
    return [row[0] for row in chosen] if len(names) == 1 else chosen


def listed_keys(source: S3Source, deadline: Deadline) -> list[str]:
    """The keys of the day's objects, table by table, as the source lists them."""
    store = source.store(deadline)
    return [item.key for table in source.tables for item in list_objects(store, table, DAY)]


@dataclass
class Bucket:
    """A bucket on a real S3 endpoint."""

    client: Any
    name: str
    endpoint: str

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def source(self, **changes: Any) -> S3Source:
        given: dict[str, Any] = {
            "bucket_url": f"s3://{self.name}",
            "path": "raw/{date:%Y/%m/%d}/",
            "max_object_bytes": 100 * 1024**2,
            "timeout_s": 10,
            "credentials": {**S3_KEYS, "endpoint_url": self.endpoint},
        }
        return s3.read("lake", {**given, **changes}, "sources.lake")


@dataclass
class Database:
    """A schema in a real PostgreSQL, and its owner's connection."""

    connection: Any
    schema: str
    env: dict[str, str]

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(f"set search_path to {self.schema}")
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def credentials(self, **changes: Any) -> PostgresCredentials:
        given = {
            "host": self.env["POSTGRES_HOST"],
            "port": int(self.env["POSTGRES_PORT"]),
            "database": self.env["POSTGRES_DB"],
            "username": self.env["POSTGRES_USER"],
            "password": self.env["POSTGRES_PASSWORD"],
        }
        return PostgresCredentials(**{**given, **changes})

    def table(self, name: str, **changes: Any) -> PostgresTable:
        given: dict[str, Any] = {
            "table": name,
            "schema": self.schema,
            "where": None,
            "reference": False,
            "columns": (),
        }
        return PostgresTable(name=changes.pop("target", name), **{**given, **changes})

    def source(self, *tables: PostgresTable, **changes: Any) -> PostgresSource:
        # as the configuration hands it on
        tables = tuple(replace(table, allow_empty=changes.get("allow_empty", table.allow_empty)) for table in tables)
        given: dict[str, Any] = {
            "schema": self.schema,
            "timeout_s": 20,
            "credentials": self.credentials(),
        }
        return PostgresSource(name="shop", tables=tables, **{**given, **changes})


@dataclass
class Answer:
    """What the scripted API sends; `raw` goes over the wire as it is, without headers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0
    dribble_s: float = 0
    raw: bytes | None = None
    reset: bool = False


class ScriptedApi:
    """An HTTP server whose answers a test gives; it keeps the requests that came."""

    def __init__(self) -> None:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with api.lock:
                    api.bodies.append(body)
                self.do_GET()

            def do_GET(self) -> None:
                with api.lock:
                    api.requests.append((self.path, dict(self.headers)))
                    number = len(api.requests)
                answer = api.script(self.path, number)
                api.send(self, answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.lock = threading.Lock()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self.script: Callable[[str, int], Answer] = lambda path, number: Answer(b"[]")
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # a connection that a test breaks is no error of the server
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        self.closing.wait(answer.delay_s)
        if answer.reset:
            # no goodbye: the client sees a reset
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            socket.socket(fileno=handler.connection.detach()).close()
            handler.close_connection = True
            return
        try:
            if answer.raw is not None:
                handler.wfile.write(answer.raw)
                handler.close_connection = True
                return
            handler.send_response(answer.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(answer.body))}
            for name, value in {**headers, **answer.headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            if answer.dribble_s:
                for byte in answer.body:
                    if self.closing.wait(answer.dribble_s):
                        return
                    handler.wfile.write(bytes([byte]))
                    handler.wfile.flush()
            else:
                handler.wfile.write(answer.body)
        except OSError:
            handler.close_connection = True

    def pages(self, *pages: list[Any], **more: Any) -> None:
        """Serve these pages, each linked to the next by a `next` URL."""

        def script(path: str, number: int) -> Answer:
            index = int(path.partition("cursor=")[2] or 0)
            following = f"{self.url}/events?cursor={index + 1}" if index + 1 < len(pages) else None
            return Answer(json.dumps({"data": pages[index], "next": following, **more}).encode())

        self.script = script

    def source(self, **changes: Any) -> RestApiSource:
        given: dict[str, Any] = {
            "base_url": self.url,
            "fallback_url": None,
            "path": "events",
            "params": {"date": "{date:%Y-%m-%d}"},
            "headers": {},
            "data_selector": "data",
            "table": "events",
            "paginator": {"type": "json_link", "next_url_path": "next"},
            "auth": {},
            "timeout_s": 5,
            "total_timeout_s": 20,
            "max_page_bytes": 1024**2,
            "allow_empty": False,
        }
        return RestApiSource(name="partner", **{**given, **changes})

    def __enter__(self) -> ScriptedApi:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Loaded:
    """The events of one run, and the DuckDB file it went into."""

    events: list[dict[str, Any]]
    path: str

    def of(self, event: str, source: str | None = None) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event and source in (None, each["source"])]

    def finished(self, source: str) -> dict[str, Any]:
        (event,) = self.of("source_finished", source)
        return event

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return query(sql, self.path)


def query(sql: str, path: str | None = None) -> list[tuple[Any, ...]]:
    """Return what a query gives on the test's DuckDB file."""
    with closing(duckdb.connect(path or os.environ["DUCKDB_PATH"])) as connection:
        return list(connection.execute(sql).fetchall())


def load(sources: Sequence[Source], workdir: Path, **changes: Any) -> Loaded:
    """Run a load in this process, with hardly any waits between tries."""
    given: dict[str, Any] = {
        "day": DAY,
        "run_id": "run-1",
        "target": "duckdb",
        "workdir": workdir,
        "deadline_s": 30,
        "backoff_s": 0.02,
    }
    settings = RunSettings(**{**given, **changes})
    stream = io.StringIO()
    run(sources, settings, Events(stream))
    lines = stream.getvalue().splitlines()
    return Loaded([json.loads(line) for line in lines], os.environ["DUCKDB_PATH"])


def run_child(workdir: Path, *arguments: str, timeout: float = 60) -> tuple[int, Loaded, str]:
    """Run `python -m loaders`; return its exit code, events and standard error."""
    defaults = {
        "--date": "2025-11-16",
        "--run-id": "run-1",
        "--target": "duckdb",
        "--workdir": str(workdir),
        "--backoff-s": "0.05",
    }
    given = dict(pairwise(arguments))
    command = [sys.executable, "-m", "loaders", *arguments]
    for name, value in defaults.items():
        if name not in given:
            command += [name, value]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, Loaded(events, os.environ["DUCKDB_PATH"]), done.stderr
