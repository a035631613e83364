"""What is decided from what is seen: pure, so every situation is a row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor.judge.findings import Finding
from supervisor.judge.policy import Action, Allowance, Step, decide

PLENTY = Allowance(iterations=3, retries=2, seconds=600)


def unmet(node: str = "accuracy_meets_threshold", dimension: str = "accuracy", rows: int = 1) -> Finding:
    return Finding("unmet", node, dimension, "escalate", rows, f"test {node}: fail, {rows} rows")


def correctable(tier: int, rows: int = 100, dimension: str = "accuracy") -> Finding:
    node = f"nothing_left_to_correct_in_tier_{tier}"
    return Finding("correctable", node, dimension, "cleanse", rows, f"test {node}: warn", tier=tier, rebuild="x+")


def error(transient: bool) -> Finding:
    return Finding(
        "error", "int_events_checked", "none", "escalate", 0, "model int_events_checked: broke", transient=transient
    )


SITUATIONS: dict[str, tuple[list[Finding], list[Step], Allowance, Action, int | None]] = {
    "all is well": ([], [], PLENTY, "publish", None),
    "only a notice": (
        [Finding("notice", "newest_record_is_of_the_day", "freshness", "report", 1, "old data")], [], PLENTY, "publish", None),
    "rows can be corrected although the goal is met": ([correctable(1)], [], PLENTY, "cleanse", 1),
    "below the threshold and cleansable": ([unmet(), correctable(1)], [], PLENTY, "cleanse", 1),
    "below the threshold and not cleansable": ([unmet()], [], PLENTY, "escalate", None),
    "the lowest tier comes first": ([correctable(1), correctable(2)], [], PLENTY, "cleanse", 1),
    "only a higher tier can help": ([unmet(), correctable(2)], [], PLENTY, "cleanse", 2),
    "the next tier after one that helped": ([unmet(), correctable(2)], [Step(1, 100, 0)], PLENTY, "cleanse", 2),
    "a tier that gained nothing is not tried again, the goal is met": (
        [correctable(1)], [Step(1, 100, 100)], PLENTY, "publish", None),
    "a tier that gained nothing is not tried again, the goal is not met": (
        [unmet(), correctable(1)], [Step(1, 100, 100)], PLENTY, "escalate", None),
    "a tier that was rolled back is not tried again": (
        [unmet(), correctable(1)], [Step(1, 100, 0, rolled_back=True)], PLENTY, "escalate", None),
    "a tier that helped in part goes on": ([unmet(), correctable(1, 40)], [Step(1, 100, 40)], PLENTY, "cleanse", 1),
    "no iterations are left and the goal is not met": (
        [unmet(), correctable(3)], [Step(1, 9, 0), Step(2, 9, 0), Step(2, 9, 1)], Allowance(0, 2, 600),
        "escalate", None),
    "no iterations are left but the goal is met": ([correctable(3)], [], Allowance(0, 2, 600), "publish", None),
    "too little time for an iteration and the goal is not met": (
        [unmet(), correctable(1)], [], Allowance(3, 2, 4.0, iteration_seconds=5.0), "escalate", None),
    "too little time for an iteration but the goal is met": (
        [correctable(1)], [], Allowance(3, 2, 4.0, iteration_seconds=5.0), "publish", None),
    "cleansing amounts cannot mend references": (
        [unmet("references_exist", "consistency"), correctable(1)], [], PLENTY, "escalate", None),
    "one unmet criterion is hopeless, the other is not": (
        [unmet("completeness_meets_threshold", "completeness"), unmet(), correctable(1)], [], PLENTY, "escalate", None),
    "a test without rows to correct": ([correctable(1, rows=0)], [], PLENTY, "publish", None),
    "a transient failure": ([error(transient=True)], [], PLENTY, "retry", None),
    "a transient failure and no tries left": ([error(transient=True)], [], Allowance(3, 0, 600), "escalate", None),
    "a transient failure and no time left": ([error(transient=True)], [], Allowance(3, 2, 1.0), "escalate", None),
    "a deterministic failure": ([error(transient=False)], [], PLENTY, "escalate", None),
    "a deterministic failure beside a transient one": (
        [error(transient=True), error(transient=False)], [], PLENTY, "escalate", None),
    "a hung dbt": ([replace(error(transient=False), hung=True)], [], PLENTY, "escalate", None),
    "a failed test with a remedy": ([replace(correctable(1), blocking=True)], [], PLENTY, "cleanse", 1),
    "a failed test whose remedy gained nothing holds the day back": (
        [replace(correctable(1), blocking=True)], [Step(1, 100, 100)], PLENTY, "escalate", None),
    "a failed test whose remedy was rolled back holds the day back": (
        [replace(correctable(1), blocking=True)], [Step(1, 100, 0, rolled_back=True)], PLENTY, "escalate", None),
    "the tier after one that was rolled back": (
        [unmet(), correctable(2), correctable(3)], [Step(2, 100, 100, rolled_back=True)], PLENTY, "cleanse", 3),
    "two unmet criteria, and only one of them has a remedy left": (
        [unmet(), unmet("d", "devices"), correctable(1), correctable(2, dimension="devices")],
        [Step(1, 100, 100)], PLENTY, "escalate", None),
    "an error outranks what could be corrected": (
        [error(transient=False), correctable(1)], [], PLENTY, "escalate", None),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_is_seen_leads_to_one_decision(situation: str) -> None:
    findings, history, allowance, action, tier = SITUATIONS[situation]
    decision = decide(findings, history, allowance)
    assert (decision.action, decision.tier) == (action, tier)
    assert decision.observed
    assert decision.reason


def test_a_retry_rebuilds_only_what_failed_and_what_stands_on_it() -> None:
    assert decide([error(transient=True)], [], PLENTY).select == "int_events_checked+"


def test_cleansing_rebuilds_what_the_test_says() -> None:
    assert decide([correctable(1)], [], PLENTY).select == "x+"


def test_one_iteration_serves_every_check_of_its_tier() -> None:
    other = replace(correctable(1, dimension="devices"), node="another", rebuild="y+ x+")
    decision = decide([correctable(1), other, correctable(2)], [], PLENTY)
    assert (decision.tier, decision.select) == (1, "x+ y+")
    assert "200 records" in decision.reason


def test_a_broken_invocation_is_tried_again_as_a_whole() -> None:
    assert decide([replace(error(transient=True), node="")], [], PLENTY).select is None


def test_an_escalation_names_its_subjects_and_why_nothing_else_is_tried() -> None:
    tried = decide([unmet(), correctable(1)], [Step(1, 100, 100)], PLENTY)
    assert tried.subjects == ("accuracy_meets_threshold",)
    assert "gained nothing more" in tried.reason
    assert "no correction is left to try" in decide([unmet()], [], PLENTY).reason
    assert "used up" in decide([replace(error(transient=False), hung=True)], [], PLENTY).reason


def test_a_step_that_was_rolled_back_gained_nothing() -> None:
    assert Step(1, 100, 0).gained == 100
    assert Step(1, 100, 0, rolled_back=True).gained == 0
