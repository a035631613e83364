"""The console for a terminal: a live tree per phase, finished phases in the scrollback."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console, RenderableType
from rich.live import Live

from supervisor.common.text import plain_text
from supervisor.show.box import closing_box
from supervisor.show.closing import closing_of
from supervisor.show.console_tree import PhaseTree, draw_tree
from supervisor.show.signs import MARKS, sign_text

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

_REFRESHES_PER_SECOND = 8
_STATUS_MARKS = {"COMPLETED": "✓", "COMPLETED WITH WARNINGS": "⚠"}


class _Guarded:
    """A stream whose reader may go away: the run goes on without a face, it does not end.

    Without it rich raises, or on a broken pipe ends the process and points stdout at nothing.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class LiveConsole:
    """Draws the current phase as a tree that changes in place, on a terminal.

    What is finished is printed for good. The cursor stays visible all the time, so that even a
    run that is killed leaves the terminal as it was; Ctrl-C leaves the tree as far as it got.
    Text is never read as markup. Safe to call from several threads.

    Args:
        stream: The terminal; None for standard error, whose other
            writers then appear above the tree.
        clock: A monotonic clock in seconds.
        force: Draw as on a terminal even where the stream says that it is none.
        colour: False for none at all; bold and dim stay.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        force: bool = False,
        colour: bool = True,
    ) -> None:
        """Take the terminal; nothing is written yet."""
        self._out = Console(
            file=cast(TextIO, _Guarded(sys.stderr if stream is None else stream)),
            force_terminal=True if force else None,
            no_color=None if colour else True,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._redirect = stream is None
        self._clock = clock
        # two locks: the drawing thread takes only the second, so starting and stopping it
        # under the first can't deadlock
        self._flow = threading.RLock()
        self._state = threading.Lock()
        self._tree: PhaseTree | None = None
        self._live: Live | None = None

    def run_started(self, *, run_id: str, date: str, target: str, notes: Sequence[str]) -> None:
        """Print which run starts, for which day and warehouse."""
        with self._flow:
            self._print(f"Multi-Source Data Pipeline: Starting (run_id: {run_id})", "bold")
            self._print(f"Date: {date}, target: {target}")
            for note in notes:
                self._print(note, "dim")
            self._print("")

    def phase_started(self, name: str, title: str) -> None:
        """Begin the tree of a phase; an unfinished one before it is printed as it stands."""
        with self._flow:
            self._leave("✗ INTERRUPTED", ())
            with self._state:
                self._tree = PhaseTree(name, title)
            self._live = Live(
                console=self._out,
                get_renderable=self._frame,
                refresh_per_second=_REFRESHES_PER_SECOND,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=self._redirect,
            )
            atexit.register(self.close)
            self._live.start()
            # rich hides the cursor; a killed process could never show it again
            self._out.show_cursor(True)

    def step(self, path: tuple[str, ...], text: str, status: str = "running") -> None:
        """Create or change a step of the current phase; it shows with the next frame."""
        with self._state:
            tree = self._tree
            if tree is not None:
                tree.upsert(path, text, status, self._clock())
        if tree is None and path:
            mark = MARKS.get(status)
            self.message(f"{mark} {text}" if mark else text)

    def phase_finished(self, name: str, status: str, lines: Sequence[str]) -> None:
        """Print the phase's tree, its outcome and its closing lines for good."""
        with self._flow:
            self._leave(f"{_STATUS_MARKS.get(status, '✗')} {status}", lines)

    def run_finished(self, summary: Summary) -> None:
        """Print the closing box, and the repair command on a line of its own."""
        closing = closing_of(summary)
        with self._flow:
            self._leave("✗ INTERRUPTED", ())
            self._print(closing.headline, "bold")
            if not closing.title:
                for row in closing.rows:
                    self._print(row.text)
                return
            self._print("")
            self._print("Summary Report:")
            self._out.print(closing_box(closing, self._out.encoding))
            if closing.repair:
                self._print("")
                self._print("Repair:", "bold")
                # unwrapped, so that it can be copied as one line
                self._out.print(sign_text(closing.repair, self._out.encoding), soft_wrap=True)

    def message(self, text: str, *, error: bool = False) -> None:
        """Print above the tree, each line of the text on its own."""
        with self._flow:
            for position, line in enumerate(str(text).splitlines()):
                mark = "✗ " if error and position == 0 else ""
                self._print(mark + plain_text(line, keep_indent=True), "red" if error else "")

    def close(self) -> None:
        """Stop drawing and leave the terminal in order; safe to call at any time, and twice."""
        with self._flow:
            self._leave("✗ INTERRUPTED", ())

    def _leave(self, outcome: str, lines: Sequence[str]) -> None:
        with self._state:
            tree, self._tree = self._tree, None
        if tree is None:
            return
        live, self._live = self._live, None
        if live is not None:
            live.stop()
        atexit.unregister(self.close)
        self._out.print(draw_tree(tree, self._out.encoding))
        self._print("")
        self._print(f"{tree.heading}: {outcome}", "bold")
        for line in lines:
            self._print("- " + line.removeprefix("- "))
        self._print("")

    def _frame(self) -> RenderableType:
        """Return the tree as it stands, never taller than the terminal."""
        with self._state:
            if self._tree is None:
                return ""
            height = max(self._out.height - 1, 4)
            return draw_tree(self._tree, self._out.encoding, now=self._clock(), height=height)

    def _print(self, text: str, style: str = "") -> None:
        self._out.print(sign_text(plain_text(text, keep_indent=True), self._out.encoding, style))
