"""`python -m benchmarks.postgres`: the day into PostgreSQL by Goalkeeper and by hand, in turn, in one run."""

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


def main() -> int:
    """Measure and print; exit code 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", default="2025-11-16")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the day")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--bar", type=float, help="times the hand-written program (default: 5, from scale 5 on 3)")
    options = parser.parse_args()
    bar = options.bar or (3.0 if options.scale >= 5 else 5.0)
    pairs = []
    for number in range(options.runs + 1):
        # each pair has a server of its own: an empty warehouse is what both begin with
        with running_sandbox(options.date, scale=options.scale, faults="none", warehouse=True) as servers:
            env = {**os.environ, **servers, "PYTHONPATH": str(PROJECT), "DO_NOT_TRACK": "1"}
            pair = (_goalkeeper(options.date, env), _handwritten(options.date, env))
        # the first pair warms the caches of the disk and of dbt's parser
        if number:
            pairs.append(pair)
        print(f"{'warm-up' if not number else f'run {number}'}: {_line(pair)}", flush=True)
    ratio = statistics.median(ours.wall_s / theirs.wall_s for ours, theirs in pairs)
    wall, by_hand = (statistics.median(pair[side].wall_s for pair in pairs) for side in (0, 1))
    print(f"\ngoalkeeper {wall:.2f} s, by hand {by_hand:.2f} s: {ratio:.2f} times (bar {bar:g})")
    return 0 if ratio <= bar else 1


def _goalkeeper(day: str, env: dict[str, str]) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        script = str(PROJECT / "orchestrate.py")
        command = [sys.executable, script, "--date", day, "--target", "postgres", "--json", "--console", "quiet"]
        return _checked(run(command, Path(folder), env))


def _handwritten(day: str, env: dict[str, str]) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        return _checked(run([sys.executable, "-m", "benchmarks.handwritten_postgres", day], Path(folder), env))


def _checked(measurement: Measurement) -> Measurement:
    if measurement.exit_code:
        raise SystemExit(f"a program ended with exit code {measurement.exit_code}: {measurement.output[-500:]}")
    return measurement


def _line(pair: tuple[Measurement, Measurement]) -> str:
    ours, theirs = (json.loads(measurement.output) for measurement in pair)
    different = {key for key in theirs if ours[key] != theirs[key]}
    if different:
        raise SystemExit(f"the two programs disagree on {sorted(different)}")
    a, b = pair
    return f"goalkeeper {a.wall_s:.2f} s {a.peak_mb:.0f} MB, by hand {b.wall_s:.2f} s {b.peak_mb:.0f} MB, {a.wall_s / b.wall_s:.2f} times"


if __name__ == "__main__":
    sys.exit(main())
