"""The tree of a phase: what the steps are, and how it reads line by line.

Pure: no stream, no clock. The live console draws the lines in colour, the tests read them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len, chop_cells, set_cell_size

from supervisor.common.text import duration, encodable, plain_text

PHASES = ("collect", "transform", "validate", "publish")
MARKS = {"ok": "✓", "warning": "⚠", "failed": "✗"}
_DONE_WORDS = {"ok": "COMPLETED", "warning": "COMPLETED WITH WARNINGS", "failed": "FAILED"}
_CHECK_WORDS = {"ok": "PASS", "warning": "PASS WITH WARNINGS", "failed": "FAIL"}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_SPINNER = "|/-\\"


@dataclass(frozen=True)
class Signs:
    """The characters of the tree that depend on what the stream can show."""

    branch: str
    last: str
    pipe: str
    spinner: str
    ellipsis: str
    encoding: str

    @classmethod
    def for_encoding(cls, encoding: str | None) -> Signs:
        """Return box-drawing signs for UTF-8, ASCII ones for anything else."""
        name = encoding or "ascii"
        if encodable("✓", name) == "✓":
            return cls("├── ", "└── ", "│   ", _SPINNER, "…", name)
        return cls("|-- ", "`-- ", "|   ", _ASCII_SPINNER, "...", name)


@dataclass
class Step:
    """One node of the tree. `started_at` is in seconds of the caller's monotonic clock."""

    text: str
    status: str = "info"
    started_at: float = 0.0
    steps: dict[str, Step] = field(default_factory=dict)


@dataclass
class PhaseTree:
    """The steps of one phase, in the order in which they were first heard of."""

    name: str
    title: str
    position: int
    steps: dict[str, Step] = field(default_factory=dict)

    def upsert(self, path: tuple[str, ...], text: str, status: str, now: float) -> bool:
        """Create or change the step at `path`; an empty text keeps the one it has.

        Returns:
            Whether anything changed.
        """
        if not path:
            return False
        level, step = self.steps, Step("")
        changed = False
        for key in path:
            if key not in level:
                title = plain_text(key).replace("_", " ").capitalize()
                level[key] = Step(title, "running" if key is not path[-1] else "", now)
                changed = True
            step = level[key]
            level = step.steps
        clean = plain_text(text) or step.text
        if status == "running" and step.status not in {"running", ""}:
            step.started_at = now
        changed = changed or (step.text, step.status) != (clean, status)
        step.text, step.status = clean, status
        return changed

    def lines(
        self,
        signs: Signs,
        width: int,
        *,
        now: float | None = None,
        height: int | None = None,
    ) -> list[str]:
        """Return the tree as lines of at most `width` cells.

        Args:
            signs: What the stream can show.
            width: Cells per line.
            now: The clock in seconds while the phase runs: running steps get a spinner and
                their age, long lines are cut. None: the phase is over, long lines are wrapped.
            height: At most so many lines; finished branches fold first, then the oldest go.
        """
        drawing = _Drawing(signs, width, self.name, now)
        lines = list(drawing.branch(self.steps, ""))
        if height is not None and len(lines) > height:
            lines = list(drawing.branch(self.steps, "", fold=True))
        if height is not None and len(lines) > height:
            hidden = len(lines) - max(height - 1, 1)
            lines = [f"{signs.ellipsis} {hidden} lines above", *lines[hidden:]]
        return lines


def marked(text: str, status: str) -> str:
    """Put the status' mark where the transcript has it: "Attempt 1: ✗ Timeout"."""
    mark = MARKS.get(status)
    if mark is None or any(sign in text for sign in MARKS.values()):
        return text
    head, colon, tail = text.partition(": ")
    return f"{head}: {mark} {tail}" if colon else f"{mark} {text}"


def _says_outcome(step: Step) -> bool:
    return step.status in MARKS and ": " in step.text


@dataclass(frozen=True)
class _Drawing:
    signs: Signs
    width: int
    phase: str
    now: float | None

    def branch(self, steps: dict[str, Step], guide: str, *, fold: bool = False) -> Iterator[str]:
        rows: list[Step | str] = list(steps.values())
        yield from self._rows(rows, guide, top=guide == "", fold=fold)

    def _rows(self, rows: list[Step | str], guide: str, *, top: bool = False, fold: bool = False) -> Iterator[str]:
        for position, row in enumerate(rows, 1):
            last = position == len(rows)
            lead = guide + (self.signs.last if last else self.signs.branch)
            rest = guide + (" " * len(self.signs.pipe) if last else self.signs.pipe)
            if isinstance(row, str):
                yield from self._text(row, lead, rest)
                continue
            done = row.status in MARKS
            children: list[Step | str] = list(row.steps.values())
            if fold and top and done:
                children = []
            hang = rest + (self.signs.pipe if children else "")
            yield from self._text(self._label(row, top, bool(children)), lead, hang)
            if children and top and not _says_outcome(row) and self._needs_closing(row):
                children.append(f"{MARKS[row.status]} {self._word(row)}")
            yield from self._rows(children, rest, fold=fold)

    def _label(self, step: Step, top: bool, has_children: bool) -> str:
        bare = step.text.removesuffix("...").rstrip()
        if step.status == "running":
            if self.now is None:
                return f"{bare}..."
            age = max(self.now - step.started_at, 0.0)
            spin = self.signs.spinner[int(self.now * 8) % len(self.signs.spinner)]
            return f"{bare}... {spin}" + (f" {duration(int(age))}" if age >= 1 else "")
        if not top or _says_outcome(step):
            return marked(step.text, step.status)
        if step.status not in MARKS:
            return f"{bare}..." if has_children else step.text
        if has_children:
            return f"{bare}..."
        return f"{bare}... {MARKS[step.status]} {self._word(step)}"

    def _needs_closing(self, step: Step) -> bool:
        if step.status not in MARKS:
            return False
        end = list(step.steps.values())[-1]
        said = end.status == step.status
        return not said or (step.status != "ok" and not end.text.startswith(self._word(step)))

    def _word(self, step: Step) -> str:
        words = _CHECK_WORDS if self.phase == "validate" else _DONE_WORDS
        return words[step.status]

    def _text(self, text: str, lead: str, rest: str) -> Iterator[str]:
        shown = encodable(text, self.signs.encoding)
        room = max(self.width - cell_len(lead), 8)
        if self.now is not None:
            if cell_len(shown) > room:
                cut = set_cell_size(shown, room - cell_len(self.signs.ellipsis))
                shown = cut + self.signs.ellipsis
            yield lead + shown
            return
        room = max(self.width - max(cell_len(lead), cell_len(rest)), 8)
        for piece in textwrap.wrap(shown, room, break_on_hyphens=False) or [""]:
            for part in chop_cells(piece, room) if cell_len(piece) > room else [piece]:
                yield lead + part
                lead = rest
