"""`python -m benchmarks.history`: does a day on PostgreSQL cost more when there are a thousand before it?

Builds a warehouse with one real day, puts synthetic days before it into every table that keeps history (raw, published, metadata),
and publishes the real day again and again: the publish alone, and the whole run. The synthetic days are copies of the real one
with ids of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg2

from sandbox.process import running_sandbox

PROJECT = Path(__file__).resolve().parent.parent
DAY = date(2025, 11, 16)
PHASES = ("collect", "transform", "validate", "publish")
PARTITIONED = ("analytics.events", "quarantine.quarantined_records", "quality.corrections")
PLAIN = ("quality.quality_scores", "metadata.lineage", "metadata.load_outcomes")
RAW = ("raw_s3.events", "raw_postgres.transactions", "raw_postgres.users", "raw_api.events")
# keys of a copied day must be its own, or the look-back window would take the real one for a repetition
OWN = {
    "event_id": "event_id || to_char(day, '_YYYYMMDD')",
    "record_key": "record_key || to_char(day, '_YYYYMMDD')",
    "run_id": "to_char(day, '\"copy\"_YYYYMMDD')",
    "load_id": "to_char(day, '\"copy\"_YYYYMMDD')",
    "load_date": "day",
}


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--days", type=int, nargs="+", default=[10, 100, 1000], help="how much history, in growing order"
    )
    parser.add_argument(
        "--scale", type=float, default=0.03, help="of a day; 1 is 340,000 records, 1,000 days of it 100 GB"
    )
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with running_sandbox(DAY, scale=options.scale, warehouse=True) as servers, tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, **servers, "DO_NOT_TRACK": "1"}
        os.environ.update(servers)
        _run(env, folder)
        connection = psycopg2.connect(
            host=servers["POSTGRES_HOST"], port=servers["POSTGRES_PORT"], user=servers["POSTGRES_USER"],
            password=servers["POSTGRES_PASSWORD"], dbname=servers["POSTGRES_DB"],
        )  # fmt: skip
        connection.autocommit = True
        cursor = connection.cursor()
        print(f"days of history | events | publish alone s | {' s | '.join(PHASES)} s | whole run s", flush=True)
        there = 0
        for days in options.days:
            _copy_day_into(cursor, DAY - timedelta(days=days), DAY - timedelta(days=there + 1))
            there = days
            cursor.execute("analyze")
            # medians, because a server writes its caches back when it likes
            publishes = [_publish() for _ in range(options.runs)]
            runs = [_run(env, folder) for _ in range(options.runs)]
            cursor.execute("select count(*) from analytics.events")
            (events,) = cursor.fetchone()
            phases = [[run["phases"][name]["duration_s"] for run in runs] for name in PHASES]
            timings = [publishes, *phases, [run["duration_s"] for run in runs]]
            print(
                " | ".join([str(days), f"{events:,}", *(f"{statistics.median(one):.2f}" for one in timings)]),
                flush=True,
            )
        cursor.execute(
            "select coalesce(sum(idx_scan), 0) from pg_stat_user_indexes where indexrelname like '%\\_load\\_date'"
        )
        print(f"the indexes on load_date were read {cursor.fetchone()[0]:,} times")
        connection.close()
    return 0


def _run(env: Mapping[str, str], folder: str) -> dict[str, Any]:
    command = [
        sys.executable,
        str(PROJECT / "orchestrate.py"),
        "--date",
        DAY.isoformat(),
        "--target",
        "postgres",
        "--force",
    ]
    done = subprocess.run(
        [*command, "--json", "--console", "quiet"],
        cwd=folder,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the run ended with exit code {done.returncode}: {done.stderr[-1_000:]}")
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def _publish() -> float:
    """Publish the day again and return how many seconds that took."""
    from supervisor.run.publish import publish_day
    from supervisor.warehouse.engines import open_warehouse

    warehouse = open_warehouse("postgres")
    with warehouse.session() as session:
        (last,) = session.query("select summary from metadata.pipeline_runs order by finished_at desc limit 1")
    summary = json.loads(last["summary"])
    run_id = f"bench_{time.monotonic_ns()}"
    started = time.perf_counter()
    publish_day(
        warehouse, DAY, run_id, [*PARTITIONED, "quality.quality_scores", "metadata.lineage"],
        lambda measured: ({**summary, "run_id": run_id}, []),
    )  # fmt: skip
    return time.perf_counter() - started


def _copy_day_into(cursor: Any, first: date, last: date) -> None:
    for table in PARTITIONED:
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            partition = f"day_partitions.{table.replace('.', '_')}_{day:%Y_%m_%d}"
            cursor.execute(
                f"create table {partition} partition of {table} for values from ('{day}') to ('{day + timedelta(days=1)}')"
            )
    for table in (*PARTITIONED, *PLAIN, *RAW):
        cursor.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum",
            (table,),
        )
        names = [row[0] for row in cursor.fetchall()]
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(OWN.get(name, f'"{name}"') for name in names)
        # in the order of the days, as they would have come
        cursor.execute(
            f"insert into {table} ({columns}) select {values} from {table} cross join "
            f"(select cast(day as date) as day from generate_series(date '{first}', date '{last}', interval '1 day') as day) as days "
            f"where load_date = date '{DAY}' order by day"
        )


if __name__ == "__main__":
    sys.exit(main())
