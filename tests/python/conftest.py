"""The golden day, run once for all tests that look at it."""

from __future__ import annotations

from pathlib import Path

import pytest
from end_to_end.helpers import Run, load_day


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The golden day as `make demo` runs it: the API's first request times out."""
    return load_day(tmp_path_factory.mktemp("golden"), faults="api=timeout:1")


@pytest.fixture(scope="session")
def partial(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The golden day with the API down."""
    return load_day(tmp_path_factory.mktemp("partial"), faults="api=down")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty working directory."""
    return tmp_path
