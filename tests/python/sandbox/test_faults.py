"""SANDBOX_FAULTS is understood strictly; what is not understood names what is."""

from __future__ import annotations

import pytest

from sandbox.faults import Fault, FaultsError, known_faults, parse_faults
from sandbox.roles import EXTRA_KINDS


@pytest.mark.parametrize("text", [None, ""])
def test_unset_means_the_golden_days_own_fault(text: str | None) -> None:
    assert list(parse_faults(text)) == [Fault("api", "timeout", 1)]


def test_none_switches_all_off() -> None:
    assert list(parse_faults("none")) == []


def test_a_list_keeps_its_order_and_numbers() -> None:
    faults = parse_faults("api=429:2, s3=down,data=orphans:50,api=reset")
    assert list(faults) == [
        Fault("api", "429", 2),
        Fault("s3", "down"),
        Fault("data", "orphans", 50),
        Fault("api", "reset"),
    ]
    assert faults.has("s3=down")
    assert not faults.has("s3=hang")
    assert faults.number("api=429") == 2
    assert faults.extra_defects() == {"orphans": 50}


@pytest.mark.parametrize(
    "text", ["api=dwon", "api", "down", "none,api=down", "api=down,", "API=down", "s3=timeout:1", "data=typos:1"]
)
def test_an_unknown_fault_is_an_error_with_the_whole_list(text: str) -> None:
    with pytest.raises(FaultsError, match="unknown fault") as caught:
        parse_faults(text)
    for name in ("api=down", "api=timeout:N", "s3=corrupt:N", "postgres=terminated:N", "data=signs:N"):
        assert name in str(caught.value)


@pytest.mark.parametrize("text", ["api=timeout", "api=timeout:", "api=500:0", "s3=corrupt:x", "api=429:\u00b2"])
def test_a_number_that_is_needed_must_be_one(text: str) -> None:
    with pytest.raises(FaultsError, match="takes a number from 1"):
        parse_faults(text)


@pytest.mark.parametrize("text", ["api=down:1", "s3=hang:2", "api=loop:1"])
def test_a_number_that_means_nothing_is_an_error(text: str) -> None:
    with pytest.raises(FaultsError, match="takes no number"):
        parse_faults(text)


def test_a_fault_given_twice_is_an_error() -> None:
    with pytest.raises(FaultsError, match="given twice"):
        parse_faults("s3=500:1,s3=500:2")


def test_faults_of_the_api_strike_one_after_the_other() -> None:
    faults = parse_faults("api=timeout:1,api=500:2,api=timeout:1,api=loop")
    kinds = ("timeout", "500")
    assert [faults.strike("api", kinds) for _ in range(5)] == ["timeout", "500", "500", "timeout", None]
    assert faults.strike("s3", kinds) is None


def test_a_fault_without_a_number_lasts() -> None:
    faults = parse_faults("api=reset")
    assert [faults.strike("api", ("reset",)) for _ in range(3)] == ["reset"] * 3


def test_every_kind_of_extra_defect_is_a_fault_with_a_meaning() -> None:
    lines = known_faults().splitlines()
    assert all(any(f"data={kind}:N" in line for line in lines) for kind in EXTRA_KINDS)
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines)
