"""What a goal file compiles to: criteria, limits and facts, or problems with their lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from supervisor.goal_metrics import METRICS, Operator, Unit

# what dbt's threshold tests read, by metric
DBT_VARS = {
    "completeness": "completeness_threshold",
    "accuracy": "accuracy_threshold",
    "consistency": "consistency_threshold",
    "failure_rate": "failure_rate_threshold",
}
NOT_CHECKED = "(not checked)"
ACCEPTED_FORMS = (
    "Accepted forms: a comparison (completeness >= 95 %, failure rate < 2 %, pipeline completes "
    "within 30 minutes), a limit (8 GB RAM, 4 CPU cores), a known sentence (No data loss), or any "
    f'line that ends with "{NOT_CHECKED}".\nMetrics: {", ".join(METRICS)}.\n'
    "All forms with examples: docs/goal.md"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line (None: with the file as a whole), and the line's text."""

    line: int | None
    text: str
    reason: str


class GoalError(Exception):
    """Raised when a goal file is missing, unreadable, or holds lines that compile to nothing.

    Attributes:
        path: The file, as it was given.
        problems: All of them, in the order of their lines.
        line: Line number of the first (1 is the first line), or None when it is about the file.
        text: The first one's text.
    """

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        """Make one error of all `problems`; there is at least one."""
        self.path = path
        self.problems = tuple(problems)
        self.line = self.problems[0].line
        self.text = self.problems[0].text
        shown = []
        for problem in self.problems:
            place = f"{path}:{problem.line}" if problem.line else path
            quoted = f'"{problem.text}": ' if problem.text else ""
            shown.append(f"{place}: {quoted}{problem.reason}")
        forms = [ACCEPTED_FORMS] if any(problem.line for problem in self.problems) else []
        super().__init__("\n".join([*shown, *forms]))


@dataclass(frozen=True, slots=True)
class Criterion:
    """One check of the goal, or a line that is explicitly not checked (`metric` is None).

    Attributes:
        text: As written; a line with several checks gives each its own part.
        line: Line number in the goal file.
        metric: A key of `goal_metrics.METRICS`.
        operator: "<", "<=", ">", ">=" or "==".
        threshold: Exact, in `unit`.
        unit: "fraction", "s", "MB" (10^6 bytes), "cores" or "count".
    """

    text: str
    line: int
    metric: str | None
    operator: Operator | None
    threshold: Fraction | None
    unit: Unit | None

    @property
    def gate(self) -> bool:
        """Return whether it must hold before anything is published."""
        return self.metric is not None and METRICS[self.metric].gate


@dataclass(frozen=True, slots=True)
class Limits:
    """What the goal says about time, resources and volume; None where it says nothing.

    Attributes:
        deadline_s: Whole seconds for the whole run.
        memory_bytes: For all processes of the run together.
        cores: Processor cores.
        schedule: Five-field cron expression.
        sources: How many sources are expected.
        source_names: Their names, when the goal gives them.
        scale: Fewest and most records per source and day.
    """

    deadline_s: int | None = None
    memory_bytes: int | None = None
    cores: int | None = None
    schedule: str | None = None
    sources: int | None = None
    source_names: tuple[str, ...] = ()
    scale: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of Context: shown, planned with, never checked."""

    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Goal:
    """A compiled goal file; `criteria` and `facts` keep the order of its lines."""

    title: str
    objective: str
    criteria: tuple[Criterion, ...]
    facts: tuple[Fact, ...]
    limits: Limits
    path: str

    def criteria_for(self, metric: str) -> tuple[Criterion, ...]:
        """Return the criteria on this metric: none, one, or a lower and an upper bound."""
        return tuple(criterion for criterion in self.criteria if criterion.metric == metric)

    @property
    def gates(self) -> tuple[Criterion, ...]:
        """Return the criteria that must hold before anything is published."""
        return tuple(criterion for criterion in self.criteria if criterion.gate)

    def dbt_vars(self) -> dict[str, float]:
        """Return the thresholds for dbt's tests as fractions, only those that the goal names."""
        return {
            DBT_VARS[criterion.metric]: float(criterion.threshold)
            for criterion in self.criteria
            if criterion.metric in DBT_VARS and criterion.threshold is not None
        }

    def enforced_vars(self) -> dict[str, float | bool]:
        """Return every threshold var of the dbt tests: the goal's, and for what it does not name one that all pass."""
        lenient: dict[str, float | bool] = {
            **{name: 1.0 if name.startswith("failure_rate") else 0.0 for name in DBT_VARS.values()},
            **{name.replace("_threshold", "_strict"): False for name in DBT_VARS.values()},
        }
        return {**lenient, **self.dbt_vars(), **self.dbt_strict()}

    def dbt_strict(self) -> dict[str, bool]:
        """Return for each of `dbt_vars` whether a score exactly at the threshold fails.

        The keys end in `_strict` instead of `_threshold`.
        """
        return {
            DBT_VARS[criterion.metric].replace("_threshold", "_strict"): criterion.operator in ("<", ">")
            for criterion in self.criteria
            if criterion.metric in DBT_VARS
        }
