"""Looking at a PostgreSQL warehouse while a run holds it, from any machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor_asks import ask

from supervisor.warehouse.postgres import PostgresWarehouse


@pytest.fixture
def warehouse(golden_servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> PostgresWarehouse:
    for name, value in golden_servers.items():
        if name.startswith("POSTGRES_"):
            monkeypatch.setenv(name, value)
    return PostgresWarehouse()


def test_the_holder_of_the_lock_is_named_without_its_lock_file(warehouse: PostgresWarehouse, tmp_path: Path) -> None:
    assert ask(tmp_path, "status", "--target", "postgres", "--json").data["running"] is None
    with warehouse.exclusive("20251116_020000"):
        status = ask(tmp_path, "status", "--target", "postgres", "--json").data
        assert status["running"]["run_id"] == "20251116_020000"
        # a server can be read while a run works
        assert ask(tmp_path, "explain", "20251116_020000", "--target", "postgres").exit_code == 2
    assert ask(tmp_path, "status", "--target", "postgres", "--json").data["running"] is None
