"""What is said at the end of a run that was recorded: the same figures as its summary, and nothing that is not in it."""

from __future__ import annotations

from typing import Any

import pytest
from recorded_days import NAMES, recorded

from supervisor.common.outcome import Outcome
from supervisor.record.summary import Summary
from supervisor.show.advice import issues_of, next_steps_of, offender_lines
from supervisor.show.alerts import alert_for, incident_of
from supervisor.show.closing import closing_of
from supervisor.show.report.data import ReportData
from supervisor.show.report.page import render_report


def lines(name: str, **changes: Any) -> list[str]:
    closing = closing_of(recorded(name, **changes))
    return [closing.headline, closing.title, *(row.text for row in closing.rows), closing.repair]


NEEDED = ("run_id", "date", "target", "status", "exit_code", "started_at", "finished_at", "duration_s")


@pytest.mark.parametrize("outcome", Outcome)
def test_a_summary_of_which_little_is_known_crashes_nobody(outcome: Outcome) -> None:
    known = {key: value for key, value in recorded("golden").as_dict().items() if key in NEEDED}
    summary = Summary.model_validate({**known, "status": outcome.status, "exit_code": outcome.exit_code})
    assert outcome.headline in closing_of(summary).headline
    assert outcome.verdict in render_report(ReportData(summary))
    alert = alert_for(summary, None)
    assert (alert is None) == outcome.is_good


@pytest.mark.parametrize(
    ("name", "changes", "headline"),
    [
        ("golden", {}, "Pipeline Execution: ✓ SUCCESS (45 s total)"),
        ("golden", {"exit_code": 3}, "Pipeline Execution: ⚠ PUBLISHED, goal not met in full (45 s total)"),
        ("golden", {"status": "NOTHING_TO_DO"}, "Pipeline Execution: ✓ NOTHING TO DO"),
        ("golden", {"status": "FAILED", "exit_code": 1}, "Pipeline Execution: ✗ FAILED (45 s total)"),
        ("partial", {}, "Pipeline Execution: ⚠ PARTIAL SUCCESS (1 min 11 s total)"),
        ("escalated", {}, "Pipeline Execution: ✗ ESCALATED (34 s total)"),
    ],
)
def test_the_headline_is_the_tables(name: str, changes: dict[str, Any], headline: str) -> None:
    assert lines(name, **changes)[0] == headline


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_the_summarys_and_reads_the_same_in_every_line(name: str) -> None:
    said = lines(name)
    summary = recorded(name)
    figures = [line for line in said if line.startswith(("Completeness: ", "Accuracy: ", "Consistency: "))]
    if name != "escalated":
        shown = [line.split(" ")[1] for line in figures]
        assert shown == [summary.share_of(metric) for metric in ("completeness", "accuracy", "consistency")]
        sums = f"= {summary.published:,} published + {summary.quarantined:,} quarantined"
        assert len([line for line in said if sums in line]) == 1


def test_a_failure_rate_just_below_its_limit_is_not_rounded_onto_it_anywhere() -> None:
    criteria = recorded("golden").as_dict()["criteria"]
    rate = next(one for one in criteria if one["metric"] == "failure_rate")
    rate |= {"measured": 0.0199999}
    said = lines("golden", failure_rate=0.0199999, criteria=criteria)
    assert "Failed: 5,100 records (1.99999%, quarantined)" in said
    assert "Failure rate: 1.99999% ✓ (threshold: < 2%)" in said


def test_a_run_that_failed_after_its_publish_says_that_the_day_is_there() -> None:
    error = {"type": "OSError", "message": "OSError: disk full"}
    failed = lines("golden", status="FAILED", exit_code=1, error=error)
    assert "Reason: OSError: disk full" in failed
    assert "The day was published (333,100 records) before the failure." in failed
    before = lines("golden", status="FAILED", exit_code=1, error=error, phases={"collect": {"status": "FAILED"}})
    assert "Nothing was published. What was published before is unchanged." in before


def test_a_source_that_is_down_keeps_what_it_had_and_says_so() -> None:
    sources = recorded("partial").as_dict()["sources"]
    assert "Missing: API source (number of records not known)" in lines("partial")
    sources["api"]["collected"] = 15_000
    assert "Not refreshed: API source (15,000 records kept from before)" in lines("partial", sources=sources)


def test_what_deserves_a_look_is_listed_once_each() -> None:
    issues = issues_of(recorded("partial"))
    assert issues[0].startswith("API unavailable: source 'api': no page after 3 tries")
    assert issues[0].endswith("(3 tries)")
    assert issues[1:] == [
        "4,800 transformation failures (quarantined)",
        "3,000 records (a required field is missing; kept, marked incomplete)",
        "270 out-of-range values (flagged)",
        "235 statistical outliers (flagged for review)",
        "1,138 duplicates (other values than the record that was kept: see int_duplicates)",
    ]


def test_the_next_steps_of_an_escalation_begin_with_its_explanation() -> None:
    summary = recorded("escalated", target="postgres")
    steps = next_steps_of(summary)
    assert steps[0].command == f"python orchestrate.py explain {summary.run_id} --target postgres"
    assert steps[1].command == "python orchestrate.py quarantine list --date 2025-11-16 --target postgres"
    # nothing of it is in analytics.events
    assert not [step for step in steps if "analytics.events" in step.text]


def test_more_offenders_than_fit_are_counted() -> None:
    escalation = recorded("escalated").as_dict()["escalation"]
    summary = recorded("escalated", escalation={**escalation, "offenders": [f"s{number}" for number in range(10)]})
    assert offender_lines(summary, 3) == ["s0", "s1", "s2", "and 7 more"]
    assert offender_lines(recorded("golden")) == []


def test_a_file_that_could_not_be_read_is_named_by_everyone_who_tells_of_the_day() -> None:
    sources = recorded("golden").as_dict()["sources"]
    parts = [{"object": f"raw/{number}.parquet", "reason": "parquet_broken"} for number in range(7)]
    sources["s3"]["incomplete"] = parts
    changes = {"status": "PARTIAL", "exit_code": 3, "sources": sources, "repair_command": "python orchestrate.py"}
    summary = recorded("golden", **changes)
    said = lines("golden", **changes)
    assert "Data collected from 3/3 sources (S3 incomplete)" in said
    five = ", ".join(f"raw/{number}.parquet (parquet_broken)" for number in range(5)) + " and 2 more"
    assert f"Missing: the records of S3 in {five}" in said
    assert "Once it is there, repair the day with the command below" in said
    alert = alert_for(summary, None)
    assert alert is not None
    assert f"S3: {five} could not be read" in alert.body
    assert f"S3 is incomplete: {five} could not be read" in render_report(ReportData(summary))
    assert issues_of(summary)[1] == f"S3 incomplete: {five} could not be read"
    # the same again is no news, another file is
    known = incident_of(summary)
    assert alert_for(summary, known) is None
    sources["s3"]["incomplete"] = parts[1:]
    assert alert_for(recorded("golden", **changes), known) is not None
