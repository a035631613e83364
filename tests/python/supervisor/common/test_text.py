"""Figures and texts for people: nothing is rounded across its limit, nothing unsafe gets through."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from supervisor.common.text import duration, measure, plain_text, share, share_of


@pytest.mark.parametrize(
    ("value", "threshold", "shown"),
    [
        (0.97996, 0.98, "97.996%"),
        (0.979999999, 0.98, "97.9999999%"),
        (0.98, 0.98, "98%"),
        (0.9999999, 1.0, "99.99999%"),
        (0.020001, 0.02, "2.0001%"),
        (331_700 / 334_900, 0.95, "99.04%"),
        (0.000001, None, "0.0001%"),
        (Fraction(1, 3), 0.98, "33.33%"),
        (Decimal("0.97996"), Decimal("0.98"), "97.996%"),
        (None, 0.98, "unknown"),
        (float("nan"), 0.98, "unknown"),
    ],
)
def test_no_share_is_rounded_across_its_threshold(value: Any, threshold: Any, shown: str) -> None:
    assert share(value, against=threshold) == shown


def test_no_duration_and_no_memory_is_rounded_across_its_limit() -> None:
    assert duration(1800.4, against=1800) == "30 min 0.4 s"
    assert duration(1800, against=1800) == "30 min"
    assert measure(8000.4, "MB", against=8000) == "8.0004 GB"
    assert measure(3.999, "cores", against=4) == "3.999 cores"


def test_escape_sequences_leave_nothing_behind() -> None:
    assert plain_text("\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b]8;;x\x1b\\link\x9b2J") == "red link"
    assert plain_text("a\r\n\tb\x00c") == "a   bc"


def test_no_credential_reaches_a_console() -> None:
    text = plain_text("http://user:canary@host/x?api_key=canary&day=1 password=canary")
    assert "canary" not in text
    assert "day=1" in text


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
