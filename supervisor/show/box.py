"""The closing words of a run as rows, and the box that is drawn around them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.cells import cell_len, chop_cells, set_cell_size

from supervisor.common.text import encodable

RowKind = Literal["text", "heading", "item", "command"]
_WIDEST, _NARROWEST = 100, 64


@dataclass(frozen=True)
class Row:
    """One line of the closing words, before it is wrapped to a width."""

    text: str = ""
    kind: RowKind = "text"


@dataclass(frozen=True)
class Closing:
    """The closing words: a headline, a boxed summary, a command to copy ("" for none)."""

    headline: str
    title: str
    rows: tuple[Row, ...]
    repair: str = ""


def _indents(kind: RowKind) -> tuple[str, str]:
    return {"item": ("- ", "  "), "command": ("    ", "    ")}.get(kind, ("", ""))


def _wrapped(row: Row, width: int) -> list[str]:
    """Break a row into lines of at most `width` cells; a command breaks with a backslash."""
    first, rest = _indents(row.kind)
    if row.kind == "command":
        if cell_len(first + row.text) > width:
            first = rest = "  " if cell_len(row.text) + 2 <= width else ""
        pieces = textwrap.wrap(row.text, max(width - len(first) - 2, 10),
                               break_long_words=False, break_on_hyphens=False)  # fmt: skip
        if cell_len(first + row.text) <= width:
            pieces = [row.text]
        return [first + piece + (" \\" if number_ < len(pieces) else "")
                for number_, piece in enumerate(pieces, 1)]  # fmt: skip
    lines: list[str] = []
    for piece in textwrap.wrap(row.text, width, initial_indent=first, subsequent_indent=rest):
        # wide characters take two cells, which textwrap does not know
        lines += chop_cells(piece, width) if cell_len(piece) > width else [piece]
    return lines or [""]


def draw_box(closing: Closing, width: int, encoding: str | None = "utf-8") -> list[str]:
    """Draw the boxed summary at most `width` cells wide (and at most 100), as lines.

    A command that is wider than the box is broken with backslashes, as a shell takes it. For an
    encoding other than UTF-8 the box and the signs in it are ASCII.
    """
    closing = replace(
        closing,
        title=encodable(closing.title, encoding),
        rows=tuple(replace(row, text=encodable(row.text, encoding)) for row in closing.rows),
    )
    drawable = encodable("✓", encoding) == "✓"
    top, middle, bottom = ("┌┐", "├┤", "└┘") if drawable else ("++", "++", "++")
    wall, dash = ("│", "─") if drawable else ("|", "-")
    longest = max((cell_len(_indents(row.kind)[0] + row.text) for row in closing.rows), default=0)
    inner = max(min(max(longest + 4, _NARROWEST), _WIDEST, width) - 4, 16)

    def ruled(ends: str) -> str:
        return ends[0] + dash * (inner + 2) + ends[1]

    def walled(rows: Sequence[Row]) -> list[str]:
        lines = [line for row in rows for line in _wrapped(row, inner)]
        return [f"{wall} {set_cell_size(line, inner)} {wall}" for line in lines]

    title = [*walled([Row(closing.title)]), ruled(middle)] if closing.title else []
    return [ruled(top), *title, *walled(closing.rows), ruled(bottom)]
