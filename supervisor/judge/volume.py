"""How many records a source brought, held against its own past. Pure functions, no effects."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from fractions import Fraction

from supervisor.common.text import count, plural
from supervisor.goal.metrics import Past


def needed_days(past: Past) -> int:
    """Return how many of the days must be known: half of them."""
    return (past.days + 1) // 2


def change_of(records: int, earlier: Sequence[int], past: Past) -> tuple[Fraction | None, str]:
    """Return how far a number of records lies from the median of earlier days, as a share of it, and the evidence.

    The median, because one odd day among the earlier ones must not move it.

    Args:
        records: Of the day.
        earlier: Of the good days before it that the goal asks for, as far as they are known.
        past: What the goal asks for.

    Returns:
        The share, None where too little is known to tell, and in words what it stands on.
    """
    if len(earlier) < needed_days(past):
        known = plural(len(earlier), "good day")
        return None, f"too little history: {known} of the {past}, {count(needed_days(past))} needed"
    median = statistics.median(Fraction(number) for number in earlier)
    noun = "same weekday" if past.same_weekday else "day"
    usual = f"{plural(records, 'record')}; the median of the last {plural(len(earlier), noun)} is {count(median)}"
    if not median:
        return None, f"{usual}, of which no share can be told"
    return abs(records - median) / median, usual
