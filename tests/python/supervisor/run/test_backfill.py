"""Several days are run one after the other; complete ones are skipped, and the worst day decides the exit code."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
import pytest
from end_to_end.helpers import ENGINE, GOLDEN_DAY, PROJECT, SCALE, YESTERDAY, Run, events_csv, orchestrate
from supervisor_asks import ask

from supervisor.commands.run import show_backfill
from supervisor.common.request import Request, days_between
from supervisor.record.summary import Summary
from supervisor.run.backfill import run_backfill
from supervisor.run.outcome import Result
from supervisor.show.terminal import Terminal

DAYS = days_between(date(2025, 11, 14), date(2025, 11, 17))
LIMIT_MISSED = -3
STATUS = {0: "SUCCESS", 3: "PARTIAL", LIMIT_MISSED: "SUCCESS", 4: "ESCALATED", 130: "FAILED"}


def request() -> Request:
    return Request(
        project_dir=PROJECT,
        work_dir=Path.cwd(),
        date=DAYS[0],
        target="duckdb",
        source_filter=None,
        force=False,
        archive="",
        goal_path=PROJECT / "goal.md",
        sandbox=lambda day: pytest.fail("not reached"),
    )


def ending(*codes: int) -> Callable[[Request, str], Result]:
    """A stand-in for the run of a day that ends with these codes, one a day."""

    def run(asked: Request, position: str) -> Result:
        code = codes[DAYS.index(asked.date)]
        if code not in STATUS:
            return Result(code)
        now = datetime.now(UTC)
        figures = {"duration_s": 1.0, "published": 1, "started_at": now, "finished_at": now}
        given = {"run_id": str(asked.date), "date": asked.date, "target": asked.target}
        summary = Summary.model_validate({**given, "status": STATUS[code], "exit_code": abs(code), **figures})
        return Result(abs(code), summary)

    return run


@pytest.mark.parametrize(
    ("codes", "keep_going", "ran", "exit_code"),
    [
        ((0, 0, 0, 0), False, 4, 0),
        ((0, 3, 0, 0), False, 4, 3),
        ((0, 4, 0, 0), False, 2, 4),
        ((0, 4, 3, 0), True, 4, 4),
        ((1, 0, 0, 0), False, 1, 1),
        ((4, 1, 3, 0), True, 4, 1),
        ((3, 5, 0, 0), True, 2, 5),
        ((2, 0, 0, 0), True, 1, 2),
        ((0, 130, 0, 0), True, 2, 130),
    ],
)
def test_it_goes_on_after_a_partial_day_and_stops_at_an_escalated_one(
    codes: tuple[int, ...], keep_going: bool, ran: int, exit_code: int
) -> None:
    done = run_backfill(request(), DAYS, keep_going=keep_going, run=ending(*codes))
    assert [one.exit_code for one in done.outcomes] == [*codes[:ran], *[None] * (4 - ran)]
    assert {one.status for one in done.outcomes[ran:]} <= {"NOT RUN"}
    assert done.exit_code == exit_code


@pytest.mark.parametrize(
    ("codes", "keep_going", "command"),
    [
        ((0, 4, 0, 1), True, "--from 2025-11-15 --to 2025-11-17 --keep-going"),
        ((0, 4, 0, 1), False, "--from 2025-11-15 --to 2025-11-17"),
        ((0, 0, 3, 0), False, "--from 2025-11-16 --to 2025-11-16"),
        ((0, LIMIT_MISSED, 0, 0), True, None),
    ],
)
def test_it_names_the_days_that_are_open_and_the_command_that_runs_no_other(
    codes: tuple[int, ...], keep_going: bool, command: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_backfill(request(), DAYS, keep_going=keep_going, run=ending(*codes))
    show_backfill(done, Terminal(sys.stdout))
    words = capsys.readouterr().out
    expected = None if command is None else f"python orchestrate.py {command}"
    assert done.next_command == done.as_dict()["next_command"] == expected
    if expected is None:
        assert "To run only these days" not in words
        return
    assert words.splitlines()[-1].strip() == expected
    told = dict(re.findall(r"^\d+ days? ([A-Z ]+): (.+)$", words, re.MULTILINE))
    for one in done.outcomes:
        assert (str(one.date) in told.get(one.status, "")) == (one in done.open_days), words
    explained = [one.summary.run_id for one in done.outcomes if one.status == "ESCALATED" and one.summary]
    assert re.findall(r"explain (\S+)", words) == explained


def test_each_day_is_told_where_it_stands() -> None:
    told = []

    def run(asked: Request, position: str) -> Result:
        told.append(position)
        return ending(0, 0, 0, 0)(asked, position)

    run_backfill(request(), DAYS, keep_going=False, run=run)
    assert told == [f"Day {number} of 4: {day}" for number, day in enumerate(DAYS, start=1)]


def test_complete_days_are_skipped_and_the_others_are_run(small: Run, tmp_path: Path) -> None:
    shutil.copy(small.folder / "warehouse.duckdb", tmp_path)
    env = {"SANDBOX_SCALE": "0.01", "SANDBOX_FAULTS": "s3=missing,postgres=missing,api=empty"}
    run = orchestrate(tmp_path, "--from", "2025-11-15", "--to", "2025-11-17", "--json", "--archive", "", env=env)
    assert run.exit_code == 4, run.errors
    assert [day["status"] for day in run.summary["days"]] == ["NOTHING_TO_DO", "NOTHING_TO_DO", "ESCALATED"]
    assert len(list((tmp_path / "runs").iterdir())) == 1
    states = ask(tmp_path, "status", "--json").data["days"]
    assert [(day["date"], day["state"]) for day in states] == [
        ("2025-11-15", "complete"), ("2025-11-16", "complete"), ("2025-11-17", "escalated"),
    ]  # fmt: skip


@pytest.mark.soak
def test_a_complete_day_is_skipped_and_the_next_one_is_published(golden: Run, tmp_path: Path) -> None:
    shutil.copy(golden.folder / "warehouse.duckdb", tmp_path)
    env = {"SANDBOX_SCALE": "0.01", "SANDBOX_FAULTS": "none"}
    run = orchestrate(tmp_path, "--from", "2025-11-16", "--to", "2025-11-17", "--json", "--archive", "", env=env)
    assert run.exit_code == 0, run.errors
    assert re.findall(r"Day \d of \d: \S+", run.errors) == ["Day 1 of 2: 2025-11-16", "Day 2 of 2: 2025-11-17"]
    assert [day["status"] for day in run.summary["days"]] == ["NOTHING_TO_DO", "SUCCESS"]
    assert len(list((tmp_path / "runs").iterdir())) == 1
    states = ask(tmp_path, "status", "--json").data["days"]
    assert [(day["date"], day["state"]) for day in states] == [("2025-11-16", "complete"), ("2025-11-17", "complete")]


def test_processes_that_stay_publish_what_single_days_publish_and_are_replaced_when_killed(
    small: Run, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        str(PROJECT / "orchestrate.py"),
        "--from",
        YESTERDAY,
        "--to",
        GOLDEN_DAY,
        "--archive",
        "",
    ]
    env = {**os.environ, **ENGINE, "SANDBOX_SCALE": str(SCALE), "SANDBOX_FAULTS": "none", "DO_NOT_TRACK": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        kept: set[str] = set()
        for line in process.stderr:
            if "Day 2 of 2" in line:
                staying = psutil.Process(process.pid).children()
                kept = {child.cmdline()[2] for child in staying}
                for child in staying:
                    child.kill()
    assert process.returncode == 0
    # each worked for the first day and was there for the second
    assert kept == {"supervisor.dbt.worker", "loaders.resident"}
    assert events_csv(tmp_path) == events_csv(small.folder)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2025-11-17", "--to", "2025-11-16"], "--from 2025-11-16 --to 2025-11-17"),
        (["--to", "2025-11-16"], "belong together"),
        (["--date", "2025-11-16", "--keep-going"], "--keep-going needs several days"),
        (["--from", "2025-11-16", "--to", "2025-11-16", "status"], "--from belongs behind the command"),
    ],
)
def test_wrong_options_are_usage_errors(tmp_path: Path, arguments: list[str], words: str) -> None:
    answer = ask(tmp_path, *arguments)
    assert answer.exit_code == 2
    assert words in answer.errors


def test_ctrl_c_ends_all_days_and_leaves_nothing_running(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            str(PROJECT / "orchestrate.py"),
            "--from",
            "2025-11-16",
            "--to",
            "2025-11-18",
            "--console",
            "plain",
        ],
        cwd=tmp_path,
        env={**os.environ, "SANDBOX_SCALE": "0.01", "SANDBOX_FAULTS": "s3=hang"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "S3 Collection" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130, rest
    assert [path.name for path in sorted((tmp_path / "runs").iterdir())] == [next((tmp_path / "runs").iterdir()).name]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    (day,) = ask(tmp_path, "status", "--json").data["days"]
    assert day["state"] in ("failed", "interrupted")
    assert day["next_command"] == "python orchestrate.py --date 2025-11-16"
