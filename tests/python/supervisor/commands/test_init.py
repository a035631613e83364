"""`init` makes a project that is empty of everybody's rules but the user's, and touches nothing that is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from end_to_end.helpers import PROJECT, rows
from supervisor_asks import ask

from supervisor.commands.init import PRODUCT, choose_project
from supervisor.goal.compile import load_goal
from supervisor.scaffold.texts import PUBLISHED


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dbt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DUCKDB_", "GOALKEEPER_"))}
    command = [sys.executable, "-m", "dbt.cli.main", *arguments, "--profiles-dir", "profiles"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("SOURCES__"):
            monkeypatch.delenv(name)


def test_a_new_project_says_what_comes_next(tmp_path: Path) -> None:
    answer = ask(tmp_path, "init", "shop")
    assert answer.exit_code == 0
    commands = [line.strip() for line in answer.output.splitlines() if "python orchestrate.py" in line]
    assert commands == [
        "cd shop && python orchestrate.py check --date YYYY-MM-DD",
        "python orchestrate.py map SOURCE --date YYYY-MM-DD",
        "python orchestrate.py --date YYYY-MM-DD",
    ]


def test_a_new_project_is_empty_of_entities_rules_types_and_defaults(tmp_path: Path) -> None:
    ask(tmp_path, "init", "shop")
    files = contents(tmp_path / "shop")
    own = {name for name in files if not name.startswith(f"{PRODUCT}/")}
    assert own == {
        ".dlt/config.toml",
        ".dlt/example.secrets.toml",
        ".gitignore",
        "dbt_project.yml",
        "goal.md",
        "orchestrate.py",
        "profiles/profiles.yml",
    }
    assert yaml.safe_load(files["dbt_project.yml"])["vars"]["entities"] == []
    # what the demo is about stands nowhere, in our part of it neither
    columns = {
        column["name"]
        for path in (PROJECT / "models" / "marts").glob("*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ())
        for column in model["columns"]
        if (column.get("config") or {}).get("meta", {}).get("missing")
    }
    seeds = {path.stem for path in (PROJECT / "seeds").glob("*.csv")}
    assert len(columns) > 5
    assert seeds
    sql = b"\n".join(content for name, content in files.items() if name.endswith((".sql", "_project.yml"))).decode()
    assert [word for word in (columns | seeds) - {"country"} if word in sql] == []


def test_the_goal_of_a_new_project_compiles_and_says_nothing_of_the_demo(tmp_path: Path) -> None:
    ask(tmp_path, "init", "shop")
    goal = load_goal(tmp_path / "shop" / "goal.md")
    assert goal.criteria
    assert "S3" not in (tmp_path / "shop" / "goal.md").read_text(encoding="utf-8")


def test_plain_dbt_builds_tests_and_documents_a_project_that_is_empty_still(tmp_path: Path) -> None:
    ask(tmp_path, "init", ".")
    for arguments in (["build"], ["test"], ["docs", "generate"]):
        done = dbt(tmp_path, *arguments)
        assert done.returncode == 0, done.stdout[-3000:]
    assert rows(tmp_path, "select count(*) from quality.quality_scores") == [(0,)]


def test_plain_dbt_builds_a_project_with_the_skeleton_of_an_entity(tmp_path: Path) -> None:
    answer = ask(tmp_path, "init", ".", "--entity", "orders")
    assert answer.exit_code == 0, answer.errors
    assert yaml.safe_load((tmp_path / "dbt_project.yml").read_bytes())["vars"]["entities"] == ["orders"]
    # beside a reference of JSON documents that was never loaded
    staging = tmp_path / "models" / "staging"
    staging.mkdir()
    (staging / "sources.yml").write_text("sources: [{name: raw_crm, tables: [{name: customers}]}]\n")
    (staging / "stg_crm__customers.sql").write_text(
        "with snapshot as ({{ raw_snapshot('raw_crm', 'customers', ['payload']) }})\n"
        "select * from ({{ json_fields('snapshot', 'payload', {'id': ['id']}) }}) as parsed\n"
    )
    done = dbt(tmp_path, "build")
    assert done.returncode == 0, done.stdout[-3000:]
    assert rows(tmp_path, "select count(*) from analytics.orders") == [(0,)]
    assert rows(tmp_path, "select count(*) from staging.stg_crm__customers") == [(0,)]


def test_an_entity_is_added_to_the_list_and_every_comment_stays(tmp_path: Path) -> None:
    ask(tmp_path, "init", ".")
    project = tmp_path / "dbt_project.yml"
    before = project.read_text(encoding="utf-8")
    ask(tmp_path, "init", "--entity", "orders")
    ask(tmp_path, "init", "--entity", "order_lines")
    assert project.read_text(encoding="utf-8") == before.replace("entities: []", "entities: [orders, order_lines]")
    again = contents(tmp_path)
    assert ask(tmp_path, "init", "--entity", "orders").exit_code == 0
    assert contents(tmp_path) == again


def test_a_list_of_entities_that_cannot_be_edited_is_left_alone_and_the_line_is_shown(tmp_path: Path) -> None:
    ask(tmp_path, "init", ".")
    project = tmp_path / "dbt_project.yml"
    odd = project.read_text(encoding="utf-8").replace("entities: []", "entities:")
    project.write_text(odd, encoding="utf-8")
    answer = ask(tmp_path, "init", "--entity", "orders")
    assert project.read_text(encoding="utf-8") == odd
    assert "Add to vars > entities:" in answer.output
    assert "- orders" in answer.output


@pytest.mark.parametrize("name", ["Orders", "order lines", "1st", "a__b", "lineage", "quarantined_records", "or;der"])
def test_a_name_that_cannot_be_an_entity_is_refused(tmp_path: Path, name: str) -> None:
    answer = ask(tmp_path, "init", ".", "--entity", name)
    assert answer.exit_code == 2
    assert "--entity" in answer.errors
    assert not list(tmp_path.iterdir())


def test_no_entity_takes_the_name_of_a_table_of_ours() -> None:
    folders = ("quarantine", "quality", "metadata")
    assert {path.stem for name in folders for path in (PROJECT / "models" / name).glob("*.sql")} == PUBLISHED


def test_a_project_without_an_entity_names_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    ask(tmp_path, "init", ".")
    answer = ask(tmp_path, "--date", "2025-11-16")
    assert answer.exit_code == 2
    assert "python orchestrate.py map SOURCE" in answer.errors
    monkeypatch.setenv("SOURCES__SHOP__KIND", "s3")
    assert "python orchestrate.py map shop" in ask(tmp_path, "--date", "2025-11-16").errors
    assert not (tmp_path / "runs").exists()


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    ask(tmp_path, "init", "shop")
    for name, text in {"goal.md": "my goal", ".dlt/config.toml": "# mine", "README.md": "me"}.items():
        (tmp_path / "shop" / name).write_text(text)
    (tmp_path / "shop" / "profiles" / "profiles.yml").unlink()
    before = contents(tmp_path / "shop")
    answer = ask(tmp_path, "init", "shop")
    after = contents(tmp_path / "shop")
    assert set(after) - set(before) == {"profiles/profiles.yml"}
    assert {name: after[name] for name in before} == before
    assert "kept" in answer.output


def test_the_programs_part_of_a_project_follows_the_program(tmp_path: Path) -> None:
    ask(tmp_path, "init", ".")
    before = contents(tmp_path)
    (tmp_path / PRODUCT / "macros" / "load_date.sql").write_text("of an older release")
    (tmp_path / PRODUCT / "macros" / "gone_since.sql").write_text("of an older release")
    (tmp_path / PRODUCT / "macros" / "run_id.sql").unlink()
    answer = ask(tmp_path, "--date", "2025-11-16")
    assert "3 files" in answer.errors
    assert contents(tmp_path) == before
    # left out of git, say
    shutil.rmtree(tmp_path / PRODUCT)
    assert f"{PRODUCT}/ was brought" in ask(tmp_path, "--date", "2025-11-16").errors
    assert contents(tmp_path) == before


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


def test_the_demo_comes_whole_when_it_is_asked_for(tmp_path: Path) -> None:
    assert ask(tmp_path, "init", ".", "--demo").exit_code == 0
    assert (tmp_path / "goal.md").read_bytes() == (PROJECT / "goal.md").read_bytes()
    models = {path.name for path in tmp_path.rglob("*.sql")}
    assert models == {
        path.name
        for folder in ("models", "macros", "tests/generic", "tests/singular")
        for path in (PROJECT / folder).rglob("*.sql")
    }
    done = dbt(tmp_path, "parse")
    assert done.returncode == 0, done.stdout[-3000:]


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
