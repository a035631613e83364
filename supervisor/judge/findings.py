"""Judging: dbt's results in, findings out. Pure functions, no effects.

What can be done about a failed test stands in the test itself, as `config.meta`:

    meta: {dimension: accuracy, remedy: cleanse, tier: 1, rebuild: int_corrections_in_force+}

`remedy` is `cleanse` (apply the rules up to `tier`, rebuild what `rebuild` selects, measure again), `escalate` (the
default), `report`, or `goal` (the supervisor holds that figure against the goal itself, and the test is for dbt alone).
So a check with its remedy is a change of the dbt project only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from supervisor.common.text import plural
from supervisor.dbt.artifacts import NodeResult
from supervisor.goal.metrics import METRICS, Metric
from supervisor.warehouse.retry import is_transient

Kind = Literal["error", "unmet", "correctable", "notice"]
REMEDIES = ("cleanse", "escalate", "report", "goal")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: error (a node could not run), unmet (a test failed), correctable (a remedy can be applied), notice.
        node: Name of the dbt node that shows it; empty when the whole invocation failed.
        rows: Rows that the test returned.
        remedy: From the test's `meta`: cleanse, escalate, report.
        tier: Tier of rules that the remedy applies.
        rebuild: Selector of what depends on the remedy.
        blocking: Nothing is published while it stands.
        transient: Whether a second try can help.
        hung: It was stopped when its budget was used up.
        evidence: What was seen, for people.
    """

    kind: Kind
    node: str
    dimension: str
    remedy: str
    rows: int
    evidence: str
    tier: int | None = None
    rebuild: str | None = None
    blocking: bool = False
    transient: bool = False
    hung: bool = False


_NOTHING: Mapping[str, str] = {}
_SEVERITY: Mapping[Kind, int] = {"error": 0, "unmet": 1, "correctable": 2, "notice": 3}


def judge(results: Iterable[NodeResult], measured: Mapping[str, str] = _NOTHING) -> list[Finding]:
    """Turn the newest result of each node into findings, most severe first.

    Args:
        results: One result of each node.
        measured: By metric of the goal, its figure beside its limit: the evidence of a test that holds this metric.
    """
    findings = [finding for result in results if (finding := _judge_one(result, measured)) is not None]
    return sorted(findings, key=lambda finding: (_SEVERITY[finding.kind], finding.tier or 0, finding.node))


def broken_invocation(message: str, *, hung: bool, died: bool) -> Finding:
    """Return the finding of an invocation that left no result that can be believed.

    Args:
        message: What went wrong.
        hung: It was stopped at its budget: no time is left for another.
        died: Its process ended; another one may succeed.
    """
    return Finding(
        kind="error",
        node="",
        dimension="none",
        remedy="escalate",
        rows=0,
        evidence=" ".join(message.split()),
        transient=not hung and (died or is_transient(message)),
        hung=hung,
    )


def _judge_one(result: NodeResult, measured: Mapping[str, str]) -> Finding | None:
    dimension = str(result.meta.get("dimension", "none"))
    remedy = str(result.meta.get("remedy", "escalate"))
    tier, metric = result.meta.get("tier"), result.meta.get("metric")
    if result.status == "error" or (result.status == "fail" and not result.is_test):
        message = " ".join((result.message or "no message").split())
        transient = is_transient(message)
        return Finding(
            kind="error",
            node=result.name,
            dimension=dimension,
            remedy="retry" if transient else "escalate",
            rows=0,
            evidence=f"{result.resource_type} {result.name}: {message}",
            transient=transient,
        )
    if not result.is_test or result.status not in ("fail", "warn") or remedy == "goal":
        return None
    rows = result.failures or 0
    failed = result.status == "fail"
    found = f"test {result.name} {'failed' if failed else 'warned'}: {plural(rows, 'row')}"
    return Finding(
        kind="correctable" if remedy == "cleanse" else "unmet" if failed else "notice",
        node=result.name,
        dimension=dimension,
        remedy=remedy,
        rows=rows,
        # a test of a whole metric returns one row, which says nothing
        evidence=measured.get(str(metric), found),
        tier=None if tier is None else int(tier),
        rebuild=result.meta.get("rebuild"),
        blocking=failed,
    )


def remedy_problems(nodes: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each test whose `meta` asks for a remedy in a way that is not understood."""
    problems = []
    for node in nodes.values():
        meta = (node.get("config") or {}).get("meta") or {}
        if node["resource_type"] != "test" or "remedy" not in meta:
            continue
        where, remedy = f"test {node['name']}: meta.remedy", meta["remedy"]
        if remedy not in REMEDIES:
            problems.append(f"{where} is {remedy!r}, not one of {', '.join(REMEDIES)}")
        elif remedy == "cleanse":
            tier = meta.get("tier")
            if isinstance(tier, bool) or not isinstance(tier, int) or tier < 1:
                problems.append(f"{where} is cleanse, so meta.tier must be a whole number from 1, not {tier!r}")
            if not isinstance(meta.get("rebuild"), str) or not meta["rebuild"].strip():
                problems.append(
                    f"{where} is cleanse, so meta.rebuild must select what stands on the remedy, as in my_model+"
                )
    return sorted(problems)


def newly_broken(before: Mapping[str, NodeResult], after: Mapping[str, NodeResult]) -> list[str]:
    """Return the tests that a remedy made worse: they passed before, or fail with more rows now."""
    return sorted(
        result.name
        for unique_id, result in after.items()
        if result.is_test
        and unique_id in before
        and result.status in ("fail", "error")
        and (before[unique_id].status in ("pass", "warn") or (result.failures or 0) > (before[unique_id].failures or 0))
    )


def worsened(before: Mapping[str, int | Fraction | None], after: Mapping[str, int | Fraction | None]) -> list[str]:
    """Return the guarded metrics that moved the wrong way, also those whose tests fail before and after."""

    def is_worse(metric: Metric) -> bool:
        old, new = before.get(metric.name), after.get(metric.name)
        if old is None or new is None:
            return False
        return new < old if metric.better == "high" else new > old

    return [metric.name for metric in METRICS.values() if metric.guarded and is_worse(metric)]
