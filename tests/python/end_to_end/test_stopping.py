"""A run that is told to stop does so in order; one that is killed at any moment is finished by the same command."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from end_to_end.helpers import GOLDEN_DAY, PROJECT, Run, events_csv, orchestrate, rows
from end_to_end.situations import clean_environment

SEED = 20251116
# when the run's log says this, it is about to publish; and this, it has published and writes its report next
INSIDE_PUBLISH, AFTER_PUBLISH = "Warehouse load...", "committed in one transaction"
# seconds after the run's first word: within collecting, transforming and validating
DRAWS = random.Random(SEED)
MOMENTS = sorted(round(DRAWS.uniform(0.2, 9.0), 2) for _ in range(12))
KILLS: dict[str, float | str] = {
    **{f"after {moment} s": moment for moment in MOMENTS},
    "while transforming": "Phase 2",
    "inside the publish": INSIDE_PUBLISH,
    "between the publish and the report": AFTER_PUBLISH,
}
SIGNALS: dict[str, tuple[signal.Signals, str]] = {
    "SIGTERM while collecting": (signal.SIGTERM, "Phase 1"),
    "SIGINT while transforming": (signal.SIGINT, "Phase 2"),
    "SIGTERM while publishing": (signal.SIGTERM, AFTER_PUBLISH),
}
# the others stand for these in `make test`; for SIGINT, the one that ends a backfill
SOAK = {*KILLS.keys() - {"inside the publish", "between the publish and the report"}, "SIGINT while transforming"}


def marked(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.soak if name in SOAK else ()) for name in names]


@dataclass
class Trial:
    """A run that was hit by a signal, and the one after it.

    Attributes:
        left: Processes of the run that lived on for more than a few seconds.
        again: How the same command ended afterwards.
    """

    folder: Path
    exit_code: int = 0
    errors: str = ""
    left: list[str] = field(default_factory=list)
    again: Run | None = None


def hit(folder: Path, environment: Mapping[str, str], number: signal.Signals, moment: float | str) -> Trial:
    """Start a run, send it a signal at a moment, and run the same command once more, at once."""
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "orchestrate.py"), "--date", GOLDEN_DAY],
        cwd=folder,
        env={**clean_environment(), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(folder, process, moment)
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    again = orchestrate(folder, "--date", GOLDEN_DAY, "--json", env=environment)
    _, alive = psutil.wait_procs(family, timeout=0)
    return Trial(folder, process.returncode, errors, [" ".join(one.cmdline()) for one in alive], again)


def wait_for(folder: Path, process: subprocess.Popen[str], moment: float | str) -> None:
    """Wait until the run's log holds some words, or for some seconds after its first word."""
    words = moment if isinstance(moment, str) else "Starting"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if any(words in log.read_text() for log in (folder / "runs").glob("*/run.log")):
            break
        time.sleep(0.005)
    if not isinstance(moment, str):
        time.sleep(moment)


@pytest.fixture(scope="session")
def trials(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_servers: dict[str, str]
) -> Iterator[dict[str, Future[Trial]]]:
    """The trials that are asked for, a few at a time."""
    jobs = {
        **{name: (signal.SIGKILL, moment) for name, moment in KILLS.items()},
        **{name: (number, moment) for name, (number, moment) in SIGNALS.items()},
    }
    asked = dict.fromkeys(
        item.callspec.params["name"] for item in request.session.items if "trials" in getattr(item, "fixturenames", ())
    )
    with ThreadPoolExecutor(3) as pool:
        yield {name: pool.submit(hit, tmp_path_factory.mktemp("hit"), small_servers, *jobs[name]) for name in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", marked([*KILLS, *SIGNALS]))
def test_the_same_command_finishes_the_day(name: str, trials: dict[str, Future[Trial]], small: Run) -> None:
    trial = trials[name].result()
    assert trial.again is not None
    assert trial.again.exit_code == 0, f"seed {SEED}: {trial.again.errors}"
    # as if nothing had happened
    assert events_csv(trial.folder) == events_csv(small.folder, f"load_date = date '{GOLDEN_DAY}'")
    assert rows(trial.folder, "select count(*) from raw_s3.events") == [(2_500,)]
    published = rows(trial.folder, "select run_id from metadata.pipeline_runs where status = 'SUCCESS'")
    assert len(published) == 1
    assert (trial.folder / "reports" / f"quality_{published[0][0]}.html").exists()
    assert (trial.folder / "archive" / "2025" / "11" / "16" / "manifest.json").exists()


@pytest.mark.parametrize("name", marked([*KILLS, *SIGNALS]))
def test_nothing_of_the_run_lives_on(name: str, trials: dict[str, Future[Trial]]) -> None:
    assert trials[name].result().left == []


@pytest.mark.parametrize("name", marked(SIGNALS))
def test_told_to_stop_it_says_so_and_ends_with_the_signals_code(name: str, trials: dict[str, Future[Trial]]) -> None:
    trial, (number, moment) = trials[name].result(), SIGNALS[name]
    assert trial.exit_code == 128 + number, trial.errors
    assert f"stopped by {number.name}" in trial.errors
    assert "Traceback" not in trial.errors
    assert trial.again is not None
    happened = "NOTHING_TO_DO" if moment == AFTER_PUBLISH else "SUCCESS"
    assert trial.again.summary["status"] == happened
