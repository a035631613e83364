"""Runs the product as its users do, and reads what it left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

PROJECT = Path(__file__).resolve().parents[3]
GOLDEN_DAY, YESTERDAY = "2025-11-16", "2025-11-15"
# a hundredth: for whatever does not depend on the golden day's own figures
SCALE = 0.01
# small days need no more, and many of them run beside each other
ENGINE = {"GOALKEEPER_MEMORY": "2GB", "GOALKEEPER_THREADS": "2"}
RUN_COLUMNS = ("run_id", "ingested_at")


@dataclass(frozen=True)
class Run:
    """How a command ended."""

    exit_code: int
    output: str
    errors: str
    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        """What `--json` printed."""
        content: dict[str, Any] = json.loads(self.output)
        return content


def orchestrate(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    engine: Mapping[str, str] = ENGINE,
    timeout_s: float = 300,
) -> Run:
    """Run `python orchestrate.py` in a folder, as from a terminal that is none."""
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("SANDBOX_", "SOURCES__", "DUCKDB_", "GOALKEEPER_"))
    }
    done = subprocess.run(
        [sys.executable, str(PROJECT / "orchestrate.py"), *arguments],
        cwd=folder,
        env={**clean, "DO_NOT_TRACK": "1", **engine, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr, folder)


def load_day(
    folder: Path,
    *arguments: str,
    day: str = GOLDEN_DAY,
    faults: str = "none",
    scale: float = 1,
    servers: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    engine: Mapping[str, str] = ENGINE,
) -> Run:
    """Run the main job, with its summary as JSON, on servers that are there already or on a sandbox of its own."""
    sources = {"SANDBOX_FAULTS": faults, "SANDBOX_SCALE": str(scale)} if servers is None else servers
    return orchestrate(folder, "--date", day, "--json", *arguments, env={**sources, **(env or {})}, engine=engine)


def copy_of(run: Run, folder: Path) -> Path:
    """A copy of a run's folder, to change."""
    return Path(shutil.copytree(run.folder, folder))


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Query the embedded warehouse of a folder."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def events_csv(folder: Path, where: str = "true") -> bytes:
    """The published events as CSV, sorted, without the run's own columns."""
    target = folder / "export.csv"
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            f"copy (select * exclude ({', '.join(RUN_COLUMNS)}) from analytics.events where {where} "
            f"order by load_date, event_id) to '{target}' (header)"
        )
    return target.read_bytes()
