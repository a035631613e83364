"""Runs the product as its users do, and reads what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

PROJECT = Path(__file__).resolve().parents[3]
GOLDEN_DAY = "2025-11-16"
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


def orchestrate(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 180) -> Run:
    """Run `python orchestrate.py` in a folder, as from a terminal that is none."""
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("SANDBOX_", "SOURCES__", "DUCKDB_", "GOALKEEPER_"))
    }
    done = subprocess.run(
        [sys.executable, str(PROJECT / "orchestrate.py"), *arguments],
        cwd=folder,
        env={**clean, "DO_NOT_TRACK": "1", **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr, folder)


def load_day(folder: Path, *arguments: str, day: str = GOLDEN_DAY, faults: str = "none", scale: str = "1") -> Run:
    """Run the main job on the sandbox, with its summary as JSON."""
    return orchestrate(
        folder, "--date", day, "--json", *arguments, env={"SANDBOX_FAULTS": faults, "SANDBOX_SCALE": scale}
    )


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
