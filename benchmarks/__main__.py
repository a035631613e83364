"""`make bench`: the golden day by Goalkeeper and by hand, in turn, in one run; the sandbox's servers are outside of both."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Measurement, run
from sandbox.process import running_sandbox

PROJECT = Path(__file__).resolve().parent.parent
BAR_RATIO, BAR_MB = 5.0, 1000.0


def main() -> int:
    """Measure and print; exit code 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", default="2025-11-16")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the day")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    pairs = []
    with running_sandbox(options.date, scale=options.scale, faults="none") as sources:
        env = {**os.environ, **sources, "PYTHONPATH": str(PROJECT), "DO_NOT_TRACK": "1"}
        env.pop("DUCKDB_PATH", None)
        for number in range(options.runs + 1):
            pair = (_goalkeeper(options.date, env), _handwritten(options.date, env))
            # the first pair warms the caches of the disk and of dbt's parser
            if number:
                pairs.append(pair)
            print(f"{'warm-up' if not number else f'run {number}'}: {_line(pair)}", flush=True)
    ratio = statistics.median(ours.wall_s / theirs.wall_s for ours, theirs in pairs)
    memory = max(ours.peak_mb for ours, _ in pairs)
    wall, by_hand = (statistics.median(pair[side].wall_s for pair in pairs) for side in (0, 1))
    print(
        f"\ngoalkeeper {wall:.2f} s, by hand {by_hand:.2f} s: {ratio:.2f} times (bar {BAR_RATIO:g}); peak {memory:.0f} MB (bar {BAR_MB:g})"
    )
    return 0 if ratio <= BAR_RATIO and memory <= BAR_MB else 1


def _goalkeeper(day: str, env: dict[str, str]) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(PROJECT / "orchestrate.py"), "--date", day, "--json", "--console", "quiet"]
        return _checked(run(command, Path(folder), env))


def _handwritten(day: str, env: dict[str, str]) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(PROJECT / "benchmarks" / "handwritten.py"), day, f"{folder}/by_hand.duckdb"]
        return _checked(run(command, Path(folder), env))


def _checked(measurement: Measurement) -> Measurement:
    if measurement.exit_code:
        raise SystemExit(
            f"a benchmarked program ended with exit code {measurement.exit_code}: {measurement.output[-500:]}"
        )
    return measurement


def _line(pair: tuple[Measurement, Measurement]) -> str:
    ours, theirs = (json.loads(measurement.output) for measurement in pair)
    same = {key for key in theirs if ours[key] != theirs[key]}
    if same:
        raise SystemExit(f"the two programs disagree on {sorted(same)}")
    a, b = pair
    return f"goalkeeper {a.wall_s:.2f} s {a.peak_mb:.0f} MB, by hand {b.wall_s:.2f} s {b.peak_mb:.0f} MB, {a.wall_s / b.wall_s:.2f} times"


if __name__ == "__main__":
    sys.exit(main())
