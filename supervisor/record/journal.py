"""What a run leaves in its folder while it works, so that a killed run leaves it too: its request and its decisions."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from supervisor.common.files import write_json
from supervisor.common.request import Request
from supervisor.record.events import DecisionTaken, Event
from supervisor.record.history import REQUEST_FILE


class Journal:
    """Listens for decisions and appends them to `decisions.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, event: Event) -> None:
        """Write down a decision; other events pass."""
        if isinstance(event, DecisionTaken):
            # on a full disk the decision still goes into the summary and the warehouse
            with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(event), ensure_ascii=False) + "\n")


def new_run_id(work_dir: Path) -> str:
    """Return an id that no run has: the time, UTC, and a number when a second has several."""
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    candidates = [stamp, *(f"{stamp}_{number}" for number in range(2, 1000))]
    return next(candidate for candidate in candidates if not (work_dir / "runs" / candidate).exists())


def report_path(work_dir: Path, run_id: str) -> Path:
    """Where a run's report is."""
    return work_dir / "reports" / f"quality_{run_id}.html"


def note_request(run_dir: Path, request: Request, command: str) -> None:
    """Leave in the run's folder what was asked for, so that a run that never ends is known by its day."""
    write_json(
        run_dir / REQUEST_FILE,
        {
            "run_id": run_dir.name,
            "command": command,
            "pid": os.getpid(),
            "date": request.date.isoformat(),
            "target": request.target,
            "options": dict(request.options),
            "source_filter": request.source_filter,
            "force": request.force,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
