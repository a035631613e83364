"""Deciding: findings, history and what is left of the budget in, one decision out. Pure functions, no effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from supervisor.findings import Finding

Action = Literal["publish", "cleanse", "retry", "escalate"]


@dataclass(frozen=True)
class Allowance:
    """What is left to spend.

    Attributes:
        iterations: Further cleansing iterations.
        retries: Further tries of a transient failure.
        seconds: Seconds until the deadline, less what publishing needs.
        iteration_seconds: What an iteration is expected to take.
    """

    iterations: int
    retries: int
    seconds: float
    iteration_seconds: float = 5.0


@dataclass(frozen=True)
class Step:
    """One turn of the loop as history keeps it.

    Attributes:
        tier: Tier of rules that was applied.
        rows_before: Rows that the tier could correct before.
        rows_after: Rows that it could still correct afterwards.
        rolled_back: It made something worse and was undone.
    """

    tier: int
    rows_before: int
    rows_after: int
    rolled_back: bool = False

    @property
    def gained(self) -> int:
        """Rows that were corrected."""
        return 0 if self.rolled_back else self.rows_before - self.rows_after


@dataclass(frozen=True)
class Decision:
    """What to do next, and why.

    Attributes:
        tier: With cleanse: apply the rules up to this tier.
        select: With cleanse and retry: what dbt rebuilds.
        observed: What was seen.
        reason: Why this and nothing else, for people.
    """

    action: Action
    observed: str
    reason: str
    tier: int | None = None
    select: str | None = None


def decide(findings: Sequence[Finding], history: Sequence[Step], allowance: Allowance) -> Decision:
    """Choose the next allowed action, or escalation.

    Findings come most severe first. A tier that gained nothing in `history` is not tried again.
    """
    errors = [finding for finding in findings if finding.kind == "error"]
    if errors:
        return _decide_errors(errors, allowance)
    correctable = [finding for finding in findings if finding.kind == "correctable" and finding.rows > 0]
    unmet = [finding for finding in findings if finding.kind == "unmet"]
    hopeless = [finding for finding in unmet if not _may_be_cured(finding, correctable)]
    if hopeless:
        return Decision("escalate", _evidence(hopeless), "no allowed remedy is left for what is unmet")
    useless = {step.tier for step in history if step.gained <= 0}
    open_tiers = [finding for finding in correctable if finding.tier is not None and finding.tier not in useless]
    if open_tiers:
        refused = _refusal(history, allowance)
        if refused is None:
            chosen = open_tiers[0]
            return Decision(
                "cleanse",
                _evidence([*unmet, chosen]),
                f"rules of tier {chosen.tier} can correct {chosen.rows:,} records",
                tier=chosen.tier,
                select=chosen.rebuild,
            )
        if unmet:
            return Decision("escalate", _evidence(unmet), refused)
        return Decision("publish", _evidence(correctable), f"the goal is met; left uncorrected because {refused}")
    if unmet:
        return Decision("escalate", _evidence(unmet), "the rules that could help have been tried and gained nothing more")
    return Decision("publish", "every test of the goal passed", "the goal is met")


def _decide_errors(errors: Sequence[Finding], allowance: Allowance) -> Decision:
    deterministic = [finding for finding in errors if not finding.transient]
    if deterministic:
        return Decision("escalate", _evidence(deterministic), "the failure is deterministic: another try would fail again")
    if allowance.retries <= 0 or allowance.seconds <= allowance.iteration_seconds:
        return Decision("escalate", _evidence(errors), "all tries are used up")
    return Decision(
        "retry",
        _evidence(errors),
        "the failure is transient",
        select=" ".join(f"{finding.node}+" for finding in errors),
    )


def _may_be_cured(unmet: Finding, correctable: Sequence[Finding]) -> bool:
    """A failed threshold has hope while rows of its dimension can be corrected."""
    return any(finding.dimension == unmet.dimension for finding in correctable)


def _refusal(history: Sequence[Step], allowance: Allowance) -> str | None:
    if allowance.iterations <= 0:
        return f"all {len(history)} iterations are used up"
    if allowance.seconds <= allowance.iteration_seconds:
        return f"{allowance.seconds:.0f} s are left, too few for another iteration"
    return None


def _evidence(findings: Sequence[Finding]) -> str:
    return "; ".join(finding.evidence for finding in findings)
