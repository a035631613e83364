"""A day is the same on both engines, byte for byte: the golden one and three at random."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from end_to_end.helpers import Run, orchestrate
from postgres.helpers import EXPORT, GOLDEN_DAY, connect, export, query

from sandbox.process import running_sandbox

SEED = os.environ.get("PARITY_SEED", "2025")
TARGETS = ("duckdb", "postgres")
TABLES = {
    "scores": "select source, dimension, check_name, attempted, failed, score, threshold, passed, iteration from quality.quality_scores",
    "corrections": "select source, event_id, source_object, source_row, field, value_before, value_after, rule_id from quality.corrections",
    "quarantine": "select source, source_object, source_row, event_id, reasons, payload, status from quarantine.quarantined_events",
    "lineage": "select source, source_location, raw_schema, target_table, count_collected, count_published from metadata.lineage",
    "statistics": "select event_type, count_events, mean_amount, stddev_amount from intermediate.int_amount_statistics",
}
# what differs from run to run, or from machine to machine
_OWN = {"run_id", "target", "started_at", "finished_at", "duration_s", "peak_memory_mb", "phases", "report", "decisions", "criteria",
        "repair_command"}  # fmt: skip


def random_days() -> list[str]:
    """Three days, the same ones for the same seed."""
    chosen = random.Random(SEED)
    return [(date(2020, 1, 1) + timedelta(days=chosen.randrange(3_650))).isoformat() for _ in range(3)]


@dataclass(frozen=True)
class SameDay:
    """A day as each engine published it."""

    runs: dict[str, Run]
    events: dict[str, bytes]
    tables: dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module", params=[GOLDEN_DAY, *random_days()])
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SameDay:
    """Load a day from the same sources into both engines, side by side."""
    folders = {target: tmp_path_factory.mktemp(target) for target in TARGETS}
    with running_sandbox(request.param, scale=0.01, warehouse=True) as env, ThreadPoolExecutor() as pool:

        def load(target: str) -> Run:
            return orchestrate(folders[target], "--date", request.param, "--target", target, "--json", env=env)

        runs = dict(zip(TARGETS, pool.map(load, TARGETS), strict=True))
        for run in runs.values():
            assert run.exit_code == 0, run.errors[-3_000:]
        return SameDay(runs, *_read(folders["duckdb"], env, request.param))


def _read(folder: Path, env: dict[str, str], day: str) -> tuple[dict[str, bytes], dict[str, dict[str, list[str]]]]:
    postgres = connect(env)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as embedded:
        embedded.execute("set timezone = 'UTC'")
        ask = {
            "duckdb": lambda sql: embedded.execute(sql).fetchall(),
            "postgres": lambda sql: query(postgres, sql),
        }
        events = {target: export(ask[target](EXPORT.format(day=day))) for target in TARGETS}
        tables = {
            target: {name: sorted(repr(row) for row in ask[target](sql)) for name, sql in TABLES.items()}
            for target in TARGETS
        }
    postgres.close()
    return events, tables


def test_the_published_events_are_byte_identical(day: SameDay) -> None:
    assert day.events["duckdb"].count(b"\n") > 2_000
    assert day.events["duckdb"] == day.events["postgres"]


@pytest.mark.parametrize("table", TABLES)
def test_everything_that_is_said_of_the_day_is_the_same(day: SameDay, table: str) -> None:
    assert day.tables["duckdb"][table]
    assert day.tables["duckdb"][table] == day.tables["postgres"][table]


def test_both_summaries_have_the_same_keys_and_figures(day: SameDay) -> None:
    summaries = {target: run.summary for target, run in day.runs.items()}
    assert summaries["duckdb"].keys() == summaries["postgres"].keys()
    for summary in summaries.values():
        for source in summary["sources"].values():
            del source["duration_s"], source["run_id"]
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
