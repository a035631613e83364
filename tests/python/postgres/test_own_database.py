"""With nothing configured, the sandbox lends a database, so that `make demo TARGET=postgres` needs no server."""

from __future__ import annotations

from pathlib import Path

from end_to_end.helpers import GOLDEN_DAY, orchestrate

DAY = ("--date", GOLDEN_DAY, "--target", "postgres", "--json")


def test_a_day_is_run_without_any_server(tmp_path: Path) -> None:
    run = orchestrate(tmp_path, *DAY, env={"SANDBOX_SCALE": "0.01", "SANDBOX_FAULTS": "none"})
    assert run.exit_code == 0, run.errors
    assert run.summary["published"] == 3_331
    assert "The warehouse is the sandbox's own database: it ends with the run" in run.errors
    assert (tmp_path / run.summary["report"]).exists()


def test_whoever_names_a_login_means_a_server_of_their_own(tmp_path: Path) -> None:
    run = orchestrate(tmp_path, *DAY, env={"POSTGRES_USER": "goalkeeper", "POSTGRES_PORT": "1"})
    assert run.exit_code == 4, run.errors
    assert "localhost:1/warehouse can't be reached" in run.errors
    assert "sandbox's own database" not in run.errors
