"""A bare warehouse of each engine, made from its driver alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.process import running_sandbox
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.engines import ENGINES, open_warehouse


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, str]]:
    """The environment of an empty PostgreSQL warehouse."""
    with running_sandbox("2025-11-16", scale=0.01, warehouse=True) as env:
        yield {name: value for name, value in env.items() if name.startswith("POSTGRES_")}


@pytest.fixture
def at_server(server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same, in this process' environment."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(params=tuple(ENGINES))
def warehouse(
    request: pytest.FixtureRequest, at_server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A warehouse of each engine, with nothing in it but a table `scratch.numbers` of one row."""
    monkeypatch.setenv("DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))
    opened = open_warehouse(request.param)
    with opened.session() as session:
        session.execute("create schema scratch")
        session.execute("create table scratch.numbers as select 1 as n")
    yield opened
    with opened.session() as session:
        session.execute("drop schema scratch cascade")
        session.execute("drop schema if exists metadata cascade")
