"""One sandbox with a warehouse, and the day that is published in it, for all tests that ask for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from end_to_end.helpers import SCALE, Run, orchestrate
from postgres.helpers import GOLDEN_DAY
from postgres.same_day import First, read_postgres
from postgres.tls_proxy import proxy

from sandbox.process import running_sandbox


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """The environment of a hundredth of the golden day, with a PostgreSQL warehouse that is empty at first."""
    with running_sandbox(GOLDEN_DAY, scale=SCALE, warehouse=True) as env:
        yield env


@pytest.fixture(scope="session")
def first(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> First:
    """The golden day, published, with all that was sent for it."""
    folder = tmp_path_factory.mktemp("run")
    sent: list[bytes] = []

    def listen(piece: bytes) -> str:
        sent.append(piece)
        return ""

    with proxy(servers["POSTGRES_HOST"], int(servers["POSTGRES_PORT"]), cut=listen) as port:
        through = {**servers, "POSTGRES_PORT": str(port), "SOURCES__POSTGRES__CREDENTIALS__PORT": str(port)}
        run = orchestrate(folder, "--date", GOLDEN_DAY, "--target", "postgres", "--json", env=through)
    assert run.exit_code == 0, run.errors[-3_000:]
    return First(run, read_postgres(servers, GOLDEN_DAY, folder), b" ".join(b"".join(sent).split()))


@pytest.fixture(scope="session")
def published(first: First) -> Run:
    """The golden day, published."""
    return first.run
