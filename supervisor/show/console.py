"""What a person sees of a run while it works: the protocol, and the choice of a console."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal, TextIO

from supervisor.show.console_live import LiveConsole
from supervisor.show.console_plain import PlainConsole, QuietConsole
from supervisor.show.console_tree import ClosableConsole, Console, StepStatus

__all__ = [
    "ClosableConsole",
    "Console",
    "ConsoleMode",
    "LiveConsole",
    "PlainConsole",
    "QuietConsole",
    "StepStatus",
    "make_console",
]

ConsoleMode = Literal["auto", "live", "plain", "quiet"]
_OFF = frozenset({"", "0", "false", "no"})


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
