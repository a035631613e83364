"""Sandboxes with a warehouse: an empty one for each module that asks for one, and one in which the day is published."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from end_to_end.helpers import SCALE, Run, orchestrate
from postgres.helpers import GOLDEN_DAY
from postgres.same_day import First, read_postgres
from postgres.tls_proxy import proxy

from sandbox.process import running_sandbox


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """The environment of a hundredth of the golden day, with an empty PostgreSQL warehouse."""
    with running_sandbox(GOLDEN_DAY, scale=SCALE, warehouse=True) as env:
        yield env


@pytest.fixture(scope="session")
def golden_servers() -> Iterator[dict[str, str]]:
    """The same, for all modules that look at the day that is published there."""
    with running_sandbox(GOLDEN_DAY, scale=SCALE, warehouse=True) as env:
        yield env


@pytest.fixture(scope="session")
def first(golden_servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> First:
    """The golden day, published, with all that was sent for it."""
    folder = tmp_path_factory.mktemp("run")
    sent: list[bytes] = []

    def listen(piece: bytes) -> str:
        sent.append(piece)
        return ""

    with proxy(golden_servers["POSTGRES_HOST"], int(golden_servers["POSTGRES_PORT"]), cut=listen) as port:
        through = {**golden_servers, "POSTGRES_PORT": str(port), "SOURCES__POSTGRES__CREDENTIALS__PORT": str(port)}
        run = orchestrate(folder, "--date", GOLDEN_DAY, "--target", "postgres", "--json", env=through)
    assert run.exit_code == 0, run.errors[-3_000:]
    return First(run, read_postgres(golden_servers, GOLDEN_DAY, folder), b" ".join(b"".join(sent).split()))


@pytest.fixture(scope="session")
def published(first: First) -> Run:
    """The golden day, published."""
    return first.run
