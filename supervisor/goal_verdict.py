"""A run's figures held against the goal, and the goal against dbt's own defaults.

Comparisons are exact: what a person wrote as 2 % is 1/50 and not the float nearest to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from supervisor.goal_metrics import METRICS
from supervisor.goal_model import DBT_VARS, Criterion, Goal

Number = int | float | Decimal | Fraction

_COMPARE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "==": lambda left, right: left == right,
}


@dataclass(frozen=True, slots=True)
class Drift:
    """A threshold that differs between the goal and `dbt_project.yml`; None where it is absent."""

    var: str
    goal: float | None
    project: object

    def describe(self) -> str:
        """Return the difference in one sentence."""
        if self.goal is None:
            return f"{self.var}: the goal is silent, dbt_project.yml enforces {self.project!r}"
        absent = "names none" if self.project is None else f"has {self.project!r}"
        return f"{self.var}: the goal says {self.goal}, dbt_project.yml {absent}"


@dataclass(frozen=True, slots=True)
class CriterionResult:
    """A criterion beside what was measured; `met` is None when there was nothing to compare."""

    criterion: Criterion
    measured: Fraction | None
    met: bool | None

    def as_dict(self) -> dict[str, str | int | float | bool | None]:
        """Return the entry of `criteria` in `summary.json`."""
        criterion = self.criterion
        return {
            "text": criterion.text,
            "metric": criterion.metric,
            "operator": criterion.operator,
            "threshold": json_number(criterion.threshold, criterion.unit),
            "measured": json_number(self.measured, criterion.unit),
            "met": self.met,
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
    return found


def _exact(metric: str, value: Number) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction):
        raise ValueError(f"{metric}: {value!r} is no number")
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        raise ValueError(f"{metric}: {value!r} is no finite number")
    # the shortest decimal text of a float is what its author meant: 0.02 is 1/50
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


def evaluate(goal: Goal, measured: Mapping[str, Number | None]) -> list[CriterionResult]:
    """Hold measured figures against the goal, one result per criterion in the goal's order.

    Args:
        goal: The compiled goal.
        measured: By metric, in the metric's unit (`goal_metrics.METRICS`); a `Fraction` is
            compared as it is, a float as its shortest decimal text. None or absent: not measured.

    Raises:
        ValueError: A key is no metric, or a value is no finite number.
    """
    if unknown := sorted(set(measured) - set(METRICS)):
        raise ValueError(f"no such metric: {', '.join(unknown)} (known: {', '.join(METRICS)})")
    figures = {metric: None if value is None else _exact(metric, value) for metric, value in measured.items()}
    results = []
    for criterion in goal.criteria:
        figure = figures.get(criterion.metric) if criterion.metric else None
        met = None
        if figure is not None and criterion.threshold is not None:
            met = _COMPARE[str(criterion.operator)](figure, criterion.threshold)
        results.append(CriterionResult(criterion, figure, met))
    return results


def is_met(results: Sequence[CriterionResult]) -> bool:
    """Return whether every checked criterion was measured and met: the unmeasured fails."""
    return all(result.met is True for result in results if result.criterion.metric is not None)
