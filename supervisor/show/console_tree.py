"""The tree of a phase: its steps, and how rich draws them.

Pure: no stream, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text
from rich.tree import Tree

from supervisor.common.text import duration, plain_text
from supervisor.plan.budgets import PHASES
from supervisor.show.signs import MARKS, can_draw, sign_text, spinner

_DONE_WORDS = {"ok": "COMPLETED", "warning": "COMPLETED WITH WARNINGS", "failed": "FAILED"}
_CHECK_WORDS = {"ok": "PASS", "warning": "PASS WITH WARNINGS", "failed": "FAIL"}


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
    title: str = ""
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """What the phase is called: "Phase 1"."""
        return f"Phase {PHASES.index(self.name) + 1 if self.name in PHASES else plain_text(self.name, 40)}"

    def upsert(self, path: tuple[str, ...], text: str, status: str, now: float) -> Step | None:
        """Create or change the step at `path`; an empty text keeps the one it has.

        Returns:
            The step; None if nothing changed.
        """
        level, step, is_new = self.steps, None, False
        for key in path:
            if key not in level:
                title = plain_text(key).replace("_", " ").capitalize()
                level[key] = Step(title, "running" if key is not path[-1] else "", now)
                is_new = True
            step = level[key]
            level = step.steps
        if step is None:
            return None
        before = step.text, step.status
        if status == "running" and step.status not in {"running", ""}:
            step.started_at = now
        step.text, step.status = plain_text(text) or step.text, status
        return step if is_new or before != (step.text, step.status) else None


def draw_tree(
    phase: PhaseTree, encoding: str, *, now: float | None = None, height: int | None = None
) -> Tree | _LastLines:
    """Draw a phase under its heading, as it stands: later changes of the phase don't show.

    Args:
        phase: What to draw.
        encoding: What the stream can show.
        now: The clock in seconds while the phase runs: running steps get a spinner and their
            age, long lines are cut. None: the phase is over, long lines are wrapped.
        height: At most so many lines, three or more; finished branches fold first, then the oldest lines go.
    """
    tree = _Drawing(phase.name, encoding, now).tree(phase)
    if height is not None and _nodes(tree) > height:
        tree = _Drawing(phase.name, encoding, now, fold=True).tree(phase)
        if _nodes(tree) > height:
            return _LastLines(tree, height)
    return tree


def marked(text: str, status: str) -> str:
    """Put the status' mark where the transcript has it: "Attempt 1: ✗ Timeout"."""
    mark = MARKS.get(status)
    if mark is None or any(sign in text for sign in MARKS.values()):
        return text
    head, colon, tail = text.partition(": ")
    return f"{head}: {mark} {tail}" if colon else f"{mark} {text}"


def _says_outcome(step: Step) -> bool:
    return step.status in MARKS and ": " in step.text


def _nodes(tree: Tree) -> int:
    return 1 + sum(map(_nodes, tree.children))


@dataclass(frozen=True)
class _Drawing:
    phase: str
    encoding: str
    now: float | None
    fold: bool = False

    def tree(self, phase: PhaseTree) -> Tree:
        under_way = "" if self.now is None else " [In Progress]"
        root = Tree(
            self._text(f"{phase.heading}: {plain_text(phase.title)}{under_way}", "bold"),
            guide_style="dim",
        )
        for step in phase.steps.values():
            self._add(root, step, is_top=True)
        return root

    def _add(self, parent: Tree, step: Step, *, is_top: bool = False) -> None:
        done = step.status in MARKS
        children = [] if self.fold and is_top and done else list(step.steps.values())
        node = parent.add(self._text(self._label(step, is_top, bool(children))))
        for child in children:
            self._add(node, child)
        if children and is_top and done and not _says_outcome(step) and self._needs_closing(step, children[-1]):
            node.add(self._text(self._outcome(step)))

    def _label(self, step: Step, is_top: bool, has_children: bool) -> str:
        bare = step.text.removesuffix("...").rstrip()
        if step.status == "running":
            if self.now is None:
                return f"{bare}..."
            age = max(self.now - step.started_at, 0.0)
            return f"{bare}... {spinner(self.now, self.encoding)}" + (f" {duration(int(age))}" if age >= 1 else "")
        if not is_top or _says_outcome(step):
            return marked(step.text, step.status)
        if has_children:
            return f"{bare}..."
        return f"{bare}... {self._outcome(step)}" if step.status in MARKS else step.text

    def _needs_closing(self, step: Step, end: Step) -> bool:
        return end.status != step.status or (step.status != "ok" and not end.text.startswith(self._word(step)))

    def _outcome(self, step: Step) -> str:
        return f"{MARKS[step.status]} {self._word(step)}"

    def _word(self, step: Step) -> str:
        words = _CHECK_WORDS if self.phase == "validate" else _DONE_WORDS
        return words[step.status]

    def _text(self, text: str, style: str = "") -> Text:
        shown = sign_text(text, self.encoding, style)
        if self.now is not None:
            # rich's ellipsis is a sign that only some encodings have
            shown.no_wrap, shown.overflow = True, "ellipsis" if can_draw(self.encoding) else "crop"
        return shown


@dataclass(frozen=True)
class _LastLines:
    """A tree that is too tall: its heading, how many lines are missing, and its last lines."""

    tree: Tree
    height: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heading, *lines = console.render_lines(self.tree, options, pad=False)
        kept = self.height - 2
        note = sign_text(f"… {len(lines) - kept} lines above", options.encoding)
        for line in [heading, *console.render_lines(note, options, pad=False), *lines[-kept:]]:
            yield from line
            yield Segment.line()
