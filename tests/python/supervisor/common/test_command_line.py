"""Printed commands can be pasted as they are, and repeat what the run was given."""

from __future__ import annotations

import shlex
from datetime import date

import click
import pytest

from orchestrate import main
from supervisor.common.command_line import REPEATED, command_line

DAY = date(2025, 11, 16)
GIVEN = {"--goal": "goals/my goal's.md", "--archive": ""}


def test_the_default_target_is_left_out_and_another_named() -> None:
    assert command_line(DAY, "duckdb") == "python orchestrate.py --date 2025-11-16"
    assert command_line(None, "postgres", "status") == "python orchestrate.py status --target postgres"


def test_given_options_are_repeated_quoted() -> None:
    text = command_line(DAY, "postgres", source_filter="my api", options=GIVEN)
    assert shlex.split(text)[2:] == [
        *("--date", "2025-11-16", "--target", "postgres"),
        *("--goal", "goals/my goal's.md", "--archive", "", "--source-filter", "my api"),
    ]


@pytest.mark.parametrize(
    ("words", "repeated"),
    [
        ("", ["--goal", "--archive"]),
        ("--from 2025-11-01 --to 2025-11-02", ["--goal", "--archive"]),
        ("replay --keep-references", ["--goal"]),
        ("explain r1", []),
        ("quarantine show --source s3", []),
    ],
)
def test_only_commands_that_take_an_option_repeat_it(words: str, repeated: list[str]) -> None:
    text = command_line(None, "duckdb", words, options=GIVEN)
    assert [option for option in REPEATED if f" {option} " in f"{text} "] == repeated


def test_the_commands_that_take_an_option_are_those_of_the_command_line() -> None:
    context = click.Context(main)
    commands = {"": main, **{name: main.get_command(context, name) for name in main.list_commands(context)}}
    taken = {
        option: {name for name, one in commands.items() if one and any(option in p.opts for p in one.params)}
        for option in REPEATED
    }
    assert taken == {option: set(names) for option, names in REPEATED.items()}


def test_what_a_command_holds_is_quoted() -> None:
    text = command_line("1; rm -rf /", "x$(id)", options={"--goal": "a b"})
    assert shlex.split(text)[2:] == ["--date", "1; rm -rf /", "--target", "x$(id)", "--goal", "a b"]
