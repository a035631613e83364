"""What the shell makes of its options, before any command is called."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import pytest
from supervisor_asks import ask

import orchestrate


@pytest.fixture(params=["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def far_from_utc(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine fourteen hours ahead of UTC, or eleven behind: one of the two is in another day at any moment."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def day_options(command: click.Command = orchestrate.main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for parameter in command.params:
        if {"--date", "--from", "--to"} & set(parameter.opts):
            yield (*path, parameter.opts[0])
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from day_options(child, (*path, name))


def read_days(*arguments: str) -> list[date]:
    """The days that the command line understands."""
    with orchestrate.main.make_context("orchestrate.py", list(arguments)) as context:
        return [value for value in context.params.values() if isinstance(value, date)]


@pytest.mark.usefixtures("far_from_utc")
def test_days_in_words_are_days_of_utc() -> None:
    before = datetime.now(UTC).date()
    found = [
        read_days("--date", "today"),
        read_days("--date", "yesterday"),
        read_days("--from", "7 days ago", "--to", " Yesterday"),
        read_days("--date", "1 day ago"),
    ]
    # a test that runs at midnight may meet either day
    assert found in [
        [[day], [day - timedelta(1)], [day - timedelta(7), day - timedelta(1)], [day - timedelta(1)]]
        for day in (before, datetime.now(UTC).date())
    ]


def test_the_words_of_one_command_mean_one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    class Midnight(datetime):
        """A clock that passes midnight between two looks at it."""

        moments = iter([datetime(2025, 11, 16, 23, 59, 59, tzinfo=UTC), datetime(2025, 11, 17, tzinfo=UTC)])

        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return next(cls.moments)

    monkeypatch.setattr(orchestrate, "datetime", Midnight)
    assert read_days("--from", "yesterday", "--to", "today") == [date(2025, 11, 15), date(2025, 11, 16)]


@pytest.mark.parametrize("path", list(day_options()), ids=" ".join)
def test_every_option_that_takes_a_day_takes_words(path: tuple[str, ...]) -> None:
    command: click.Command = orchestrate.main
    for name in path[:-1]:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    (parameter,) = [one for one in command.params if path[-1] in one.opts]
    with click.Context(command) as context:
        assert parameter.type_cast_value(context, "yesterday") == orchestrate.today() - timedelta(1)


@pytest.mark.parametrize("word", ["tomorrow", "-1 days ago", "yesterday's", "2025-02-30", "999999999 days ago"])
def test_other_words_are_usage_errors_with_an_example(tmp_path: Path, word: str) -> None:
    answer = ask(tmp_path, "--date", word)
    assert answer.exit_code == 2
    assert repr(word) in answer.errors
    assert "Try: python orchestrate.py --date 2025-11-16" in answer.errors
