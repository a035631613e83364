"""`plan` shows the day ahead from the goal, the sources and what the last days brought, and touches nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from end_to_end.helpers import PROJECT, Run
from supervisor_asks import ask


def test_the_estimate_is_what_the_last_days_brought(golden: Run) -> None:
    warehouse = golden.folder / "warehouse.duckdb"
    before = hashlib.sha256(warehouse.read_bytes()).hexdigest()
    data = ask(golden.folder, "plan", "--date", "2025-11-17", "--json").data
    assert {source["name"]: source["records"] for source in data["sources"]} == {
        "api": 15_000,
        "postgres": 75_000,
        "s3": 250_000,
    }
    assert data["records"] == 340_000
    assert {source["name"]: source["strategy"] for source in data["sources"]} == {
        "api": "in_memory",
        "postgres": "in_memory",
        "s3": "chunks",
    }
    assert sum(phase["budget_s"] for phase in data["phases"]) == data["deadline_s"] == 1_800
    assert data["drift"] == []
    assert hashlib.sha256(warehouse.read_bytes()).hexdigest() == before


def test_only_earlier_days_count(golden: Run) -> None:
    data = ask(golden.folder, "plan", "--date", "2025-11-16", "--json").data
    assert {source["basis"] for source in data["sources"]} == {"middle of the goal's scale, 100,000 to 1,000,000"}


def test_the_run_used_what_its_plan_says(golden: Run) -> None:
    planned = ask(golden.folder, "plan", "--date", "2025-11-16", "--json").data["sources"]
    assert len(planned) == 3
    for source in planned:
        used = golden.summary["sources"][source["name"]]["strategy"]
        assert (used["name"], used["batch_bytes"]) == (source["strategy"], source["batch_bytes"])
        assert 0 < used["largest_batch_bytes"] <= source["batch_bytes"]


def test_an_engine_setting_of_the_users_own_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOALKEEPER_MEMORY", "1GB")
    assert "GOALKEEPER_MEMORY=1GB is set and goes before the plan's 6000MB" in ask(tmp_path, "plan").output


def test_the_plan_can_be_read(golden: Run) -> None:
    text = ask(golden.folder, "plan").output
    for words in (
        "Phase 1: Data Collection",
        "Dependencies: Phase 1",
        "Success indicators:",
        "Risks:",
        "Total Duration",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_nothing_is_made_by_planning(tmp_path: Path) -> None:
    assert ask(tmp_path, "plan").exit_code == 0
    assert not list(tmp_path.iterdir())


def test_a_goal_that_differs_from_the_project_is_shown(tmp_path: Path) -> None:
    goal = tmp_path / "strict.md"
    goal.write_text(
        (PROJECT / "goal.md").read_text(encoding="utf-8").replace("completeness ≥ 95%", "completeness ≥ 99%")
    )
    answer = ask(tmp_path, "plan", "--goal", str(goal))
    assert "completeness_threshold: the goal says 0.99, dbt_project.yml has 0.95" in answer.output


def test_a_goal_that_does_not_compile_is_a_usage_error(tmp_path: Path) -> None:
    goal = tmp_path / "typo.md"
    goal.write_text("## Success Criteria\n\n- completness ≥ 95%\n", encoding="utf-8")
    answer = ask(tmp_path, "plan", "--goal", str(goal))
    assert answer.exit_code == 2
    assert "completness" in answer.errors


def test_configured_sources_are_planned_without_their_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__LAKE__KIND", "s3")
    data = ask(tmp_path, "plan", "--json").data
    assert [(source["name"], source["kind"]) for source in data["sources"]] == [("lake", "s3")]
    monkeypatch.setenv("SOURCES__SHOP__HOST", "db.example.com")
    answer = ask(tmp_path, "plan")
    assert answer.exit_code == 2
    assert "sources.shop.kind is missing" in answer.errors
