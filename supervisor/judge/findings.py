"""Judging: dbt's results in, findings out. Pure functions, no effects.

What can be done about a failed test stands in the test itself, as `config.meta`:

    meta: {dimension: accuracy, remedy: cleanse, tier: 1, rebuild: int_corrected_amounts+}

`remedy` is `cleanse` (apply the rules up to `tier`, rebuild what `rebuild` selects, measure again), `escalate` (the
default) or `report`. So a check with its remedy is a change of the dbt project only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from supervisor.dbt.artifacts import NodeResult
from supervisor.goal.metrics import METRICS
from supervisor.warehouse.retry import is_transient

Kind = Literal["error", "unmet", "correctable", "notice"]
REMEDIES = ("cleanse", "escalate", "report")

# what a remedy must not make worse, whatever it gains elsewhere
_GUARDED = ("failure_rate", "completeness", "accuracy", "consistency", "records_lost")


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
        metric: Metric of the goal that the test holds, if it is one.
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
    metric: str | None = None
    blocking: bool = False
    transient: bool = False
    hung: bool = False


_SEVERITY: Mapping[Kind, int] = {"error": 0, "unmet": 1, "correctable": 2, "notice": 3}


def judge(results: Iterable[NodeResult]) -> list[Finding]:
    """Turn the newest result of each node into findings, most severe first."""
    findings = [finding for result in results if (finding := _judge_one(result)) is not None]
    return sorted(findings, key=lambda finding: (_SEVERITY[finding.kind], finding.tier or 0, finding.node))


def broken_invocation(message: str, *, hung: bool, died: bool) -> Finding:
    """The finding of an invocation that came to no end that can be believed.

    Args:
        message: What went wrong.
        hung: It was stopped at its budget: there is no time for another.
        died: Its process ended; another one may live.
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


def _judge_one(result: NodeResult) -> Finding | None:
    dimension = str(result.meta.get("dimension", "none"))
    remedy = str(result.meta.get("remedy", "escalate"))
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
    if not result.is_test or result.status not in ("fail", "warn"):
        return None
    rows = result.failures or 0
    evidence = f"test {result.name}: {result.status}, {rows:,} rows"
    if remedy == "cleanse":
        tier = result.meta.get("tier")
        return Finding(
            kind="correctable",
            node=result.name,
            dimension=dimension,
            remedy=remedy,
            rows=rows,
            evidence=evidence,
            tier=None if tier is None else int(tier),
            rebuild=result.meta.get("rebuild"),
            blocking=result.status == "fail",
        )
    return Finding(
        kind="unmet" if result.status == "fail" else "notice",
        node=result.name,
        dimension=dimension,
        remedy=remedy,
        rows=rows,
        evidence=evidence,
        metric=result.meta.get("metric"),
        blocking=result.status == "fail",
    )


def remedy_problems(nodes: Mapping[str, Any]) -> list[str]:
    """Tests whose `meta` asks for a remedy in a way that is not understood, one sentence each."""
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
    """Tests that were better before: they passed and fail now, or fail with more rows. A remedy must not do that."""
    return sorted(
        result.name
        for unique_id, result in after.items()
        if result.is_test
        and unique_id in before
        and result.status in ("fail", "error")
        and (before[unique_id].status in ("pass", "warn") or (result.failures or 0) > (before[unique_id].failures or 0))
    )


def worsened(before: Mapping[str, int | Fraction | None], after: Mapping[str, int | Fraction | None]) -> list[str]:
    """Metrics of the goal that moved the wrong way, also where their tests fail before and after: no remedy may."""
    moved = []
    for metric in _GUARDED:
        old, new = before.get(metric), after.get(metric)
        if old is None or new is None or old == new:
            continue
        if (new < old) == (METRICS[metric].better == "high"):
            moved.append(metric)
    return moved
