"""A figure for people never looks better than it is."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from supervisor.common.text import share_of


@pytest.mark.parametrize(
    ("part", "whole", "good", "bad"),
    [
        (334_600, 334_900, "99.91%", "99.92%"),
        (0, 5, "0.00%", "0.00%"),
        (5, 5, "100.00%", "100.00%"),
        (1, 10**9, "0.00%", "0.01%"),
        (10**9 - 1, 10**9, "99.99%", "100.00%"),
        (0, 0, "-", "-"),
    ],
)
def test_a_good_share_is_rounded_down_and_a_bad_one_up(part: int, whole: int, good: str, bad: str) -> None:
    assert (share_of(part, whole), share_of(part, whole, bad=True)) == (good, bad)


def test_no_share_is_shown_better_than_it_is_or_off_by_a_hundredth() -> None:
    draw = random.Random(3)
    for _ in range(2_000):
        whole = draw.randrange(1, 10**7)
        part = draw.randrange(whole + 1)
        exact = Fraction(part * 100, whole)
        good, bad = (Fraction(share_of(part, whole, bad=flag).removesuffix("%")) for flag in (False, True))
        assert exact - Fraction(1, 100) < good <= exact <= bad < exact + Fraction(1, 100)
