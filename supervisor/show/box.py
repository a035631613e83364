"""The closing words of a run as rows, and the box that is drawn around them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.constrain import Constrain
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from supervisor.common.text import encodable
from supervisor.show.signs import can_draw, sign_text

RowKind = Literal["text", "heading", "item", "command"]
_WIDEST, _NARROWEST = 100, 64
_INDENTS = {"item": "- ", "command": "    "}


@dataclass(frozen=True)
class Row:
    """One line of the closing words; wrapped by rich when drawn."""

    text: str = ""
    kind: RowKind = "text"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Wrap to the width; an item hangs below its dash, a command breaks with a backslash."""
        width = options.max_width
        if self.kind == "command":
            yield from _command_lines(encodable(self.text, options.encoding), width)
            return
        indent = _INDENTS.get(self.kind, "")
        text = sign_text(self.text, options.encoding)
        for number, line in enumerate(text.wrap(console, max(width - len(indent), 1)) or [text]):
            yield Text.assemble((" " * len(indent) if number else indent, "dim"), line)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Ask for a line of its own."""
        width = len(_INDENTS.get(self.kind, "")) + cell_len(encodable(self.text, options.encoding))
        return Measurement(1, max(width, 1)).with_maximum(options.max_width)


@dataclass(frozen=True)
class Closing:
    """The closing words: a headline, a boxed summary, a command to copy ("" for none)."""

    headline: str
    title: str
    rows: tuple[Row, ...]
    repair: str = ""


def _command_lines(command: str, width: int) -> list[Text]:
    """Break a command that is too wide with backslashes, as a shell takes it."""
    room = width - cell_len(command)
    if room >= 0:
        return [Text(" " * (min(room, len(_INDENTS["command"])) // 2 * 2) + command)]
    pieces = textwrap.wrap(command, max(width - 2, 10), break_long_words=False, break_on_hyphens=False)
    return [Text(piece + " \\") for piece in pieces[:-1]] + [Text(pieces[-1])]


def closing_box(closing: Closing, encoding: str) -> Constrain:
    """Draw the boxed summary: as wide as its rows, at most as the terminal, and at most 100 cells.

    For an encoding other than UTF-8 the box and the signs in it are ASCII.
    """
    table = Table(
        box=box.SQUARE if can_draw(encoding) else box.ASCII2,
        border_style="dim",
        header_style="",
        show_header=bool(closing.title),
        min_width=_NARROWEST,
    )
    table.add_column(sign_text(closing.title, encoding), overflow="fold")
    for row in closing.rows:
        table.add_row(row)
    return Constrain(table, _WIDEST)
