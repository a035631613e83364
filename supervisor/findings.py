"""Judging: dbt's results in, findings out. Pure functions, no effects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from supervisor.artifacts import NodeResult

Kind = Literal["error", "unmet", "correctable", "notice"]

# what a second try can help, in the words of DuckDB, PostgreSQL and their drivers
TRANSIENT = re.compile(
    r"connection (refused|reset|timed out)|server closed the connection|terminating connection|deadlock detected"
    r"|could not serialize|lock timeout|timeout expired|could not set lock on file|temporarily unavailable"
    r"|the database system is (starting up|shutting down)|too many connections",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        kind: error (a node could not run), unmet (a test failed), correctable (a remedy can be applied), notice.
        node: Name of the dbt node that shows it.
        rows: Rows that the test returned.
        remedy: From the test's `meta`: cleanse, escalate, report.
        tier: Tier of rules that the remedy applies.
        rebuild: Selector of what depends on the remedy.
        transient: Whether a second try can help.
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
    transient: bool = False


_SEVERITY: Mapping[Kind, int] = {"error": 0, "unmet": 1, "correctable": 2, "notice": 3}


def judge(results: Iterable[NodeResult]) -> list[Finding]:
    """Turn the newest result of each node into findings, most severe first."""
    findings = [finding for result in results if (finding := _judge_one(result)) is not None]
    return sorted(findings, key=lambda finding: (_SEVERITY[finding.kind], finding.tier or 0, finding.node))


def _judge_one(result: NodeResult) -> Finding | None:
    dimension = str(result.meta.get("dimension", "none"))
    remedy = str(result.meta.get("remedy", "escalate"))
    if result.status == "error" or (result.status == "fail" and not result.is_test):
        message = " ".join((result.message or "no message").split())
        return Finding(
            kind="error",
            node=result.name,
            dimension=dimension,
            remedy="retry" if TRANSIENT.search(message) else "escalate",
            rows=0,
            evidence=f"{result.resource_type} {result.name}: {message}",
            transient=bool(TRANSIENT.search(message)),
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
        )
    kind: Kind = "unmet" if result.status == "fail" else "notice"
    return Finding(kind=kind, node=result.name, dimension=dimension, remedy=remedy, rows=rows, evidence=evidence)


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
