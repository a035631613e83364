"""Child processes that speak JSON lines: in a group of their own, watched against a deadline, stopped for sure."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def python_path() -> str:
    """Where this package is found, whatever the project and the working directory are."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def worker_environment() -> dict[str, str]:
    """The environment of a process of ours that is started now."""
    return {**os.environ, "PYTHONPATH": python_path()}


class ChildTimeoutError(Exception):
    """Raised when a child said nothing more until the deadline; it has been stopped."""


class ChildDiedError(Exception):
    """Raised when a child ended before it had answered; carries the end of its log."""


class Child:
    """A Python module run as a process, its standard output read as JSON lines.

    Args:
        module: Name for `python -m`.
        arguments: Its command line.
        log_path: Where its standard error is appended.
        environment: Variables beside those of this process.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log_path: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.module = module
        self._log_path = log_path
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env={**worker_environment(), **(environment or {})},
                start_new_session=True,
            )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group as well."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(json.JSONDecodeError):
                message = json.loads(line)
                if isinstance(message, dict):
                    self._messages.put(message)
        self._messages.put(None)

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one line to the child; raises `ChildDiedError` when it is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ChildDiedError(self.last_words()) from error

    def command(self, fields: Mapping[str, Any], log_path: Path, environment: Mapping[str, str]) -> None:
        """Tell a resident child what to do next, with the environment and the log that this has; see `replies`."""
        self._log_path = log_path
        self.send({**fields, "environment": dict(environment), "log": str(log_path.resolve())})

    def replies(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Yield what a resident child says to its next command, `done` as the last.

        Raises:
            ChildTimeoutError: As for `messages`.
            ChildDiedError: It ended before it was done.
        """
        for message in self.messages(timeout_s):
            yield message
            if message["event"] == "done":
                return
        raise ChildDiedError(self.last_words())

    def messages(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Yield what the child says until it ends or `timeout_s` seconds have passed.

        Raises:
            ChildTimeoutError: The time is over; the child has been stopped.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                message = self._messages.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.stop()
                raise ChildTimeoutError(f"{self.module} did not finish within {timeout_s:.0f} s") from None
            if message is None:
                return
            yield message

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self._process.wait()

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the child and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def last_words(self, count: int = 5) -> str:
        """The last lines of its log, for an error message."""
        if not self._log_path.exists():
            return f"{self.module} ended without a word"
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " | ".join(lines[-count:]) or f"{self.module} ended without a word"


class Errand:
    """One command of a resident child that does each in a process of its own: followed like a `Child`."""

    def __init__(self, resident: Child) -> None:
        self._resident = resident
        self._code: int | None = None

    @property
    def pid(self) -> int:
        """Process id of the resident child."""
        return self._resident.pid

    def messages(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Yield what is said until the command ends; see `Child.messages`."""
        for message in self._resident.messages(timeout_s):
            if message["event"] == "done":
                self._code = message["code"]
                return
            yield message

    def wait(self) -> int:
        """The exit code; that of the resident child when it ended itself."""
        return self._resident.wait() if self._code is None else self._code

    def stop(self) -> None:
        """End the resident child with all that it does: the next command needs a new one."""
        self._resident.stop()

    def last_words(self) -> str:
        """The last lines of the log, for an error message."""
        return self._resident.last_words()
