"""Consoles for where no person watches: one plain line per change, or almost nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from supervisor.common.outcome import Outcome
from supervisor.common.text import ascii_signs, encodable, plain_text
from supervisor.show.closing import closing_of
from supervisor.show.console_tree import PhaseTree
from supervisor.show.signs import MARKS

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

_SUFFIXES = {"ok": "  [ok]", "warning": "  [warning]", "failed": "  [failed]", "running": "..."}


def _utc_now() -> datetime:
    return datetime.now(UTC)


class PlainConsole:
    """Writes "2025-11-16T02:00:04Z  collect  s3  Records: 250,000", one line per change.

    No colour, no control characters, nothing rewritten: for logs, pipes, cron and CI. A stream
    that is gone (closed terminal, full disk) never stops the run.

    Args:
        stream: Where the lines go; text, flushed after each line.
        clock: The current time, with its zone.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], datetime] = _utc_now) -> None:
        """Take the stream and the clock; nothing is written yet."""
        self._stream = stream
        self._clock = clock
        self._lock = threading.RLock()
        self._tree: PhaseTree | None = None

    def run_started(self, *, run_id: str, date: str, target: str, notes: Sequence[str]) -> None:
        """Say which run starts, for which day and warehouse."""
        with self._lock:
            self._write("run", "start", f"Multi-Source Data Pipeline: Starting (run_id: {run_id})")
            self._write("run", "start", f"Date: {date}")
            self._write("run", "start", f"Target: {target}")
            for note in notes:
                self._write("run", "note", note)

    def phase_started(self, name: str, title: str) -> None:
        """Begin a phase; its steps follow."""
        with self._lock:
            self._tree = PhaseTree(name)
            self._write(name, "phase", f"{self._tree.heading}: {title} [In Progress]")

    def step(self, path: tuple[str, ...], text: str, status: str = "running") -> None:
        """Write the step if it is new or has changed."""
        with self._lock:
            tree = self._tree or PhaseTree("run")
            if changed := tree.upsert(path, text, status, 0.0):
                shown = changed.text.removesuffix("...").rstrip() if status == "running" else changed.text
                marked = any(mark in shown for mark in MARKS.values())
                suffix = "" if marked else _SUFFIXES.get(status, "")
                self._write(tree.name, path[0], shown + suffix)

    def phase_finished(self, name: str, status: str, lines: Sequence[str]) -> None:
        """Write the phase's outcome and its closing lines."""
        with self._lock:
            self._write(name, "phase", f"{PhaseTree(name).heading}: {status}")
            for line in lines:
                self._write(name, "phase", line.removeprefix("- "))
            self._tree = None

    def run_finished(self, summary: Summary) -> None:
        """Write the closing words line by line; the repair command has its own key."""
        closing = closing_of(summary)
        with self._lock:
            self._write("run", "result", closing.headline)
            heading = ""
            for row in closing.rows:
                if row.kind == "heading":
                    heading = row.text.rstrip(":") + ": "
                elif not row.text:
                    heading = ""
                else:
                    self._write("run", "summary", heading + row.text)
            if closing.repair:
                self._write("run", "repair", closing.repair)

    def message(self, text: str, *, error: bool = False) -> None:
        """Write what belongs to no step, each of its lines on its own."""
        with self._lock:
            area = self._tree.name if self._tree else "run"
            for line in str(text).splitlines():
                self._write(area, "error" if error else "note", line)

    def close(self) -> None:
        """Do nothing: a plain console holds nothing."""

    def _write(self, area: str, key: str, text: str) -> None:
        stamp = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        words = "  ".join((plain_text(area, 40), plain_text(key, 80), ascii_signs(plain_text(text))))
        line = encodable(f"{stamp}  {words}", getattr(self._stream, "encoding", None) or "utf-8")
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # who reads is gone; the run and its report matter more than this line
            return


class QuietConsole:
    """Says nothing but errors and an end that needs a person, as cron likes it.

    Args:
        stream: Where those lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        """Take the stream; nothing is written yet."""
        self._plain = PlainConsole(stream)

    def run_started(self, *, run_id: str, date: str, target: str, notes: Sequence[str]) -> None:
        """Say nothing."""

    def phase_started(self, name: str, title: str) -> None:
        """Say nothing."""

    def step(self, path: tuple[str, ...], text: str, status: str = "running") -> None:
        """Say nothing."""

    def phase_finished(self, name: str, status: str, lines: Sequence[str]) -> None:
        """Say nothing."""

    def run_finished(self, summary: Summary) -> None:
        """Write the closing words unless all is well."""
        if Outcome.of(summary.status).mark != "ok":
            self._plain.run_finished(summary)

    def message(self, text: str, *, error: bool = False) -> None:
        """Write errors only."""
        if error:
            self._plain.message(text, error=True)

    def close(self) -> None:
        """Do nothing: a quiet console holds nothing."""
