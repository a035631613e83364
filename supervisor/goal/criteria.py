"""What a goal file compiles to: criteria, limits and facts, or problems with their lines."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from supervisor.goal.metrics import METRICS, Operator, Past, Unit

Number = int | float | Decimal | Fraction
_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip

# what dbt's threshold tests read, by metric
DBT_VARS = {metric.name: f"{metric.name}_threshold" for metric in METRICS.values() if metric.tested}
NOT_CHECKED = "(not checked)"
_NO_NOTES: Mapping[str, str] = {}
# by name of an entity, the dimensions that it is measured in
Entities = Mapping[str, Sequence[str]]
NO_ENTITIES: Entities = {}
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
        metric: A key of `metrics.METRICS`.
        operator: "<", "<=", ">", ">=" or "==".
        threshold: Exact, in `unit`.
        unit: "fraction", "s", "MB" (10^6 bytes), "cores" or "count".
        subject: The source, entity or dimension that it is about; None for the day, or for each source until the goal is bound.
        past: The days that it is held against.
    """

    text: str
    line: int
    metric: str | None
    operator: Operator | None
    threshold: Fraction | None
    unit: Unit | None
    subject: str | None = None
    past: Past | None = None

    @property
    def name(self) -> str:
        """Return what is measured, as in "completeness" or "volume of s3, last 4 same weekdays"."""
        subject = f" of {self.subject}" if self.subject else ""
        return f"{self.metric}{subject}" + (f", {self.past}" if self.past else "")

    @property
    def dimension(self) -> str | None:
        """Return the dimension whose score it bounds, as dbt measures it; None for any other figure."""
        if self.metric == "score":
            return str(self.subject).split(" of ")[0]
        return "transformation" if self.metric == "failure_rate" else self.metric if self.metric in DBT_VARS else None

    @property
    def entity(self) -> str | None:
        """Return the entity that its score is of; None for the day's."""
        if self.metric == "score":
            return str(self.subject).split(" of ")[1] if " of " in str(self.subject) else None
        return self.subject

    @property
    def gate(self) -> bool:
        """Return whether it must hold before anything is published."""
        return self.metric is not None and METRICS[self.metric].gate

    def holds(self, measured: Fraction | None) -> bool | None:
        """Compare a figure with the threshold; None when there is nothing to compare."""
        if measured is None or self.operator is None:
            return None
        return _COMPARE[self.operator](measured, self.threshold)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "threshold": json_number(self.threshold, self.unit), "gate": self.gate}


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
    entities: Entities = field(default_factory=dict)

    def criteria_for(self, metric: str) -> tuple[Criterion, ...]:
        """Return the criteria on this metric: none, one, or a lower and an upper bound."""
        return tuple(criterion for criterion in self.criteria if criterion.metric == metric)

    @property
    def gates(self) -> tuple[Criterion, ...]:
        """Return the criteria that must hold before anything is published."""
        return tuple(criterion for criterion in self.criteria if criterion.gate)

    def bound_to(self, sources: Sequence[str]) -> Goal:
        """Return the goal for these sources: a line on the volume is one for each source that has none of its own.

        Raises:
            GoalError: A line is about a source that is not configured, or an entity or a dimension that is not declared.
        """
        own = {criterion.subject for criterion in self.criteria if criterion.metric == "volume"}
        problems = [
            Problem(one.line, one.text, reason)
            for one in self.criteria
            if (reason := stranger(one, sources, self.entities))
        ]
        if problems:
            raise GoalError(self.path, problems)
        bound: list[Criterion] = []
        for one in self.criteria:
            if one.past is None or one.subject is not None:
                bound.append(one)
                continue
            bound += [
                replace(one, subject=name, text=re.sub(r"(?i)\bvolume\b", f"volume of {name}", one.text, count=1))
                for name in sources
                if name not in own
            ]
        return replace(self, criteria=tuple(bound))

    def dbt_vars(self) -> dict[str, float]:
        """Return the thresholds for dbt's tests as fractions, only those that the goal names."""
        return {
            DBT_VARS[criterion.metric]: float(criterion.threshold)
            for criterion in self.criteria
            if criterion.metric in DBT_VARS and criterion.threshold is not None and criterion.subject is None
        }

    def enforced_vars(self) -> dict[str, Any]:
        """Return every threshold var of the dbt tests: the goal's, and for what it does not name one that all pass."""
        lenient: dict[str, Any] = {
            **{name: 1.0 if name.startswith("failure_rate") else 0.0 for name in DBT_VARS.values()},
            **{name.replace("_threshold", "_strict"): False for name in DBT_VARS.values()},
        }
        return {**lenient, **self.dbt_vars(), **self.dbt_strict(), "thresholds": self.dbt_thresholds()}

    def dbt_strict(self) -> dict[str, bool]:
        """Return for each of `dbt_vars` whether a score exactly at the threshold fails.

        The keys end in `_strict` instead of `_threshold`.
        """
        return {
            DBT_VARS[criterion.metric].replace("_threshold", "_strict"): criterion.operator in ("<", ">")
            for criterion in self.criteria
            if criterion.metric in DBT_VARS and criterion.subject is None
        }

    def dbt_thresholds(self) -> list[dict[str, Any]]:
        """Return the thresholds that dbt has no variable of their own for, as `thresholds` of `dbt_project.yml` holds them."""
        found = []
        for one in self.criteria:
            if one.dimension is None or one.subject is None or one.threshold is None:
                continue
            least = 1 - one.threshold if one.metric == "failure_rate" else one.threshold
            entry = {"entity": one.entity, "dimension": one.dimension, "at_least": float(least)}
            found.append({**entry, "strict": one.operator in ("<", ">")})
        return found


def stranger(one: Criterion, sources: Sequence[str], entities: Entities) -> str | None:
    """Return why there is nothing that a criterion could be about; None when there is."""
    if one.subject is None:
        return None
    metric = METRICS[str(one.metric)]
    name = str(one.subject).rsplit(" of ", 1)[-1]
    if "source" in metric.of and name in sources:
        return None
    dimension = one.dimension
    if metric.name == "score" and " of " not in str(one.subject):
        return None
    if name not in entities:
        configured, declared = ", ".join(sources) or "none", ", ".join(entities) or "none"
        if "entity" not in metric.of or ("source" in metric.of and not entities):
            return f"source '{name}' is not configured; configured: {configured}"
        if "source" not in metric.of:
            return f"entity '{name}' is not declared; declared: {declared}"
        return f"'{name}' is no configured source ({configured}) and no declared entity ({declared})"
    if "entity" not in metric.of:
        return f"{metric.name} is a figure of sources, and '{name}' is an entity"
    if dimension not in (None, "transformation", *entities[name]):
        return f"{name} is not measured in {dimension}; it declares {', '.join(entities[name])}"
    return None


@dataclass(frozen=True, slots=True)
class Drift:
    """A threshold that differs between the goal and `dbt_project.yml`; None where it is absent."""

    var: str
    goal: object
    project: object

    def describe(self) -> str:
        """Return the difference in one sentence."""
        if self.goal is None:
            return f"{self.var}: the goal is silent, dbt_project.yml enforces {self.project!r}"
        absent = "names none" if self.project is None else f"has {self.project!r}"
        return f"{self.var}: the goal says {self.goal}, dbt_project.yml {absent}"


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """A criterion beside what was measured; `met` is None when there was nothing to compare, and `note` may say why."""

    criterion: Criterion
    measured: Fraction | None
    met: bool | None
    note: str | None = None

    def as_dict(self) -> dict[str, str | int | float | bool | None]:
        """Return the entry of `criteria` in `summary.json`."""
        criterion = self.criterion
        return {
            "text": criterion.text,
            "metric": criterion.metric,
            "subject": criterion.subject,
            "operator": criterion.operator,
            "threshold": json_number(criterion.threshold, criterion.unit),
            "measured": json_number(self.measured, criterion.unit),
            "met": self.met,
            "note": self.note,
        }


def json_number(value: Fraction | None, unit: str | None) -> int | float | None:
    """Return `value` as JSON wants it: fractions as float, whole figures as int."""
    if value is None:
        return None
    return int(value) if unit != "fraction" and value.denominator == 1 else float(value)


def drift(goal: Goal, project_vars: Mapping[str, object]) -> list[Drift]:
    """Compare the goal's thresholds with the defaults in `dbt_project.yml`, exactly.

    Args:
        goal: The compiled goal.
        project_vars: The `vars` of the project file.

    Returns:
        One entry for each threshold that differs or that only one of the two names.
    """
    named = goal.dbt_vars()
    found = []
    for var in DBT_VARS.values():
        project = project_vars.get(var)
        same = project == named.get(var) and not isinstance(project, bool)
        if not same:
            found.append(Drift(var, named.get(var), project))
    own, stated = goal.dbt_thresholds(), project_vars.get("thresholds")
    others = [one for one in stated if isinstance(one, dict)] if isinstance(stated, list) else []
    if [_plain(one) for one in own] != [_plain(one) for one in others]:
        found.append(Drift("thresholds", own, others))
    return found


def _plain(threshold: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(threshold.get(name) or None for name in ("entity", "dimension", "at_least", "strict"))


def _exact(metric: str, value: Number) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction):
        raise ValueError(f"{metric}: {value!r} is no number")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise ValueError(f"{metric}: {value!r} is no finite number")
    # the shortest decimal text of a float is what its author meant: 0.02 is 1/50
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


def evaluate(
    goal: Goal, measured: Mapping[str, Number | None], notes: Mapping[str, str] = _NO_NOTES
) -> list[CriterionResult]:
    """Hold measured figures against the goal, one result per criterion in the goal's order.

    Args:
        goal: The compiled goal.
        measured: By `Criterion.name`, which begins with the metric, in the metric's unit (`metrics.METRICS`); a `Fraction` is
            compared as it is, a float as its shortest decimal text. None or absent: not measured.
        notes: What there is to say of a figure, or of its absence, by the same names.

    Raises:
        ValueError: A key is no metric, or a value is no finite number.
    """
    if unknown := sorted({re.split("[ ,]", name)[0] for name in measured} - set(METRICS)):
        raise ValueError(f"no such metric: {', '.join(unknown)} (known: {', '.join(METRICS)})")
    figures = {metric: None if value is None else _exact(metric, value) for metric, value in measured.items()}
    results = []
    for criterion in goal.criteria:
        figure = figures.get(criterion.name) if criterion.metric else None
        results.append(CriterionResult(criterion, figure, criterion.holds(figure), notes.get(criterion.name)))
    return results


def is_met(results: Sequence[CriterionResult]) -> bool:
    """Return whether every checked criterion was measured and met: the unmeasured fails."""
    return all(result.met is True for result in results if result.criterion.metric is not None)
