"""Tables and lines for people, on any terminal, a pipe included: no markup, no control characters."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from supervisor.common.text import encodable, plain_text

_PIPE_WIDTH = 160


@dataclass(frozen=True)
class Column:
    """A column of a table; `keep` never breaks its cells, `style` is a rich style."""

    title: str
    align: Literal["left", "right"] = "left"
    keep: bool = False
    style: str = ""


class Terminal:
    """Writes words and tables to a stream.

    Args:
        stream: Standard output by default: what a command was asked for. Hints and errors belong on standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        is_terminal = self._stream.isatty()
        self._console = Console(
            file=self._stream,
            highlight=False,
            markup=False,
            emoji=False,
            width=None if is_terminal else _PIPE_WIDTH,
        )

    @property
    def width(self) -> int:
        """How many characters a line holds."""
        return self._console.width

    def line(self, text: str = "", style: str = "") -> None:
        """Write one paragraph; a terminal wraps it at words."""
        self._print(Text(self._fit(text), style), soft_wrap=not self._stream.isatty())

    def command(self, text: str) -> None:
        """Write a command to be copied: indented, and never broken by us."""
        self._print(Text(f"    {self._fit(text)}"), soft_wrap=True)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str | tuple[str, str]]]) -> None:
        """Write a table; a cell is a text, or a text with its style."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
        for column in columns:
            table.add_column(
                self._fit(column.title), justify=column.align, no_wrap=column.keep, overflow="fold", style=column.style
            )
        for row in rows:
            table.add_row(*(self._cell(cell) for cell in row))
        self._print(table)

    def _print(self, content: Text | Table, *, soft_wrap: bool = False) -> None:
        # captured, because rich would end the process when the reader of a pipe is gone
        with self._console.capture() as captured:
            self._console.print(content, soft_wrap=soft_wrap)
        for line in captured.get().splitlines():
            # the padding of a table's last column is noise to who copies or compares lines
            self._stream.write(line.rstrip() + "\n")

    def _cell(self, cell: str | tuple[str, str]) -> Text:
        text, style = cell if isinstance(cell, tuple) else (cell, "")
        return Text(self._fit(text), style)

    def _fit(self, text: str) -> str:
        return encodable(plain_text(text, 10_000, keep_indent=True), getattr(self._stream, "encoding", None) or "utf-8")
