"""A run that is told to stop does so in order; one that is killed at any moment is finished by the same command."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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
# what hits one run after the other, before the run that nothing hits
HITS: dict[str, tuple[tuple[signal.Signals, float | str], ...]] = {
    **{name: ((signal.SIGKILL, moment),) for name, moment in KILLS.items()},
    **{name: ((number, moment),) for name, (number, moment) in SIGNALS.items()},
    "SIGTERM while collecting, a kill inside the publish, a kill between the publish and the report": (
        (signal.SIGTERM, "Phase 1"), (signal.SIGKILL, INSIDE_PUBLISH), (signal.SIGKILL, AFTER_PUBLISH),
    ),
}  # fmt: skip
# one day that is hit again and again stands for them in `make test`; for SIGINT, the one that ends a backfill
SOAK = {*KILLS, *SIGNALS}


def marked(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.soak if name in SOAK else ()) for name in names]


@dataclass
class Trial:
    """Runs of a day that were hit by a signal, and the one after them.

    Attributes:
        ends: Exit code and standard error of each run that was hit.
        left: Processes of these runs that lived on for more than a few seconds.
        again: How the same command ended afterwards.
    """

    folder: Path
    ends: list[tuple[int, str]]
    left: list[str]
    again: Run


def hit(
    folder: Path, environment: Mapping[str, str], number: signal.Signals, moment: float | str
) -> tuple[int, str, list[psutil.Process]]:
    """Start a run and send it a signal at a moment; return its exit code, its standard error and its processes."""
    known = {*folder.glob("runs/*/run.log")}
    process = subprocess.Popen(
        [sys.executable, str(PROJECT / "orchestrate.py"), "--date", GOLDEN_DAY],
        cwd=folder,
        env={**clean_environment(), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(folder, process, moment, known)
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors, family


def try_it(folder: Path, environment: Mapping[str, str], name: str) -> Trial:
    """Hit one run after the other, and run the same command once more, at once."""
    hits = [hit(folder, environment, number, moment) for number, moment in HITS[name]]
    again = orchestrate(folder, "--date", GOLDEN_DAY, "--json", env=environment)
    _, alive = psutil.wait_procs([one for _, _, family in hits for one in family], timeout=0)
    ends = [(exit_code, errors) for exit_code, errors, _ in hits]
    return Trial(folder, ends, [" ".join(one.cmdline()) for one in alive], again)


def wait_for(folder: Path, process: subprocess.Popen[str], moment: float | str, known: Collection[Path]) -> None:
    """Wait until the log of a run that is new holds some words, or for some seconds after its first word."""
    words = moment if isinstance(moment, str) else "Starting"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if any(words in log.read_text() for log in folder.glob("runs/*/run.log") if log not in known):
            break
        time.sleep(0.005)
    if not isinstance(moment, str):
        time.sleep(moment)


@pytest.fixture(scope="session")
def trials(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_servers: dict[str, str]
) -> Iterator[dict[str, Future[Trial]]]:
    """The trials that are asked for, a few at a time."""
    asked = dict.fromkeys(
        item.callspec.params["name"] for item in request.session.items if "trials" in getattr(item, "fixturenames", ())
    )
    with ThreadPoolExecutor(3) as pool:
        yield {name: pool.submit(try_it, tmp_path_factory.mktemp("hit"), small_servers, name) for name in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", marked(HITS))
def test_the_same_command_finishes_the_day(name: str, trials: dict[str, Future[Trial]], small: Run) -> None:
    trial = trials[name].result()
    assert trial.again.exit_code == 0, f"seed {SEED}: {trial.again.errors}"
    # as if nothing had happened
    assert events_csv(trial.folder) == events_csv(small.folder, f"load_date = date '{GOLDEN_DAY}'")
    assert rows(trial.folder, "select count(*) from raw_s3.events") == [(2_500,)]
    published = rows(trial.folder, "select run_id from metadata.pipeline_runs where status = 'SUCCESS'")
    assert len(published) == 1
    assert (trial.folder / "reports" / f"quality_{published[0][0]}.html").exists()
    assert (trial.folder / "archive" / "2025" / "11" / "16" / "manifest.json").exists()


@pytest.mark.parametrize("name", marked(HITS))
def test_nothing_of_the_run_lives_on(name: str, trials: dict[str, Future[Trial]]) -> None:
    assert trials[name].result().left == []


@pytest.mark.parametrize("name", marked(name for name in HITS if name not in KILLS))
def test_told_to_stop_it_says_so_and_ends_with_the_signals_code(name: str, trials: dict[str, Future[Trial]]) -> None:
    trial = trials[name].result()
    for (number, _), (exit_code, errors) in zip(HITS[name], trial.ends, strict=True):
        if number != signal.SIGKILL:
            assert exit_code == 128 + number, errors
            assert f"stopped by {number.name}" in errors
        assert "Traceback" not in errors
    _, moment = HITS[name][-1]
    assert trial.again.summary["status"] == ("NOTHING_TO_DO" if moment == AFTER_PUBLISH else "SUCCESS")
