"""One sandbox with a warehouse, and the day that is published in it, for all tests that ask for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from end_to_end.helpers import SCALE, Run, orchestrate
from postgres.helpers import GOLDEN_DAY
from postgres.same_day import Content, read_postgres

from sandbox.process import running_sandbox


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """The environment of a hundredth of the golden day, with a PostgreSQL warehouse that is empty at first."""
    with running_sandbox(GOLDEN_DAY, scale=SCALE, warehouse=True) as env:
        yield env


@pytest.fixture(scope="session")
def first(servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Content]:
    """The golden day, published, and what it was before any test changed it."""
    folder = tmp_path_factory.mktemp("run")
    done = orchestrate(folder, "--date", GOLDEN_DAY, "--target", "postgres", "--json", env=servers)
    assert done.exit_code == 0, done.errors[-3_000:]
    return done, read_postgres(servers, GOLDEN_DAY, folder)


@pytest.fixture(scope="session")
def published(first: tuple[Run, Content]) -> Run:
    """The golden day, published."""
    return first[0]
