"""What the docs say is what the program does, and the other way round."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest
from end_to_end.helpers import PROJECT, Run

from orchestrate import main
from supervisor.common.outcome import Outcome, exit_code_lines
from supervisor.dbt.artifacts import read_invocation
from supervisor.record.summary import (
    AlertSent,
    Criterion,
    Decision,
    Escalation,
    Phase,
    RunError,
    Source,
    Summary,
)

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
ALL = "\n".join(TEXT.values())
EXAMPLE = re.compile(r"python orchestrate\.py[^\n`|#;]*")


def commands(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))


def examples() -> list[tuple[str, str]]:
    found = [(page.name, match.group().strip()) for page, text in TEXT.items() for match in EXAMPLE.finditer(text)]
    return [(page, line) for page, line in found if line != "python orchestrate.py"]


@pytest.mark.parametrize("path", [path for path, _ in commands() if path], ids=" ".join)
def test_every_command_is_in_the_docs(path: tuple[str, ...]) -> None:
    assert f"orchestrate.py {' '.join(path)}" in ALL


@pytest.mark.parametrize(
    "option",
    sorted(
        {name for _, command in commands() for p in command.params if isinstance(p, click.Option) for name in p.opts}
    ),
)
def test_every_option_is_in_the_docs(option: str) -> None:
    assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", ALL), f"{option} is nowhere in README.md or docs/"


@pytest.mark.parametrize(
    "command", [command for _, command in commands()], ids=[" ".join(path) or "main" for path, _ in commands()]
)
def test_every_option_has_help(command: click.Command) -> None:
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.opts} has no help"


@pytest.mark.parametrize(("page", "line"), examples())
def test_every_example_is_accepted_by_the_command_line(page: str, line: str) -> None:
    words = shlex.split(re.sub(r"\$\([^)]*\)", "2025-11-16", line))[2:]
    words = [re.sub(r"^(RUN_ID|<run>|<run_id>)$", "20251116_020000", word) for word in words]
    context = main.make_context("orchestrate.py", words) if words else main.make_context("orchestrate.py", ["--help"])
    while isinstance(context.command, click.Group) and context._protected_args:
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None, f"{page}: {line}: no command {name}"
        context = command.make_context(str(name), rest, parent=context)


def test_every_link_leads_somewhere() -> None:
    for page, text in TEXT.items():
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
            if not target.startswith(("http://", "https://")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_key_of_the_summary_is_documented_and_no_other(golden: Run) -> None:
    page = TEXT[PROJECT / "docs" / "summary.md"].split("## Tables")[0]
    documented = {
        key
        for line in page.splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert documented == set(golden.summary) == set(Summary.model_fields)
    rows = {line.split("|")[1].strip(" `"): line.split("|")[2] for line in page.splitlines() if line.startswith("| `")}
    parts = {"phases": Phase, "sources": Source, "criteria": Criterion, "decisions": Decision, "error": RunError}
    for key, part in {**parts, "alert": AlertSent, "escalation": Escalation}.items():
        assert set(part.model_fields) <= set(re.findall(r"`(\w+)`", rows[key])), key


def test_every_check_has_its_entry_and_every_entry_its_check(golden: Run) -> None:
    folder = golden.folder / "runs" / golden.summary["run_id"] / "dbt" / "2-test"
    invocation = read_invocation(folder)
    assert invocation is not None
    checks = {test.name for test in invocation.tests if test.meta}
    headings = set(re.findall(r"^## (\w+)$", TEXT[PROJECT / "docs" / "checks.md"], re.MULTILINE))
    assert headings == checks


def test_the_readme_and_the_docs_name_every_way_to_end() -> None:
    help_codes = set(re.findall(r"^\s+(\d+)\s", str(main.epilog), re.MULTILINE))
    readme = TEXT[PROJECT / "README.md"].split("Exit codes:")[1].split("\n\n")[0]
    assert help_codes == {str(code) for code, _ in exit_code_lines()} == set(re.findall(r"\b(\d+) ", readme))
    operations = TEXT[PROJECT / "docs" / "operations.md"].split("## Exit codes")[1].split("\n## ")[0]
    # those of the signals are the shell's, and no line of the table
    assert help_codes == set(re.findall(r"^\| (\d) \|", operations, re.MULTILINE))
    statuses = next(
        line for line in TEXT[PROJECT / "docs" / "summary.md"].splitlines() if line.startswith("| `status`")
    )
    # the others end before there is a run to tell of
    told = {one.status for one in Outcome} - {Outcome.LOCKED.status, Outcome.USAGE.status}
    assert set(re.findall(r"`([A-Z_]+)`", statuses)) == told


def test_the_published_columns_are_described(golden: Run) -> None:
    manifest_path = next((golden.folder / "runs").glob("*/dbt/1-transform/manifest.json"))
    manifest: dict[str, Any] = json.loads(manifest_path.read_text())
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        assert "One row per" in node["description"], f"{node['name']} does not say its grain"
        assert all(column["description"] for column in node["columns"].values()), node["name"]
        assert node["columns"], node["name"]


def test_nothing_names_this_machine() -> None:
    assert str(PROJECT.parent) + "/" not in ALL
