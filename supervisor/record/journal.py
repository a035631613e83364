"""The run's decisions, written down as they are taken, so that a killed run leaves them too."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from supervisor.common.files import write_json
from supervisor.common.request import Settings
from supervisor.common.secrecy import redact
from supervisor.record.history import REQUEST_FILE


class Journal:
    """`decisions.jsonl` of a run, and the same in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: list[dict[str, str]] = []

    def record(self, phase: str, observed: str, decision: str, outcome: str) -> None:
        """Write down what was seen, what was chosen and why, and what came of it."""
        entry = {
            "phase": phase,
            "observed": redact(observed),
            "decision": redact(decision),
            "outcome": redact(outcome),
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        self.entries.append(entry)
        # on a full disk the decision still goes into the summary and the warehouse
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry, ensure_ascii=False) + "\n")


def new_run_id(work_dir: Path) -> str:
    """Return an id that no run has: the time, UTC, and a number when a second has several."""
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    candidates = [stamp, *(f"{stamp}_{number}" for number in range(2, 1000))]
    return next(candidate for candidate in candidates if not (work_dir / "runs" / candidate).exists())


def note_request(run_dir: Path, settings: Settings, words: str = "run") -> None:
    """Leave in the run's folder what was asked for, so that a run that never ends is known by its day."""
    write_json(
        run_dir / REQUEST_FILE,
        {
            "run_id": run_dir.name,
            "command": words,
            "pid": os.getpid(),
            "date": settings.date.isoformat(),
            "target": settings.target,
            "options": dict(settings.options),
            "source_filter": settings.source_filter,
            "force": settings.force,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
