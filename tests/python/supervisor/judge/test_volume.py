"""A source's volume against its past: the median of good days, or not measured and never met."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest

from supervisor.goal.metrics import Past
from supervisor.judge.volume import change_of

SUNDAYS, WEEK = Past(4, same_weekday=True), Past(7, same_weekday=False)


@pytest.mark.parametrize(
    ("records", "earlier", "past", "change"),
    [
        (100, [100, 100, 100, 100], SUNDAYS, Fraction(0)),
        # one odd day among the earlier ones moves nothing
        (20, [250, 250, 9_999, 250], SUNDAYS, Fraction(92, 100)),
        (500, [250, 250], SUNDAYS, Fraction(1)),
        (12, [10, 20, 30, 40], WEEK, Fraction(13, 25)),
    ],
)
def test_the_change_is_a_share_of_the_median(
    records: int, earlier: Sequence[int], past: Past, change: Fraction
) -> None:
    assert change_of(records, earlier, past)[0] == change


@pytest.mark.parametrize(
    ("earlier", "past", "words"),
    [
        ([], SUNDAYS, "too little history: 0 good days of the last 4 same weekdays, 2 needed"),
        ([250], SUNDAYS, "too little history: 1 good day of the last 4 same weekdays, 2 needed"),
        ([250] * 3, WEEK, "too little history: 3 good days of the last 7 days, 4 needed"),
        ([0, 0, 0], SUNDAYS, "20 records; the median of the last 3 same weekdays is 0, of which no share can be told"),
    ],
)
def test_too_little_past_is_not_measured_and_says_so(earlier: Sequence[int], past: Past, words: str) -> None:
    assert change_of(20, earlier, past) == (None, words)


def test_the_evidence_names_the_figures() -> None:
    assert change_of(20, [250, 240], SUNDAYS)[1] == "20 records; the median of the last 2 same weekdays is 245"
