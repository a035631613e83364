"""`init` makes a project of the user's own and touches nothing that is there; what it does then is in test_replay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from end_to_end.helpers import PROJECT
from supervisor_asks import ask

from supervisor.commands.init import choose_project


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_project_has_what_a_user_changes_and_says_what_comes_next(tmp_path: Path) -> None:
    answer = ask(tmp_path, "init", "shop")
    assert answer.exit_code == 0
    folder = tmp_path / "shop"
    for name in (
        ".dlt/config.toml",
        ".dlt/example.secrets.toml",
        "goal.md",
        "dbt_project.yml",
        "seeds/event_types.csv",
    ):
        assert (folder / name).read_bytes() == (PROJECT / name).read_bytes()
    assert (folder / "models" / "staging").is_dir()
    assert not (folder / ".dlt" / "secrets.toml").exists()
    assert not list(folder.rglob("test_*.py"))
    commands = [line.strip() for line in answer.output.splitlines() if "python orchestrate.py" in line]
    assert commands == [
        "cd shop && python orchestrate.py check --date YYYY-MM-DD",
        "python orchestrate.py plan",
        "python orchestrate.py --date YYYY-MM-DD",
    ]


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    ask(tmp_path, "init", "shop")
    mine = {"goal.md": "my goal", ".dlt/config.toml": "# mine", "seeds/event_types.csv": "my,own\n", "README.md": "me"}
    for name, text in mine.items():
        (tmp_path / "shop" / name).write_text(text)
    (tmp_path / "shop" / "models" / "marts" / "events.sql").unlink()
    before = contents(tmp_path / "shop")
    answer = ask(tmp_path, "init", "shop")
    after = contents(tmp_path / "shop")
    assert set(after) - set(before) == {"models/marts/events.sql"}
    assert {name: after[name] for name in before} == before
    assert "kept" in answer.output


def test_the_same_commands_work_there_as_in_a_clone(tmp_path: Path) -> None:
    ask(tmp_path, "init", "shop")
    folder = tmp_path / "shop"
    goal = folder / "goal.md"
    goal.write_text(goal.read_text(encoding="utf-8").replace("# Goal: ", "# Goal: My own "), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "orchestrate.py", "plan"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "My own" in done.stdout
    assert choose_project(folder, PROJECT) == folder
    assert choose_project(tmp_path, PROJECT) == PROJECT


@pytest.mark.parametrize("place", ["home", "root"])
def test_a_place_that_would_be_littered_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    answer = ask(tmp_path, "init", *(["/"] if place == "root" else []))
    assert answer.exit_code == 2
    assert "python orchestrate.py init" in answer.errors
    assert not list(tmp_path.iterdir())


def test_another_dbt_project_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: jaffle_shop\nprofile: jaffle_shop\n")
    answer = ask(tmp_path, "init", ".")
    assert answer.exit_code == 2
    assert "another dbt project" in answer.errors
    assert [path.name for path in tmp_path.iterdir()] == ["dbt_project.yml"]
    assert choose_project(tmp_path, PROJECT) == PROJECT
