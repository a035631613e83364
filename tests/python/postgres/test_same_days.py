"""A day is the same on both engines, byte for byte: the golden one; in the soak three at random and ten times as much."""

from __future__ import annotations

import filecmp
import os
import random
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from end_to_end.helpers import SCALE, Run, orchestrate
from postgres.helpers import GOLDEN_DAY, connect, export_duckdb, export_postgres, query

from sandbox.process import running_sandbox

SEED = os.environ.get("PARITY_SEED", "2025")
TARGETS = ("duckdb", "postgres")
_RECORD = "entity, source, source_object, source_row, record_key"
TABLES = {
    "scores": "select entity, source, dimension, attempted, failed, score, threshold, passed, iteration from quality.quality_scores",
    "corrections": f"select {_RECORD}, field, value_before, value_after, rule_id from quality.corrections",
    "quarantine": f"select {_RECORD}, reasons, payload, status from quarantine.quarantined_records",
    "findings": f"select {_RECORD}, dimension, check_name, field, outcome from intermediate.int_findings",
    "lineage": "select entity, source, source_location, raw_schema, target_table, count_collected, count_published from metadata.lineage",
    "statistics": "select entity, field, group_value, count_values, mean_value, stddev_value from intermediate.int_outlier_statistics",
}
# what differs from run to run, or from machine to machine, and says nothing of the day
_OWN_OF_SOURCE = ("duration_s", "run_id", "tries", "reason")
_OWN = {"run_id", "target", "started_at", "finished_at", "duration_s", "peak_memory_mb", "phases", "report", "decisions", "criteria",
        "repair_command"}  # fmt: skip


def days() -> list[Any]:
    """Each day with its size; three of them at random, the same ones for the same seed."""
    chosen = random.Random(SEED)
    drawn = [(date(2020, 1, 1) + timedelta(days=chosen.randrange(3_650))).isoformat() for _ in range(3)]
    soaked = [(GOLDEN_DAY, 10.0), *((day, SCALE) for day in drawn)]
    return [(GOLDEN_DAY, 1.0), *(pytest.param(one, marks=pytest.mark.soak) for one in soaked)]


@dataclass(frozen=True)
class SameDay:
    """A day as each engine published it.

    Attributes:
        events: The export of the published events, by target.
        tables: The rows of `TABLES`, by target and table.
    """

    runs: dict[str, Run]
    events: dict[str, Path]
    tables: dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module", params=days(), ids=lambda day: f"{day[0]} x {day[1]:g}")
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SameDay]:
    """A day from the same records in both engines; the golden one has been loaded into DuckDB already."""
    load_date, scale = request.param
    known = {"duckdb": request.getfixturevalue("golden")} if scale == 1 else {}
    folders = {target: tmp_path_factory.mktemp(target) for target in TARGETS if target not in known}
    with running_sandbox(load_date, scale=scale, warehouse=True) as env, ThreadPoolExecutor() as pool:

        def load(target: str) -> Run:
            # the golden day in DuckDB has its archive; the others need none
            arguments = ["--date", load_date, "--target", target, "--json", *([] if known else ["--archive", ""])]
            return orchestrate(folders[target], *arguments, env=env, timeout_s=900)

        runs = known | dict(zip(folders, pool.map(load, folders), strict=True))
        for run in runs.values():
            assert run.exit_code == 0, run.errors[-3_000:]
        yield SameDay(runs, *_read({target: run.folder for target, run in runs.items()}, env, load_date))
    # a tenfold day takes some gigabytes
    for folder in folders.values():
        shutil.rmtree(folder)


def _read(
    folders: dict[str, Path], env: dict[str, str], day: str
) -> tuple[dict[str, Path], dict[str, dict[str, list[str]]]]:
    postgres = connect(env)
    with duckdb.connect(str(folders["duckdb"] / "warehouse.duckdb")) as embedded:
        embedded.execute("set timezone = 'UTC'")
        events = {
            "duckdb": export_duckdb(embedded, day, folders["duckdb"] / "events.csv"),
            "postgres": export_postgres(postgres, day, folders["postgres"] / "events.csv"),
        }
        ask = {
            "duckdb": lambda sql: embedded.execute(sql).fetchall(),
            "postgres": lambda sql: query(postgres, sql),
        }
        tables = {
            target: {name: sorted(_without_port(repr(row)) for row in ask[target](sql)) for name, sql in TABLES.items()}
            for target in TARGETS
        }
    postgres.close()
    return events, tables


def _without_port(text: str) -> str:
    """The sandbox serves the same records at another port each time."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", text)


def test_the_published_events_are_byte_identical(day: SameDay) -> None:
    with day.events["duckdb"].open("rb") as lines:
        assert sum(1 for _ in lines) == day.runs["duckdb"].summary["published"] > 2_000
    assert filecmp.cmp(day.events["duckdb"], day.events["postgres"], shallow=False)


@pytest.mark.parametrize("table", TABLES)
def test_everything_that_is_said_of_the_day_is_the_same(day: SameDay, table: str) -> None:
    assert day.tables["duckdb"][table]
    assert day.tables["duckdb"][table] == day.tables["postgres"][table]


def test_both_summaries_have_the_same_keys_and_figures(day: SameDay) -> None:
    summaries = {target: run.summary for target, run in day.runs.items()}
    assert summaries["duckdb"].keys() == summaries["postgres"].keys()
    for summary in summaries.values():
        for source in summary["sources"].values():
            for key in _OWN_OF_SOURCE:
                del source[key]
            source["location"] = _without_port(source["location"])
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
