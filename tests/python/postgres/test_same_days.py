"""A day is the same on both engines, byte for byte; in the soak the golden one at full size and ten times, and three at random."""

from __future__ import annotations

import filecmp
import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from end_to_end.helpers import SCALE, Run, orchestrate
from postgres.helpers import GOLDEN_DAY
from postgres.same_day import TABLES, Content, read_duckdb, read_postgres, without_port

from sandbox.process import running_sandbox

SEED = os.environ.get("PARITY_SEED", "2025")
TARGETS = ("duckdb", "postgres")
# what differs from run to run, or from machine to machine, and says nothing of the day
_OWN_OF_SOURCE = ("duration_s", "run_id", "tries", "reason")
_OWN = {"run_id", "target", "started_at", "finished_at", "duration_s", "peak_memory_mb", "phases", "report", "decisions", "criteria",
        "repair_command"}  # fmt: skip


def days() -> list[Any]:
    """Each day with its size; three of them at random, the same ones for the same seed."""
    chosen = random.Random(SEED)
    drawn = [(date(2020, 1, 1) + timedelta(days=chosen.randrange(3_650))).isoformat() for _ in range(3)]
    soaked = [(GOLDEN_DAY, 1.0), (GOLDEN_DAY, 10.0), *((day, SCALE) for day in drawn)]
    return [(GOLDEN_DAY, SCALE), *(pytest.param(one, marks=pytest.mark.soak) for one in soaked)]


@dataclass(frozen=True)
class SameDay:
    """A day as each engine published it, by target."""

    runs: dict[str, Run]
    content: dict[str, Content]


@pytest.fixture(scope="module", params=days(), ids=lambda day: f"{day[0]} x {day[1]:g}")
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SameDay]:
    """A day from the same records in both engines; the hundredth of the golden one is published in both already."""
    load_date, scale = request.param
    if (load_date, scale) == (GOLDEN_DAY, SCALE):
        first, small = request.getfixturevalue("first"), request.getfixturevalue("small")
        runs, content = {"duckdb": small, "postgres": first.run}, {"postgres": first.content}
        yield SameDay(runs, content | {"duckdb": read_duckdb(small.folder, load_date)})
        return
    folders = {target: tmp_path_factory.mktemp(target) for target in TARGETS}
    with running_sandbox(load_date, scale=scale, warehouse=True) as env, ThreadPoolExecutor() as pool:

        def load(target: str) -> Run:
            arguments = ["--date", load_date, "--target", target, "--json", "--archive", ""]
            return orchestrate(folders[target], *arguments, env=env, timeout_s=900)

        runs = dict(zip(folders, pool.map(load, folders), strict=True))
        for run in runs.values():
            assert run.exit_code == 0, run.errors[-3_000:]
        content = {"duckdb": read_duckdb(folders["duckdb"], load_date)}
        yield SameDay(runs, content | {"postgres": read_postgres(env, load_date, folders["postgres"])})
    # a tenfold day takes some gigabytes
    for folder in folders.values():
        shutil.rmtree(folder)


def test_the_published_events_are_byte_identical(day: SameDay) -> None:
    with day.content["duckdb"].events.open("rb") as lines:
        assert sum(1 for _ in lines) == day.runs["duckdb"].summary["published"] > 2_000
    assert filecmp.cmp(day.content["duckdb"].events, day.content["postgres"].events, shallow=False)


@pytest.mark.parametrize("table", TABLES)
def test_everything_that_is_said_of_the_day_is_the_same(day: SameDay, table: str) -> None:
    assert day.content["duckdb"].tables[table]
    assert day.content["duckdb"].tables[table] == day.content["postgres"].tables[table]


def test_both_summaries_have_the_same_keys_and_figures(day: SameDay) -> None:
    summaries = {target: run.summary for target, run in day.runs.items()}
    assert summaries["duckdb"].keys() == summaries["postgres"].keys()
    for summary in summaries.values():
        for source in summary["sources"].values():
            for key in _OWN_OF_SOURCE:
                del source[key]
            # what the plan made of the days before, which only one of the two may have had
            source["strategy"] = {key: source["strategy"][key] for key in ("batches", "largest_batch_bytes")}
            source["location"] = without_port(source["location"])
    figures: dict[str, dict[str, Any]] = {
        target: {key: value for key, value in summary.items() if key not in _OWN}
        for target, summary in summaries.items()
    }
    assert figures["duckdb"] == figures["postgres"]
    judged = {
        target: [{k: v for k, v in one.items() if one["metric"] not in ("duration_s", "peak_memory_mb", "cores_used")}
                 for one in summary["criteria"]]
        for target, summary in summaries.items()
    }  # fmt: skip
    assert judged["duckdb"] == judged["postgres"]
