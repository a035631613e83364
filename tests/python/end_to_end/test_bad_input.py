"""What a user gets wrong is named, with its value and the next command."""

from __future__ import annotations

from pathlib import Path

import pytest
from end_to_end.helpers import Run, load_day, orchestrate

OWN_SOURCE = {"SOURCES__FEED__KIND": "s3", "SOURCES__FEED__BUCKET_URL": "s3://bucket", "SOURCES__FEED__PATH": "x/"}


@pytest.mark.parametrize("day", ["2025-02-30", "yestreday", "20251116", "2025-11-16'; drop table x", "2025-1-1"])
def test_an_invalid_date(folder: Path, day: str) -> None:
    run = orchestrate(folder, "--date", day)
    assert run.exit_code == 2
    assert day in run.errors
    assert "python orchestrate.py --date" in run.errors


def test_no_date(folder: Path) -> None:
    run = orchestrate(folder)
    assert run.exit_code == 2
    assert "python orchestrate.py --date" in run.errors


def test_an_unknown_source(folder: Path, small_servers: dict[str, str]) -> None:
    run = load_day(folder, "--source-filter", "ftp", servers=small_servers)
    assert run.exit_code == 2
    assert "'ftp'" in run.errors
    assert "api" in run.errors


def test_an_unknown_target(folder: Path) -> None:
    run = orchestrate(folder, "--date", "2025-11-16", "--target", "oracle")
    assert run.exit_code == 2
    assert "'oracle'" in run.errors
    assert "duckdb" in run.errors


def test_an_unknown_fault_is_answered_with_the_list(folder: Path) -> None:
    run = load_day(folder, faults="api=explode")
    assert run.exit_code == 2
    assert "api=explode" in run.errors
    assert "api=timeout" in run.errors


def test_an_unknown_configuration_key(folder: Path) -> None:
    run = orchestrate(folder, "--date", "2025-11-16", env={**OWN_SOURCE, "SOURCES__FEED__BUKET": "typo"})
    assert run.exit_code == 2
    assert "buket" in run.errors.lower()
    assert "bucket_url" in run.errors


def test_missing_credentials(folder: Path) -> None:
    env = {
        "SOURCES__SHOP__KIND": "postgres",
        "SOURCES__SHOP__CREDENTIALS__HOST": "127.0.0.1",
        "SOURCES__SHOP__CREDENTIALS__DATABASE": "shop",
        "SOURCES__SHOP__CREDENTIALS__USERNAME": "loader",
        "SOURCES__SHOP__TABLES__ORDERS__TABLE": "orders",
    }
    run = orchestrate(folder, "--date", "2025-11-16", env=env)
    assert run.exit_code == 2
    assert "sources.shop.credentials.password" in run.errors


def test_a_date_without_data(without_data: Run) -> None:
    assert without_data.exit_code == 4
    assert "no source has data for 2025-11-16: check the date" in without_data.errors


def test_a_missing_goal_file(folder: Path) -> None:
    run = orchestrate(folder, "--date", "2025-11-16", "--goal", "nowhere.md")
    assert run.exit_code == 2
    assert "nowhere.md" in run.errors
