"""`map` looks at what a source holds and writes what maps it; what is there already is never overwritten."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from end_to_end.helpers import GOLDEN_DAY
from supervisor_asks import Answer, ask

from supervisor.dbt.declarations import read_declarations


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, small_servers: Mapping[str, str]) -> Iterator[Path]:
    """A project of which the first feed, a second one and a reference have been mapped, with nothing edited."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small_servers.items():
            patch.setenv(name, value)
        assert ask(folder, "init", ".").exit_code == 0
        yield folder


def mapped(project: Path, *arguments: str) -> Answer:
    return ask(project, "map", *arguments, "--date", GOLDEN_DAY)


def contract(project: Path, entity: str) -> dict[str, Any]:
    path = project / "models" / "marts" / f"_{entity}__models.yml"
    (model,) = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    return {"meta": model["config"]["meta"], "columns": {column["name"]: column for column in model["columns"]}}


def contents(project: Path) -> dict[str, bytes]:
    return {str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def first(project: Path) -> Answer:
    return mapped(project, "s3", "--entity", "sales")


@pytest.fixture(scope="module")
def second(project: Path, first: Answer) -> Answer:
    return mapped(project, "api", "--entity", "sales")


@pytest.fixture(scope="module")
def third(project: Path, second: Answer) -> Answer:
    return mapped(project, "postgres")


def test_a_source_becomes_an_entity_with_a_first_contract(project: Path, first: Answer) -> None:
    assert first.exit_code == 0, first.errors
    found = contract(project, "sales")
    assert found["meta"] == {"key": ["event_id"], "event_time": "event_time"}
    types = {name: column["data_type"] for name, column in found["columns"].items()}
    assert types["user_id"] == "bigint"
    assert types["amount"] == "numeric(18, 2)"
    assert types["event_time"] == "timestamptz"
    assert types["source_row"] == "bigint"


def test_what_was_guessed_and_from_how_much_is_said(project: Path, first: Answer) -> None:
    text = (project / "models" / "marts" / "_sales__models.yml").read_text(encoding="utf-8")
    assert f"guessed from 2,500 records of raw_s3.events of {GOLDEN_DAY}" in text
    assert "have no zone" in text
    assert "all 2,500 records" in first.output
    assert "event_id" in first.output
    assert f"python orchestrate.py --date {GOLDEN_DAY}" in first.output


def test_a_second_feed_adds_only_its_staging_model_and_the_ref(project: Path, first: Answer) -> None:
    before = contents(project)
    answer = mapped(project, "api", "--entity", "sales")
    assert answer.exit_code == 0, answer.errors
    after = contents(project)
    assert set(after) - set(before) == {"models/staging/api/stg_api__events.sql", "models/staging/api/_api__models.yml"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"models/staging/_staging__sources.yml", "models/intermediate/int_sales_checked.sql"}
    checked = after["models/intermediate/int_sales_checked.sql"].decode()
    assert "feeds=['stg_s3__events', 'stg_api__events']" in checked
    staging = after["models/staging/api/stg_api__events.sql"].decode()
    assert "'user_id': ['userId']" in staging
    assert "'country': ['location', 'country']" in staging
    assert "'event_time': ['timestamp']" in staging


def test_a_source_with_several_tables_gives_an_entity_each_and_its_references(project: Path, third: Answer) -> None:
    assert third.exit_code == 0, third.errors
    sources = yaml.safe_load((project / "models" / "staging" / "_staging__sources.yml").read_bytes())["sources"]
    assert {one["name"]: [table["name"] for table in one["tables"]] for one in sources} == {
        "raw_s3": ["events"],
        "raw_api": ["events"],
        "raw_postgres": ["transactions", "users"],
    }
    users = (project / "models" / "staging" / "postgres" / "stg_postgres__users.sql").read_text(encoding="utf-8")
    assert "raw_snapshot('raw_postgres', 'users'" in users
    assert "transactions" in yaml.safe_load((project / "dbt_project.yml").read_bytes())["vars"]["entities"]


def test_all_of_it_is_understood(project: Path, third: Answer) -> None:
    declared = read_declarations(project)
    assert set(declared.entities) == {"sales", "transactions"}
    assert declared.tables_read == {
        ("raw_s3", "events"),
        ("raw_api", "events"),
        ("raw_postgres", "transactions"),
        ("raw_postgres", "users"),
    }


def test_mapping_again_changes_nothing_and_shows_the_difference(project: Path, third: Answer) -> None:
    staging = project / "models" / "staging" / "s3" / "stg_s3__events.sql"
    original = staging.read_text(encoding="utf-8")
    staging.write_text(original.replace("    'amount': 'amount',\n", ""), encoding="utf-8")
    before = contents(project)
    answer = mapped(project, "s3", "--entity", "sales")
    assert answer.exit_code == 0, answer.errors
    assert contents(project) == before
    assert "+    'amount': 'amount'," in answer.output
    assert "nothing was changed" in answer.output
    staging.write_text(original, encoding="utf-8")


def test_the_output_fits_a_narrow_terminal_and_commands_are_not_broken(first: Answer) -> None:
    commands = [line for line in first.output.splitlines() if line.startswith("    ")]
    assert commands == [f"    python orchestrate.py --date {GOLDEN_DAY}"]
    assert not re.search(r"[^\x00-\x7f─]", first.output)


def test_a_reference_alone_is_no_day_to_run(tmp_path: Path, project: Path) -> None:
    ask(tmp_path, "init", ".")
    answer = ask(tmp_path, "map", "postgres", "--table", "users", "--date", GOLDEN_DAY)
    assert answer.exit_code == 0, answer.errors
    assert answer.output.splitlines()[-1] == f"    python orchestrate.py map SOURCE --date {GOLDEN_DAY}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "not configured"),
        (["postgres", "--table", "nothing"], "Its tables: transactions, users"),
        (["s3", "--entity", "Sales!"], "--entity sales"),
        (["s3", "--entity", "sales", "--reference"], "--reference or --entity"),
    ],
)
def test_a_mistake_is_named_with_the_next_step(project: Path, arguments: list[str], said: str) -> None:
    before = contents(project)
    answer = mapped(project, *arguments)
    assert answer.exit_code == 2
    assert said in answer.errors
    assert contents(project) == before


def test_a_day_without_data_is_said_with_the_next_step(project: Path) -> None:
    before = contents(project)
    answer = ask(project, "map", "s3", "--date", "2025-11-20")
    assert answer.exit_code == 1
    assert "no data" in answer.errors
    assert "python orchestrate.py check --date 2025-11-20" in answer.errors
    assert contents(project) == before


def test_a_folder_that_is_no_project_is_left_alone(tmp_path: Path) -> None:
    answer = mapped(tmp_path, "s3")
    assert answer.exit_code == 2
    assert "python orchestrate.py init" in answer.errors
    assert not list(tmp_path.iterdir())
