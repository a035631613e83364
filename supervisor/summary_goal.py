"""The criteria of the goal as a run's summary has them, with figures made fit for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from supervisor.figures import measure, number, operator_sign, plain_text, plural, unit_of
from supervisor.goal_metrics import METRICS

QUALITY_METRICS = frozenset({"completeness", "accuracy", "consistency", "failure_rate"})


@dataclass(frozen=True)
class CriterionFacts:
    """One line of the goal.

    `met` is None for a line that is not checked (no `metric`) and for a figure that is not known.
    """

    text: str
    metric: str
    measured: str
    threshold: str
    met: bool | None
    raw_measured: Decimal | None
    raw_threshold: Decimal | None
    kind: str

    @property
    def checked(self) -> bool:
        """Whether the line is a check at all."""
        return bool(self.metric) or self.met is not None

    @property
    def mark(self) -> str:
        """The sign of the verdict: "✓", "✗" or "-"."""
        return "-" if self.met is None else "✓" if self.met else "✗"


def mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def entries(value: Any) -> list[Mapping[str, Any]]:
    """Return the mappings in the list `value`; anything else counts as none."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [entry for entry in value if isinstance(entry, Mapping)]
    return []


def criteria_of(summary: Mapping[str, Any]) -> list[CriterionFacts]:
    """Return the criteria of the goal with their figures formatted."""
    facts = []
    for entry in entries(summary.get("criteria")):
        metric = plain_text(entry.get("metric"), 80)
        known = METRICS.get(metric)
        kind = unit_of(metric, str(entry.get("unit") or (known.unit if known else "")))
        threshold, measured, met = (entry.get(key) for key in ("threshold", "measured", "met"))
        limit = "" if threshold is None else measure(threshold, kind)
        facts.append(
            CriterionFacts(
                text=_capital(plain_text(entry.get("text") or metric, 300)),
                metric=metric,
                measured="not measured" if measured is None else measure(measured, kind, against=threshold),
                threshold=f"{operator_sign(entry.get('operator'))} {limit}".strip(),
                met=met if isinstance(met, bool) else None,
                raw_measured=number(measured),
                raw_threshold=number(threshold),
                kind=kind,
            )
        )
    return facts


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def goal_tally(summary: Mapping[str, Any]) -> str:
    """Return how the goal stands, as in "10 of 13 criteria met, 1 not met, 2 not measured"."""
    checked = [one for one in criteria_of(summary) if one.checked]
    met = sum(one.met is True for one in checked)
    missed = sum(one.met is False for one in checked)
    unmeasured = len(checked) - met - missed
    parts = [f"{met} of {plural(len(checked), 'criterion', 'criteria')} met"]
    parts += [f"{missed} not met"] if missed else []
    parts += [f"{unmeasured} not measured"] if unmeasured else []
    return ", ".join(parts)
