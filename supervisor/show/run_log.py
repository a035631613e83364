"""The log of a run: its transcript as plain lines in `run.log`, cleared of secrets."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TextIO, cast

from supervisor.common.secrecy import redact
from supervisor.record.events import Event, RunStarted
from supervisor.show.console_plain import PlainConsole
from supervisor.show.transcript import Transcript


class RunLog:
    """Listens to runs and writes each down in its own folder; what can't be written is lost, and the run goes on."""

    def __init__(self) -> None:
        self._transcript: Transcript | None = None

    def __call__(self, event: Event) -> None:
        """Write an event down; what is said before the first run has no folder yet."""
        if isinstance(event, RunStarted):
            self._transcript = Transcript(PlainConsole(cast(TextIO, _RedactedFile(event.run_dir / "run.log"))))
        if self._transcript is not None:
            self._transcript(event)


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
