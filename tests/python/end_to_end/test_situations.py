"""What was seen, what was decided, what came out: each situation is brought about for real."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from end_to_end.helpers import PROJECT, Run, rows
from end_to_end.situation_causes import (
    a_file_is_in_the_way,
    borrow_the_warehouse,
    careless_rules,
    check_with_a_remedy,
    endless_model,
    engine_settings,
    failing_twice,
    filter_in_a_mapping,
    hold_the_warehouse,
    lenient_within_minutes,
    missing_column,
    misspelt_remedy,
    several,
    stop_dbt,
)
from end_to_end.situation_checks import (
    both,
    cleansed,
    engine_got_its_limits,
    explained,
    loaded,
    orphans_are_quarantined,
    published_the_same,
    raw_is_kept,
    repaired_by,
    rolled_back,
    stopped_in_time,
    told,
    too_late,
    unread_files_are_quarantined,
    used_the_fallback,
    without_report,
)
from end_to_end.situations import (
    CLEANSED,
    Outcome,
    Sandboxes,
    Situation,
    bring_about,
    decisions_of,
    goal_line,
    goal_of_the_docs,
    journal,
    published_counts,
    raw_counts,
    within,
)

RETRIES = (("collect", "retry in 2 s"), ("collect", "retry in 4 s"))
WITHOUT = ("collect", "go on without it")
ESCALATED = ("validate", "escalate")

COLLECT_LESS = "python orchestrate.py --date 2025-11-16"
SITUATIONS: dict[str, Situation] = {
    # -------- sources
    "all is well": Situation(CLEANSED, out=cleansed(15, 3)),
    "the API answers 429, then 500, then well": Situation((*RETRIES, *CLEANSED), faults="api=429:1,api=500:1"),
    "the API resets a page, then cuts one short, then answers well": Situation(
        (*RETRIES, *CLEANSED), faults="api=reset:1,api=short:1"),
    "the API answers with a page of HTML, then with an error object, then well": Situation(
        (*RETRIES, *CLEANSED), faults="api=html:1,api=error-object:1"),
    "the API's primary endpoint is down": Situation(
        (*RETRIES, ("collect", "fall back to http"), *CLEANSED), faults="api=primary-down", out=used_the_fallback),
    "the API has no records for the day, and two S3 files can't be read": Situation(
        (WITHOUT, ("collect", "publish what could be read"), *CLEANSED), 3, "PARTIAL", "api=empty,s3=corrupt:2",
        ("api",), lost_files=(13, 14), out=both(loaded("s3", "postgres"), unread_files_are_quarantined)),
    "two of three sources are down": Situation(
        (*RETRIES, WITHOUT, *RETRIES, ("collect", "fall back to http"), WITHOUT, *CLEANSED), 3, "PARTIAL",
        "api=down,postgres=down", ("api", "postgres"), out=both(loaded("s3"), repaired_by(COLLECT_LESS))),
    "every source is down on a day that is published": Situation(
        None, 4, "ESCALATED", "api=down,postgres=down,s3=down", after_publishing=True,
        out=both(loaded(), told("every source failed"), raw_is_kept)),
    "PostgreSQL ends the connection in the middle, then serves": Situation(
        (RETRIES[0], *CLEANSED), faults="postgres=terminated:1"),
    "PostgreSQL refuses the right to read": Situation(
        (WITHOUT, *CLEANSED), 3, "PARTIAL", "postgres=denied", ("postgres",), out=loaded("s3", "api")),
    "S3 and PostgreSQL hang": Situation(
        None, 3, "PARTIAL", "s3=hang,postgres=hang", ("s3", "postgres"), goal=lenient_within_minutes,
        out=both(loaded("api"), told("left behind"), stopped_in_time(120))),
    # -------- quality
    "accuracy is below its threshold, and rules can help": Situation(
        CLEANSED, faults="data=signs:100", out=cleansed(115, 3)),
    "accuracy is below its threshold, and no rule can help": Situation(
        (CLEANSED[0], ESCALATED), 4, "ESCALATED", "data=out_of_range:100", unmet=("accuracy",), after_publishing=True,
        out=explained("accuracy", "amount_out_of_range")),
    "too many records fail": Situation(
        (ESCALATED,), 4, "ESCALATED", "data=broken:60", unmet=("failure_rate",),
        out=explained("failure_rate", "_unparsable")),
    "records of users that don't exist": Situation(CLEANSED, faults="data=orphans:10", out=orphans_are_quarantined),
    "completeness is below its threshold": Situation(
        (ESCALATED,), 4, "ESCALATED", "data=missing:200", unmet=("completeness",),
        out=explained("completeness", "_missing")),
    # -------- the same day as with no rule that can help, held against two other goals
    "a flawed day and the strict goal": Situation(
        (ESCALATED,), 4, "ESCALATED", "data=out_of_range:100", goal=goal_of_the_docs(0),
        unmet=("failure_rate", "completeness", "accuracy")),
    "a flawed day and the lenient goal": Situation(CLEANSED, faults="data=out_of_range:100", goal=goal_of_the_docs(1)),
    # -------- rules, checks and dbt
    "one rule makes things worse and another breaks": Situation(
        (CLEANSED[0], ("validate", "cleanse: rules of tier 2"), ("validate", "roll back tier 2"),
         ("validate", "cleanse: rules of tier 3"), ("validate", "roll back tier 3"), ("validate", "publish")),
        faults="data=out_of_range:20", project=careless_rules, out=rolled_back),
    "a check that was added in dbt has a remedy that helps": Situation(
        (CLEANSED[0], ("validate", "cleanse: rules of tier 3"), ("validate", "publish")),
        project=check_with_a_remedy(3, True, "error"), out=told("every_device_has_a_name")),
    "a check that was added in dbt has a remedy that gains nothing": Situation(
        (CLEANSED[0], ("validate", "cleanse: rules of tier 2"), ESCALATED), 4, "ESCALATED",
        project=check_with_a_remedy(2, False, "error"), out=told("gained nothing more", "every_device_has_a_name")),
    "a check asks for a remedy that is misspelt": Situation(
        (("transform", "escalate"),), 4, "ESCALATED", project=misspelt_remedy, out=told("clense", "report")),
    "a model asks for a column that is not there": Situation(
        (("transform", "escalate"),), 4, "ESCALATED", project=missing_column, after_publishing=True,
        out=told("amuont", "deterministic")),
    "a mapping leaves records out": Situation(
        (ESCALATED,), 4, "ESCALATED", project=filter_in_a_mapping, out=told("assert_every_record_is_accounted_for")),
    "a model fails for a passing reason, twice": Situation(
        (("transform", "retry int_flaky and what stands on it"),) * 2 + CLEANSED, project=failing_twice,
        out=told("could not serialize access")),
    # -------- time, memory, other processes, disks
    "a model never ends": Situation(
        (("transform", "escalate"),), 4, "ESCALATED", project=endless_model, goal=within(120), after_publishing=True,
        out=both(told("used up its budget"), stopped_in_time(120))),
    "dbt is frozen": Situation(
        (("transform", "escalate"),), 4, "ESCALATED", goal=within(120), meanwhile=stop_dbt,
        out=both(told("used up its budget"), stopped_in_time(120))),
    "the deadline is too short for the work": Situation(
        None, 4, "ESCALATED", goal=within(1), after_publishing=True, out=both(loaded(), too_late)),
    "a published day is run again, with little memory and no place for its report": Situation(
        (*CLEANSED, ("publish", "go on without the report")), 3, goal=goal_line("8GB RAM", "200MB RAM"),
        project=several(engine_settings, a_file_is_in_the_way), unmet=("peak_memory_mb",), after_publishing=True,
        out=both(engine_got_its_limits, without_report, published_the_same)),
    "the warehouse is locked for some seconds": Situation(
        None, meanwhile=borrow_the_warehouse, out=told("Could not set lock", "retry")),
    "the warehouse stays locked by another process": Situation(
        (("collect", "escalate"),), 4, "ESCALATED", after_publishing=True, meanwhile=hold_the_warehouse,
        out=told("the warehouse can't be used")),
    "the disk is full": Situation(
        None, 4, "ESCALATED", after_publishing=True, wrapper=("prlimit", "--fsize=400000")),
}  # fmt: skip


# run by `make soak`: each keeps a promise that is kept in small by another row, or by a test, in `make test`
GOLDEN_RETRY = "end_to_end/test_golden_day.py::test_decisions_are_recorded_with_their_evidence"
PARTIAL, REPLAY = "end_to_end/test_partial_day.py", "supervisor/run/test_replay.py"
BUILD = "supervisor/run/test_build.py"
HANGING_DBT = "end_to_end/test_iterations.py::test_a_dbt_that_hangs_is_stopped_at_its_budget"
SOAK = {
    "the API answers 429, then 500, then well": GOLDEN_RETRY,
    "the API resets a page, then cuts one short, then answers well": GOLDEN_RETRY,
    "the API answers with a page of HTML, then with an error object, then well": GOLDEN_RETRY,
    "the API's primary endpoint is down":
        "loaders/kinds/test_rest_api.py::test_the_fallback_is_asked_once_and_gives_the_same_rows",
    "two of three sources are down": f"{PARTIAL}::test_three_tries_and_the_fallback_are_decided_and_said",
    "PostgreSQL ends the connection in the middle, then serves": GOLDEN_RETRY,
    "PostgreSQL refuses the right to read": "the API has no records for the day, and two S3 files can't be read",
    "S3 and PostgreSQL hang":
        "loaders/test_loaders_run.py::test_a_hung_source_is_left_behind_and_the_others_are_loaded",
    "accuracy is below its threshold, and rules can help": "all is well",
    "too many records fail": f"{REPLAY}::test_what_an_escalated_day_rejected_can_be_seen",
    "records of users that don't exist":
        "end_to_end/test_golden_day.py::test_every_quarantined_record_keeps_its_payload_and_its_reasons",
    "completeness is below its threshold": "accuracy is below its threshold, and no rule can help",
    "a flawed day and the strict goal": "accuracy is below its threshold, and no rule can help",
    "a flawed day and the lenient goal":
        f"{REPLAY}::test_a_replay_publishes_an_escalated_day_without_collecting_it_again",
    "one rule makes things worse and another breaks":
        "end_to_end/test_iterations.py::test_a_tier_that_is_undone_leaves_the_day_as_it_was_before",
    "a check that was added in dbt has a remedy that gains nothing":
        "a check that was added in dbt has a remedy that helps",
    "a check asks for a remedy that is misspelt": f"{BUILD}::test_a_remedy_that_is_not_understood_escalates",
    "a model fails for a passing reason, twice":
        "supervisor/judge/test_policy.py::test_a_retry_rebuilds_only_what_failed_and_what_stands_on_it",
    "a model never ends": HANGING_DBT,
    "dbt is frozen": HANGING_DBT,
    "the warehouse is locked for some seconds": "the warehouse stays locked by another process",
}  # fmt: skip
# nothing happens in it, so that the day which others start from is this one
WELL = "all is well"


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    small: Run,
    small_servers: dict[str, str],
) -> Iterator[dict[str, Future[Outcome]]]:
    """The situations that are asked for, brought about a few at a time: a run waits much and computes on one core."""
    asked = [
        item.callspec.params["name"]
        for item in request.session.items
        if "outcomes" in getattr(item, "fixturenames", ())
    ]
    with closing(Sandboxes(small_servers)) as sandboxes, ThreadPoolExecutor(4) as pool:

        def work(name: str, folder: Path) -> Outcome:
            situation = SITUATIONS[name]
            if name == WELL:
                return Outcome(small, small.folder)
            return bring_about(situation, folder, small.folder if situation.after_publishing else None, sandboxes)

        # those that wait for their deadline come first
        order = sorted(dict.fromkeys(asked), key=lambda name: SITUATIONS[name].goal is None)
        yield {name: pool.submit(work, name, tmp_path_factory.mktemp("situation")) for name in order}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.soak if name in SOAK else ()) for name in SITUATIONS]
)
def test_what_was_seen_leads_to_what_was_decided_and_to_what_came_out(
    name: str, outcomes: dict[str, Future[Outcome]]
) -> None:
    situation, outcome = SITUATIONS[name], outcomes[name].result()
    run = outcome.run
    assert (run.exit_code, run.summary["status"], run.summary["exit_code"]) == (
        situation.exit_code, situation.status, situation.exit_code,
    ), run.errors  # fmt: skip
    decided = decisions_of(outcome)
    if situation.decided is not None:
        assert len(decided) == len(situation.decided), decided
        for (phase, decision), (expected_phase, beginning) in zip(decided, situation.decided, strict=True):
            assert phase == expected_phase, decided
            assert decision.startswith(beginning), decided
    assert journal(outcome) == run.summary["decisions"]
    for criterion in run.summary["criteria"]:
        if criterion["metric"] in situation.unmet:
            assert criterion["met"] is False, criterion
    if situation.exit_code in (0, 3):
        _assert_published(situation, outcome)
    else:
        _assert_untouched(outcome)
    situation.out(outcome)


def _assert_published(situation: Situation, outcome: Outcome) -> None:
    """Conservation and the oracle's figures, by source, in the summary and in the tables."""
    summary, oracle = outcome.run.summary, situation.oracle().sources
    raw, events = raw_counts(outcome.folder), published_counts(outcome.folder, "analytics.events")
    quarantined = published_counts(outcome.folder, "quarantine.quarantined_records")
    for name, expected in oracle.items():
        source = summary["sources"][name]
        assert source["collected"] == source["published"] + source["quarantined"] + source["duplicates"]
        assert (raw[name], events[name], quarantined[name]) == (
            expected.collected,
            expected.published,
            expected.quarantined,
        )
        assert {key: source[key] for key in ("collected", "quarantined", "duplicates", "published")} == {
            "collected": expected.collected,
            "quarantined": expected.quarantined,
            "duplicates": expected.duplicates,
            "published": expected.published,
        }
    total = situation.oracle().total
    # with little time left, what the goal can do without is left uncorrected
    corrected = total.corrected if any(decision.startswith("cleanse") for _, decision in decisions_of(outcome)) else 0
    assert (summary["missing_required"], summary["corrected"]) == (total.missing_required, corrected)
    assert set(events) == set(oracle)
    assert rows(outcome.folder, f"select count(*) from metadata.lineage where run_id = '{summary['run_id']}'") == [
        (len(oracle),)
    ]


def _assert_untouched(outcome: Outcome) -> None:
    """What was published before is there, byte for byte, and nothing else is."""
    assert outcome.days() == outcome.before
    if outcome.before:
        assert rows(outcome.folder, "select count(distinct load_date) from analytics.events") == [(2,)]
        assert rows(outcome.folder, "select count(distinct run_id) from analytics.events") == [(2,)]
    else:
        exists = (
            "select count(*) from information_schema.tables where table_schema = 'analytics' and table_name = 'events'"
        )
        assert rows(outcome.folder, exists) == [(0,)] or rows(
            outcome.folder, "select count(*) from analytics.events"
        ) == [(0,)]


def test_the_table_is_as_long_as_promised() -> None:
    assert len(SITUATIONS) >= 25


@pytest.mark.parametrize("name", SOAK)
def test_what_only_the_soak_runs_is_kept_in_small(name: str) -> None:
    small = SOAK[name]
    if "::" in small:
        path, _, function = small.partition("::")
        assert f"def {function}(" in (PROJECT / "tests" / "python" / path).read_text(encoding="utf-8")
    else:
        assert name in SITUATIONS
        assert small in SITUATIONS.keys() - SOAK.keys()
