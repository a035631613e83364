"""Deciding: findings, history and what is left of the budget in, one decision out. Pure functions, no effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from supervisor.judge.findings import Finding

Action = Literal["publish", "cleanse", "retry", "escalate"]


@dataclass(frozen=True)
class Allowance:
    """What is left to spend.

    Attributes:
        iterations: Further cleansing iterations.
        retries: Further tries of a transient failure, as many as fit into the phase's budget.
        seconds: Seconds that the phase may still take.
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
        subjects: With escalate: the nodes that it is about.
    """

    action: Action
    observed: str
    reason: str
    tier: int | None = None
    select: str | None = None
    subjects: tuple[str, ...] = ()


def decide(findings: Sequence[Finding], history: Sequence[Step], allowance: Allowance) -> Decision:
    """Choose the next allowed action, or escalation.

    Findings come most severe first. A tier that gained nothing in `history`, or was rolled back, is not tried again.
    """
    errors = [finding for finding in findings if finding.kind == "error"]
    if errors:
        return _decide_errors(errors, allowance)
    correctable = [finding for finding in findings if finding.kind == "correctable" and finding.rows > 0]
    # a failed test with a remedy holds the day back as any failed test does, once its remedy is used up
    unmet = [
        finding for finding in findings if finding.kind == "unmet" or (finding in correctable and finding.blocking)
    ]
    useless = {step.tier for step in history if step.gained <= 0}
    open_ones = [finding for finding in correctable if finding.tier is not None and finding.tier not in useless]
    hopeless = [finding for finding in unmet if not _may_be_cured(finding, open_ones)]
    if hopeless:
        tried = any(_may_be_cured(finding, correctable) for finding in hopeless)
        return _decision(
            "escalate",
            hopeless,
            "the rules that could help have been tried and gained nothing more"
            if tried
            else "no correction is left to try",
        )
    if open_ones:
        refused = _refusal(history, allowance)
        if refused is None:
            chosen = [finding for finding in open_ones if finding.tier == open_ones[0].tier]
            count = sum(finding.rows for finding in chosen)
            return Decision(
                "cleanse",
                _evidence([*unmet, *chosen]),
                f"rules of tier {chosen[0].tier} can correct {count:,} records",
                tier=chosen[0].tier,
                # one iteration serves every check of the tier
                select=" ".join(dict.fromkeys(word for finding in chosen for word in str(finding.rebuild).split())),
            )
        if unmet:
            return _decision("escalate", unmet, refused)
        return Decision("publish", _evidence(correctable), f"the goal is met; left uncorrected because {refused}")
    if correctable:
        return Decision(
            "publish", _evidence(correctable), "the goal is met; the rules for what is left gained nothing more"
        )
    return Decision("publish", "every test of the goal passed", "the goal is met")


def _decision(action: Action, findings: Sequence[Finding], reason: str) -> Decision:
    return Decision(action, _evidence(findings), reason, subjects=tuple(finding.node for finding in findings))


def _decide_errors(errors: Sequence[Finding], allowance: Allowance) -> Decision:
    hung = [finding for finding in errors if finding.hung]
    if hung:
        return _decision("escalate", hung, "the budget of the phase is used up")
    deterministic = [finding for finding in errors if not finding.transient]
    if deterministic:
        return _decision("escalate", deterministic, "the failure is deterministic: another try would fail again")
    if allowance.retries <= 0 or allowance.seconds <= allowance.iteration_seconds:
        return _decision("escalate", errors, f"no try is left, or {allowance.seconds:.0f} s are too few for one")
    return Decision(
        "retry",
        _evidence(errors),
        "the failure is transient",
        # a node that failed is built again with what stands on it; a broken invocation as a whole
        select=" ".join(f"{finding.node}+" for finding in errors if finding.node) or None,
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
    return "; ".join(dict.fromkeys(finding.evidence for finding in findings))
