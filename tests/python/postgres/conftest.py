"""One sandbox with a warehouse for each module that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres.helpers import GOLDEN_DAY

from sandbox.process import running_sandbox


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """The environment of a hundredth of the golden day, with an empty PostgreSQL warehouse."""
    with running_sandbox(GOLDEN_DAY, scale=0.01, warehouse=True) as env:
        yield env
