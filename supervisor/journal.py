"""The run's decisions, written down as they are taken, so that a killed run leaves them too."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from pathlib import Path

from supervisor.secrecy import redact


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
