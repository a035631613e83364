"""A source that stays away: the others are published, people are told once, and the printed command completes the day."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from end_to_end.helpers import GOLDEN_DAY, SCALE, Run, copy_of, events_csv, load_day, orchestrate, rows
from supervisor_alerts import CANARY, channels
from supervisor_asks import ask

from sandbox.figures import GOLDEN_DATE
from sandbox.generator import generate_day
from supervisor.common.command_line import PROGRAM

GIVEN = ("--goal", "my goal.md", "--archive", "kept here")


@dataclass(frozen=True)
class Story:
    """A day that is partial, is tried in vain, and is repaired by the command that the first run printed.

    Attributes:
        status: What `status` said of the partial day.
        quarantine: What `quarantine list` said of it.
        received: What came over a channel for alerts; beside it, another one was dead.
    """

    folder: Path
    partial: Run
    status: str
    quarantine: str
    in_vain: Run
    repaired: Run
    received: list[dict[str, str]]


@pytest.fixture(scope="module")
def story(partial: Run, small_servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = copy_of(partial, tmp_path_factory.mktemp("story") / "day")
    status = ask(folder, "status").output
    quarantine = ask(folder, "quarantine", "list", "--date", GOLDEN_DAY).output
    repair = shlex.split(partial.summary["repair_command"])[2:]
    with channels() as (alerts, receiver):
        in_vain = load_day(folder, *GIVEN, faults="api=down", scale=SCALE, env=alerts)
        repaired = orchestrate(folder, *repair, "--json", env={**small_servers, **alerts})
    received = json.loads((folder / "received.json").read_text(encoding="utf-8")) + receiver.received
    return Story(folder, partial, status, quarantine, in_vain, repaired, received)


def test_the_day_is_published_without_the_api(partial: Run) -> None:
    assert partial.exit_code == 3, partial.errors
    summary = partial.summary
    assert summary["status"] == "PARTIAL"
    published = generate_day(GOLDEN_DATE, SCALE).expected(("api",)).total.published
    assert summary["published"] == published
    assert summary["sources"]["api"]["status"] == "failed"
    assert summary["sources"]["api"]["tries"] == 3
    assert rows(partial.folder, "select count(*) from analytics.events") == [(published,)]


def test_three_tries_and_the_fallback_are_decided_and_said(partial: Run) -> None:
    decisions = [one["decision"] for one in partial.summary["decisions"] if one["phase"] == "collect"]
    assert decisions[:2] == ["retry in 2 s", "retry in 4 s"]
    assert decisions[2].startswith("fall back to http")
    assert decisions[3:] == ["go on without it"]
    assert "Attempt 3" in partial.errors


def test_the_repair_command_completes_the_day_with_the_rows_of_a_day_that_never_failed(
    story: Story, small: Run
) -> None:
    assert story.repaired.exit_code == 0, story.repaired.errors
    assert story.repaired.summary["published"] == small.summary["published"]
    assert story.repaired.summary["sources"]["s3"]["run_id"] == story.partial.summary["run_id"]
    assert events_csv(story.folder) == events_csv(small.folder, f"load_date = date '{GOLDEN_DAY}'")


def test_the_commands_that_are_printed_go_on_with_the_same_goal_and_archive(story: Story) -> None:
    repair = story.partial.summary["repair_command"]
    assert repair == f"{PROGRAM} --date {GOLDEN_DAY} {shlex.join(GIVEN)} --source-filter api"
    assert repair in story.partial.errors
    assert repair in story.status
    assert f"{PROGRAM} replay --date {GOLDEN_DAY} --goal 'my goal.md'" in story.quarantine
    assert (story.folder / "kept here").is_dir()
    assert not (story.folder / "archive").exists()


def test_the_first_run_alerts_the_second_is_silent_and_the_third_says_that_it_is_over(story: Story) -> None:
    runs = (story.partial, story.in_vain, story.repaired)
    assert [run.exit_code for run in runs] == [3, 4, 0], [run.errors for run in runs]
    assert [message["type"] for message in story.received] == ["warning", "success"]
    assert [run.summary["alert"] and run.summary["alert"]["kind"] for run in runs] == ["partial", None, "recovered"]
    assert "--source-filter api" in story.received[0]["message"]
    assert story.partial.summary["run_id"] in story.received[1]["message"]


def test_a_dead_channel_is_said_and_fails_nothing(partial: Run) -> None:
    assert partial.summary["alert"]["sent"] is True
    assert "json" in partial.summary["alert"]["problem"]
    assert "alert (partial)" in partial.errors


def test_no_address_of_a_channel_is_anywhere(story: Story) -> None:
    runs = (story.partial, story.in_vain, story.repaired)
    everything = [run.errors + run.output for run in runs] + [json.dumps(story.received)]
    assert not [text for text in everything if CANARY in text]
    holding = [path for path in story.folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert holding == []


@pytest.mark.soak
def test_the_golden_day_is_published_without_the_api_and_repaired_to_the_same_rows(folder: Path, golden: Run) -> None:
    partial = load_day(folder, faults="api=down")
    assert (partial.exit_code, partial.summary["collected"], partial.summary["published"]) == (3, 325_000, 318_500)
    assert partial.summary["repair_command"] == f"{PROGRAM} --date {GOLDEN_DAY} --source-filter api"
    repaired = load_day(folder, "--source-filter", "api")
    assert (repaired.exit_code, repaired.summary["published"]) == (0, 333_100), repaired.errors
    assert events_csv(folder) == events_csv(golden.folder)
