"""A console that keeps what it says: everything also goes as plain lines into the run's `run.log`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from supervisor.console import Console
from supervisor.console_plain import PlainConsole
from supervisor.console_tree import StepStatus
from supervisor.secrecy import redact


class LoggedConsole:
    """Passes everything on to another console and writes it down, cleared of secrets.

    Args:
        console: Where people watch.
        path: The log; what can't be written to it is lost, and the run goes on.
    """

    def __init__(self, console: Console, path: Path) -> None:
        self._console = console
        self._log = PlainConsole(cast(TextIO, _RedactedFile(path)))

    def run_started(self, *, run_id: str, date: str, target: str, notes: Sequence[str]) -> None:
        """Say which run starts."""
        self._console.run_started(run_id=run_id, date=date, target=target, notes=notes)
        self.log_start(run_id=run_id, date=date, target=target, notes=notes)

    def log_start(self, *, run_id: str, date: str, target: str, notes: Sequence[str]) -> None:
        """Write down which run starts, and leave saying it to somebody else."""
        self._log.run_started(run_id=run_id, date=date, target=target, notes=notes)

    def phase_started(self, name: str, title: str) -> None:
        """Begin a phase."""
        self._console.phase_started(name, title)
        self._log.phase_started(name, title)

    def step(self, path: tuple[str, ...], text: str, status: StepStatus = "running") -> None:
        """Create or change a step of the current phase."""
        self._console.step(path, text, status)
        self._log.step(path, text, status)

    def phase_finished(self, name: str, status: str, lines: Sequence[str]) -> None:
        """End a phase."""
        self._console.phase_finished(name, status, lines)
        self._log.phase_finished(name, status, lines)

    def run_finished(self, summary: Mapping[str, Any]) -> None:
        """Say how the run ended."""
        self._console.run_finished(summary)
        self.log_end(summary)

    def log_end(self, summary: Mapping[str, Any]) -> None:
        """Write down how the run ended, and leave saying it to somebody else."""
        self._log.run_finished(summary)

    def message(self, text: str, *, error: bool = False) -> None:
        """Say something that belongs to no step."""
        self._console.message(text, error=error)
        self._log.message(text, error=error)


class _RedactedFile:
    """A text stream that appends to a file, opened once a line comes; `PlainConsole` asks for no more of it."""

    encoding = "utf-8"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None

    def write(self, text: str) -> int:
        if self._stream is None:
            self._stream = self._path.open("a", encoding="utf-8")
        return self._stream.write(redact(text))

    def flush(self) -> None:
        if self._stream is not None:
            self._stream.flush()

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.close()
