"""What a person sees of a run while it works: the protocol, and the choice of a console."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from supervisor.show.console_live import LiveConsole
from supervisor.show.console_plain import PlainConsole, QuietConsole

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

StepStatus = Literal["running", "ok", "warning", "failed", "info"]
ConsoleMode = Literal["auto", "live", "plain", "quiet"]
_OFF = frozenset({"", "0", "false", "no"})


class Console(Protocol):
    """Where a run says what it does. Safe to call from several threads.

    Every text may hold data: no implementation reads it as markup or lets control characters
    through.
    """

    def run_started(self, *, run_id: str, date: str, target: str, notes: Sequence[str]) -> None:
        """Say which run starts, for which day and warehouse; notes are one line each."""

    def phase_started(self, name: str, title: str) -> None:
        """Begin a phase: collect, transform, validate or publish; "Data Collection"."""

    def step(self, path: tuple[str, ...], text: str, status: StepStatus = "running") -> None:
        """Create or change the step at `path` of the current phase, such as ("s3", "files").

        An empty text keeps the one that the step has.
        """

    def phase_finished(self, name: str, status: str, lines: Sequence[str]) -> None:
        """End a phase: COMPLETED, COMPLETED WITH WARNINGS or FAILED, and its closing lines."""

    def run_finished(self, summary: Summary) -> None:
        """Say how the run ended."""

    def message(self, text: str, *, error: bool = False) -> None:
        """Say something that belongs to no step."""


class ClosableConsole(Console, Protocol):
    """A console that may hold a terminal: `contextlib.closing` fits."""

    def close(self) -> None:
        """Leave the terminal in order; safe to call at any time, and twice."""


def make_console(
    mode: ConsoleMode = "auto",
    *,
    stream: TextIO | None = None,
    env: Mapping[str, str] | None = None,
) -> ClosableConsole:
    """Return the console for `mode`, writing to standard error.

    "auto" draws live on a terminal and writes plain lines anywhere else: no terminal, a dumb
    one (`TERM=dumb`) or a CI service (`CI` set). `NO_COLOR` takes the colour from the live tree.

    Args:
        mode: "auto", "live", "plain" or "quiet".
        stream: Another stream than standard error.
        env: Another environment than the process'.

    Raises:
        ValueError: For an unknown mode, with the list of modes.
    """
    if mode not in ("auto", "live", "plain", "quiet"):
        raise ValueError(f"console {mode!r} is unknown: use auto, live, plain or quiet")
    out = sys.stderr if stream is None else stream
    environment = os.environ if env is None else env
    if mode == "live" or (mode == "auto" and _can_draw(out, environment)):
        colour = not environment.get("NO_COLOR")
        return LiveConsole(stream, force=mode == "live", colour=colour)
    return QuietConsole(out) if mode == "quiet" else PlainConsole(out)


def _can_draw(stream: TextIO, env: Mapping[str, str]) -> bool:
    if env.get("TERM", "").lower() in {"dumb", "unknown"}:
        return False
    if env.get("CI", "").lower() not in _OFF:
        return False
    try:
        return stream.isatty()
    except ValueError:
        # a closed stream: lines that go nowhere do no harm
        return False
