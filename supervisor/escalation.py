"""The one way out when the goal can't be met: nothing is published, and a person gets what they need."""

from __future__ import annotations

from collections.abc import Sequence


class EscalationError(Exception):
    """Raised when the goal can't be met: nothing is published. Carries what the person woken up needs.

    Attributes:
        phase: Where it happened.
        observed: The evidence.
        reason: Why nothing else is allowed, in a few words.
        recommendation: What a person can do about it.
        subjects: Names of what it is about (tests, models, sources, metrics), the same for the same cause.
    """

    def __init__(
        self, phase: str, observed: str, reason: str, recommendation: str, subjects: Sequence[str] = ()
    ) -> None:
        super().__init__(reason)
        self.phase, self.observed, self.reason, self.recommendation = phase, observed, reason, recommendation
        self.subjects = tuple(sorted(set(subjects)))
