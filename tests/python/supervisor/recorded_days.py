"""Summaries that real runs left of 2025-11-16 in the sandbox, and a folder as such a run leaves it, without running the day.

Each is the standard output of, in an empty folder:

- golden: `SANDBOX_FAULTS=api=timeout:1 python orchestrate.py --date 2025-11-16 --json`
- partial: `SANDBOX_FAULTS=api=down python orchestrate.py --date 2025-11-16 --json`
- escalated: `SANDBOX_FAULTS=none python orchestrate.py --date 2025-11-16 --json --goal goal.md`, with a goal of < 1 %
  transformation failure rate
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from supervisor.record.ledger import LoadOutcome, commit_loads, migrate, record_run
from supervisor.record.summary import Summary
from supervisor.warehouse.duckdb import DuckDBWarehouse

NAMES = ("golden", "partial", "escalated")


def recorded_text(name: str) -> str:
    """The file as the run wrote it."""
    return (Path(__file__).parent / "recorded" / f"{name}.json").read_text(encoding="utf-8")


def recorded(name: str, **changes: Any) -> Summary:
    """The summary, with other values where they are given."""
    return Summary.model_validate({**json.loads(recorded_text(name)), **changes})


def leave_folder(folder: Path, name: str, **changes: Any) -> Summary:
    """Leave in a folder what the run left in `runs/`."""
    summary = recorded(name, **changes)
    run = folder / "runs" / summary.run_id
    run.mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps(summary.as_dict()), encoding="utf-8")
    lines = [json.dumps(decision) + "\n" for decision in summary.as_dict()["decisions"]]
    (run / "decisions.jsonl").write_text("".join(lines), encoding="utf-8")
    return summary


def leave_ledger(folder: Path, name: str, **changes: Any) -> Summary:
    """Leave in a folder the warehouse with what the run wrote into its ledger; the day's tables are not there."""
    summary = recorded(name, **changes)
    content = summary.as_dict()
    loads = [
        LoadOutcome(
            source, one.status, summary.run_id if one.is_loaded else None, one.location, one.collected, 0, one.tries,
            one.reason, one.duration_s or 0.0, {},
        )
        for source, one in summary.sources.items()
    ]  # fmt: skip
    with DuckDBWarehouse(folder / "warehouse.duckdb").transaction() as session:
        migrate(session)
        commit_loads(session, summary.run_id, date.fromisoformat(content["date"]), loads)
        record_run(session, content, content["decisions"])
    return summary
