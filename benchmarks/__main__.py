"""`python -m benchmarks`: a day by Goalkeeper and by hand, in turn, in one run; the sandbox's servers are outside of both."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measure import Measurement, run
from sandbox.process import running_sandbox

PROJECT = Path(__file__).resolve().parent.parent
BAR_MB = 1000.0
# times the hand-written program, for a day and for days of about ten times its size
BARS = {"duckdb": (5.0, 5.0), "postgres": (5.0, 3.0)}
LARGE_SCALE = 5.0


def main() -> int:
    """Measure and print; exit code 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=tuple(BARS), default="duckdb")
    parser.add_argument("--date", default="2025-11-16")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the day's 340,000 records")
    parser.add_argument("--runs", type=int, default=3, help="pairs that count, after one that does not")
    options = parser.parse_args()
    pairs = []
    for number in range(options.runs + 1):
        # each pair has servers of its own: an empty warehouse is what both begin with
        with running_sandbox(options.date, options.scale, "none", warehouse=options.target == "postgres") as servers:
            env = {**os.environ, **servers, "PYTHONPATH": str(PROJECT), "DO_NOT_TRACK": "1"}
            env.pop("DUCKDB_PATH", None)
            pair = (_goalkeeper(options.date, options.target, env), _handwritten(options.date, options.target, env))
        # the first pair warms the caches of the disk and of dbt's parser
        if number:
            pairs.append(pair)
        print(f"{f'run {number}' if number else 'warm-up'}: {_line(pair)}", flush=True)
    ratio = statistics.median(ours.wall_s / theirs.wall_s for ours, theirs in pairs)
    memory = max(ours.peak_mb for ours, _ in pairs)
    wall, by_hand = (statistics.median(pair[side].wall_s for pair in pairs) for side in (0, 1))
    is_large = options.scale >= LARGE_SCALE
    bar = BARS[options.target][is_large]
    print(
        f"\ngoalkeeper {wall:.2f} s, by hand {by_hand:.2f} s: {ratio:.2f} times (bar {bar:g}); peak {memory:.0f} MB",
        end="",
    )
    print("" if is_large else f" (bar {BAR_MB:.0f})")
    return 0 if ratio <= bar and (is_large or memory <= BAR_MB) else 1


def _goalkeeper(day: str, target: str, env: Mapping[str, str]) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        script = str(PROJECT / "orchestrate.py")
        command = [sys.executable, script, "--date", day, "--target", target, "--json", "--console", "quiet"]
        return _checked(run(command, Path(folder), env))


def _handwritten(day: str, target: str, env: Mapping[str, str]) -> Measurement:
    with tempfile.TemporaryDirectory() as folder:
        program = {
            "duckdb": ["handwritten", day, f"{folder}/by_hand.duckdb"],
            "postgres": ["handwritten_postgres", day],
        }
        module, *arguments = program[target]
        return _checked(run([sys.executable, "-m", f"benchmarks.{module}", *arguments], Path(folder), env))


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
