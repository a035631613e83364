"""The deadline shared out over the phases, and what is still affordable while they run.

Pure values: the clock is the caller's. A phase that ends early leaves its time to the next one; a
phase that overran takes it from all later ones in proportion, so that the deadline stays where it
is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

DEFAULT_DEADLINE_S = 1_800
# how many of the last loaded days an estimate looks at
HISTORY_DAYS = 7

PHASES = ("collect", "transform", "validate", "publish")
# the origin plans 15, 15, 5 and 10 minutes
PROPORTIONS = (15, 15, 5, 10)
# dropped in this order when time is short; checks are never among them
OPTIONAL_WORK = ("docs", "archive")


def share_out(deadline_s: int) -> dict[str, float]:
    """Return the budget of each phase in seconds; they add up to the deadline exactly.

    Whole seconds, and eighths of a second below 45 s: binary fractions add up without error.

    Args:
        deadline_s: Whole seconds for the whole run, at least 1.

    Raises:
        ValueError: The deadline is no positive whole number.
    """
    if deadline_s < 1 or deadline_s != int(deadline_s):
        raise ValueError(f"a deadline of {deadline_s} s: it must be a whole number, 1 or more")
    parts = 1 if deadline_s >= sum(PROPORTIONS) else 8
    units = int(deadline_s) * parts
    exact = [Fraction(units * weight, sum(PROPORTIONS)) for weight in PROPORTIONS]
    shares = [math.floor(share) for share in exact]
    # largest remainder first; of equal ones the earlier phase
    order = sorted(range(len(exact)), key=lambda index: shares[index] - exact[index])
    for index in order[: units - sum(shares)]:
        shares[index] += 1
    return {phase: share / parts for phase, share in zip(PHASES, shares, strict=True)}


@dataclass(frozen=True, slots=True)
class PhaseBudgets:
    """Planned and spent seconds, one of each per phase in the order of `PHASES`.

    Attributes:
        planned: What the plan gave each phase.
        spent: What each phase has used so far.
    """

    planned: tuple[float, ...]
    spent: tuple[float, ...] = (0.0,) * len(PHASES)

    def __post_init__(self) -> None:
        """Refuse budgets that are not one finite, non-negative figure per phase."""
        for seconds in (self.planned, self.spent):
            if len(seconds) != len(PHASES) or not all(0 <= item < math.inf for item in seconds):
                raise ValueError(f"budgets need one figure of 0 or more per phase, got {seconds}")

    @classmethod
    def for_deadline(cls, deadline_s: int) -> PhaseBudgets:
        """Return fresh budgets that share out a deadline in whole seconds."""
        return cls(tuple(share_out(deadline_s).values()))

    @property
    def deadline_s(self) -> float:
        """Return the seconds of the whole run."""
        return math.fsum(self.planned)

    def spend(self, phase: str, seconds: float) -> PhaseBudgets:
        """Return the budgets after `phase` used `seconds` more (0 or more)."""
        at = _index(phase)
        if not 0 <= seconds < math.inf:
            raise ValueError(f"phase '{phase}' can't spend {seconds} s")
        spent = (*self.spent[:at], self.spent[at] + seconds, *self.spent[at + 1 :])
        return replace(self, spent=spent)

    def allowance(self, phase: str) -> float:
        """Return all seconds that `phase` may take, what it has used already included.

        Its own budget and what the phases before it left over. When they overran, what is left
        until the deadline is shared out over this phase and the later ones, in proportion.
        """
        at = _index(phase)
        own, later = self.planned[at], math.fsum(self.planned[at + 1 :])
        left = self.deadline_s - math.fsum(self.spent[:at])
        surplus = left - own - later
        if surplus >= 0:
            return own + surplus
        return max(0.0, left) * own / (own + later) if own else 0.0

    def remaining(self, phase: str) -> float:
        """Return the seconds that `phase` may still take: its time limit from now on."""
        return max(0.0, self.allowance(phase) - self.spent[_index(phase)])

    def retries(self, phase: str, attempt_s: float, pauses_s: Sequence[float] = (2.0, 4.0)) -> int:
        """Return how many retries fit into what is left of the phase.

        Args:
            phase: One of `PHASES`.
            attempt_s: What one attempt is expected to take.
            pauses_s: The wait before each retry; as many retries as there are pauses at most.
        """
        needed, granted = 0.0, 0
        for pause in pauses_s:
            needed += pause + attempt_s
            if needed > self.remaining(phase):
                break
            granted += 1
        return granted

    def dropped(self, phase: str, required_s: float, optional_s: Mapping[str, float]) -> tuple[str, ...]:
        """Return the optional work that must be left out so that the rest still fits.

        Args:
            phase: The phase that would do it.
            required_s: What the phase must do yet, in seconds; never dropped.
            optional_s: Expected seconds by name, names out of `OPTIONAL_WORK`.

        Returns:
            Names in the order of `OPTIONAL_WORK`: only as many as it takes, the most
            dispensable first.

        Raises:
            ValueError: A name is no optional work, as the checks are not.
        """
        if wrong := sorted(set(optional_s) - set(OPTIONAL_WORK)):
            raise ValueError(f"{', '.join(wrong)} can't be dropped; only {', '.join(OPTIONAL_WORK)} can")
        room = self.remaining(phase) - required_s
        left_out: list[str] = []
        for name in OPTIONAL_WORK:
            wanted = math.fsum(cost for key, cost in optional_s.items() if key not in left_out)
            if name in optional_s and wanted > room:
                left_out.append(name)
        return tuple(left_out)


def _index(phase: str) -> int:
    if phase not in PHASES:
        raise ValueError(f"no phase '{phase}'; the phases are {', '.join(PHASES)}")
    return PHASES.index(phase)
