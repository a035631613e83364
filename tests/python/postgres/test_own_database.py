"""With nothing configured, the sandbox lends a database, so that `make demo TARGET=postgres` needs no server."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from end_to_end.helpers import GOLDEN_DAY, PROJECT, orchestrate

from loaders.engines.postgres import postgres_settings
from supervisor.warehouse.postgres import PostgresSettings

PROFILES = PROJECT / "profiles" / "profiles.yml"
DAY = ("--date", GOLDEN_DAY, "--target", "postgres", "--json")


LENT = "The warehouse is the sandbox's own database: it ends with the run"


def test_a_run_without_any_server_has_a_warehouse(tmp_path: Path) -> None:
    nothing = "s3=missing,postgres=missing,api=empty"
    run = orchestrate(tmp_path, *DAY, env={"SANDBOX_SCALE": "0.01", "SANDBOX_FAULTS": nothing})
    assert run.exit_code == 4, run.errors
    assert LENT in run.errors
    # the warehouse was there: what is missing are the records
    assert "no source has data for 2025-11-16" in run.summary["escalation"]["recommendation"]
    assert run.summary["target"] == "postgres"


@pytest.mark.soak
def test_a_day_is_run_without_any_server(tmp_path: Path) -> None:
    run = orchestrate(tmp_path, *DAY, env={"SANDBOX_SCALE": "0.01", "SANDBOX_FAULTS": "none"})
    assert run.exit_code == 0, run.errors
    assert run.summary["published"] == 3_331
    assert LENT in run.errors
    assert (tmp_path / run.summary["report"]).exists()


def test_whoever_names_a_login_means_a_server_of_their_own(tmp_path: Path) -> None:
    run = orchestrate(tmp_path, *DAY, env={"POSTGRES_USER": "goalkeeper", "POSTGRES_PORT": "1"})
    assert run.exit_code == 4, run.errors
    assert "localhost:1/warehouse can't be reached" in run.errors
    assert "sandbox's own database" not in run.errors


def test_what_is_not_set_means_the_same_to_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("POSTGRES_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("POSTGRES_PASSWORD", "secret")
    supervisor, loaders = PostgresSettings.from_env(), postgres_settings()
    profile = yaml.safe_load(re.sub(r"{{ env_var\('(\w+)', '(.*?)'\).*?}}", r"\2", PROFILES.read_text()))
    dbt = profile["goalkeeper"]["outputs"]["postgres"]
    for ours, theirs, named in [("host", "host", "host"), ("port", "port", "port"), ("user", "username", "user"),
                                ("database", "database", "dbname")]:  # fmt: skip
        assert str(getattr(supervisor, ours)) == str(loaders[theirs]) == str(dbt[named])
