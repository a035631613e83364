"""`python -m benchmarks.kills`: is a day ever torn, lost or doubled when a run is killed at a random moment?

Each trial starts a run, into an empty warehouse or over a published day, kills it with SIGKILL at a uniformly random moment (the whole
tree of processes, or the supervisor alone), looks at what readers see, then runs the same command again and compares the published day
with that of a run that was never disturbed. With no failure in n trials, fewer than about 3 in n are likely to fail.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sandbox.process import running_sandbox

PROJECT = Path(__file__).resolve().parent.parent
DAY = "2025-11-16"
SCHEMAS = ("raw_s3", "raw_postgres", "raw_api", "seeds", "staging", "intermediate", "day_partitions", "quarantine", "quality",
           "analytics", "metadata")  # fmt: skip
DAYS_RUNS = {
    table: f"select distinct run_id from {table} where load_date = date '{DAY}'"
    for table in ("analytics.events", "metadata.lineage", "quality.corrections", "quality.quality_scores")
}
LAST_RUN = (
    f"select run_id from metadata.pipeline_runs where load_date = date '{DAY}' and exit_code in (0, 3) "
    "order by finished_at desc limit 1"
)
CONTENT = (
    "select event_id, source, user_id, event_type, cast(occurred_at as varchar), amount, quantity, currency, country, device, "
    "is_complete, is_in_range, is_anomaly, is_late, correction_count, source_object, source_row "
    f"from analytics.events where load_date = date '{DAY}'"
)


@dataclass(frozen=True)
class Place:
    """Where a target's trials happen."""

    folder: Path
    env: Mapping[str, str]
    target: str

    @contextmanager
    def connection(self) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
        """Connect as a reader would and yield what runs a query."""
        if self.target == "duckdb":
            import duckdb

            with duckdb.connect(str(self.folder / "warehouse.duckdb")) as embedded:
                embedded.execute("set timezone = 'UTC'")
                yield lambda sql: embedded.execute(sql).fetchall()
            return
        import psycopg2

        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DB"}
        server = psycopg2.connect(
            **{key: self.env[f"POSTGRES_{name}"] for key, name in names.items()}, options="-c timezone=UTC"
        )
        server.autocommit = True

        def ask(sql: str) -> list[tuple[Any, ...]]:
            with server.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []

        try:
            yield ask
        finally:
            server.close()

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a run of the day."""
        command = [
            sys.executable,
            str(PROJECT / "orchestrate.py"),
            "--date",
            DAY,
            "--target",
            self.target,
            "--archive",
            "",
        ]
        return subprocess.Popen(
            [*command, "--console", "quiet", *arguments], cwd=self.folder, env=dict(self.env), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str) -> None:
        """Run the day to its end; a failure ends the benchmark's trial."""
        process = self.start(*arguments)
        _, errors = process.communicate()
        if process.returncode:
            raise AssertionError(f"the next run ended with exit code {process.returncode}: {errors[-600:]}")

    def empty(self) -> None:
        """Take everything away that a run has ever put into the warehouse."""
        if self.target == "duckdb":
            for path in self.folder.glob("warehouse.duckdb*"):
                path.unlink()
            return
        with self.connection() as ask:
            for schema in SCHEMAS:
                # a killed run's children may work there still
                ask("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'goalkeeper%'")
                ask(f"drop schema if exists {schema} cascade")

    def read_day(self) -> str | None:
        """Return a hash of the published day, None if there is none; raise `AssertionError` if it is torn."""
        if self.target == "duckdb" and not (self.folder / "warehouse.duckdb").exists():
            return None
        with self.connection() as ask:
            tables = {
                f"{schema}.{name}"
                for schema, name in ask("select table_schema, table_name from information_schema.tables")
            }
            runs = {
                table: {row[0] for row in ask(sql)} if table in tables else set() for table, sql in DAYS_RUNS.items()
            }
            ledger = {row[0] for row in ask(LAST_RUN)} if "metadata.pipeline_runs" in tables else set()
            if any(found != ledger for found in runs.values()):
                raise AssertionError(f"the day is torn: the ledger says {ledger}, the tables {runs}")
            if not ledger:
                return None
            return hashlib.sha256("\n".join(sorted(map(repr, ask(CONTENT)))).encode()).hexdigest()


def main() -> int:
    """Try, and print what came of it; exit code 1 when anything was torn, lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=("duckdb", "postgres"), default="postgres")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=0.01, help="of a day; 1 is 340,000 records")
    options = parser.parse_args()
    chosen = random.Random(options.seed)
    failures, kinds = [], Counter[str]()
    with running_sandbox(DAY, options.scale, "none", warehouse=options.target == "postgres") as servers, \
            tempfile.TemporaryDirectory() as folder:  # fmt: skip
        place = Place(Path(folder), {**os.environ, **servers, "DO_NOT_TRACK": "1"}, options.target)
        place.run()
        place.empty()
        started = time.monotonic()
        place.run()
        length_s = time.monotonic() - started
        expected = place.read_day()
        print(f"seed {options.seed}, {options.trials} trials; an undisturbed run takes {length_s:.1f} s", flush=True)
        for number in range(options.trials):
            over, whole, at_s = chosen.random() < 0.5, chosen.random() < 0.7, chosen.uniform(0, length_s * 1.05)
            start = "over a published day" if over else "into an empty warehouse"
            kind = f"{start}, {'all processes' if whole else 'the supervisor alone'}"
            try:
                seen = _trial(place, over, whole, at_s, expected)
                kinds[f"{kind}: {seen}"] += 1
            except AssertionError as error:
                failures.append(f"trial {number}, {kind}, killed at {at_s:.2f} s: {error}")
                print(failures[-1], flush=True)
    for kind, count in sorted(kinds.items()):
        print(f"{count:4} {kind}")
    print(f"{len(failures)} failures in {options.trials} trials")
    return 1 if failures else 0


def _trial(place: Place, over: bool, whole: bool, at_s: float, expected: str | None) -> str:
    """Kill one run and return what readers saw then; raise `AssertionError` when a promise is broken."""
    if not over:
        place.empty()
    elif place.read_day() is None:
        place.run()
    arguments = ("--force",) if over else ()
    process = place.start(*arguments)
    with suppress(subprocess.TimeoutExpired):
        process.wait(at_s)
    ended = process.poll() is not None
    tree = psutil.Process(process.pid).children(recursive=True) if whole and not ended else []
    for member in (process, *tree):
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            member.send_signal(signal.SIGKILL)
    process.communicate()
    if place.target == "postgres":
        seen = place.read_day()
        if seen not in ((expected,) if over else (None, expected)):
            raise AssertionError("readers see a day that is neither the old one nor the new")
    else:
        # its children let go of the file in their own time, so the next run looks first
        seen = None
    place.run(*arguments)
    if place.read_day() != expected:
        raise AssertionError("the day differs from that of an undisturbed run")
    return (
        "had ended" if ended else "day was there" if seen else "no day yet" if place.target == "postgres" else "killed"
    )


if __name__ == "__main__":
    sys.exit(main())
