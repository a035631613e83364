"""`summary.json` is written and read back with one model, and says the same thing wherever it is read."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from typing import Any

import pytest
from face_samples import endings
from pydantic import ValidationError
from recorded_days import NAMES, recorded, recorded_text

from supervisor.common.outcome import Outcome
from supervisor.record.summary import Summary


@pytest.mark.parametrize("name", NAMES)
def test_what_a_run_wrote_is_written_again_byte_for_byte(name: str) -> None:
    text = recorded_text(name)
    assert json.dumps(recorded(name).as_dict(), indent=2, ensure_ascii=False) + "\n" == text
    assert Summary.model_validate_json(text) == recorded(name)


def test_a_phase_that_is_going_on_has_no_duration_when_it_is_written_again() -> None:
    running = recorded("golden", phases={"publish": {"status": "RUNNING"}})
    assert running.as_dict()["phases"] == {"publish": {"status": "RUNNING"}}
    assert not running.phases["publish"].is_completed


def test_keys_of_another_version_are_ignored_and_those_that_it_lacks_have_a_default() -> None:
    content = json.loads(recorded_text("golden"))
    for key in ("late", "archive", "alert", "type_conversions"):
        del content[key]
    content["sources"]["api"] |= {"checksum": "abc"}
    read = Summary.model_validate({**content, "schema_version": 2, "invented_since": {"x": 1}})
    assert (read.late, read.archive, read.alert, read.published) == (0, None, None, 333_100)
    assert "invented_since" not in read.as_dict()


@pytest.mark.parametrize(
    ("key", "value"), [("date", "2025-02-30"), ("published", "many"), ("sources", ["s3"]), ("started_at", None)]
)
def test_what_is_no_summary_is_refused_where_it_is_read(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        recorded("golden", **{key: value})


def test_a_summary_can_not_be_changed() -> None:
    with pytest.raises(ValidationError):
        recorded("golden").published = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "changes", "outcome", "visible"),
    [
        ("golden", {}, Outcome.SUCCESS, True),
        ("golden", {"exit_code": 3}, Outcome.LIMIT_MISSED, True),
        ("golden", {"status": "NOTHING_TO_DO"}, Outcome.NOTHING_TO_DO, False),
        ("golden", {"status": "FAILED", "exit_code": 143}, Outcome.FAILED, True),
        ("partial", {}, Outcome.PARTIAL, True),
        ("escalated", {}, Outcome.ESCALATED, False),
        ("escalated", {"status": "FAILED", "exit_code": 1}, Outcome.FAILED, False),
    ],
)
def test_the_table_says_how_it_ended_and_the_phases_what_readers_see(
    name: str, changes: dict[str, Any], outcome: Outcome, visible: bool
) -> None:
    summary = recorded(name, **changes)
    assert (summary.outcome, summary.made_visible) == (outcome, visible)


def test_the_goal_and_the_sums_are_told_from_the_figures() -> None:
    assert recorded("golden").goal_tally == "13 of 13 criteria met"
    assert recorded("escalated").goal_tally == "10 of 13 criteria met, 1 not met, 2 not measured"
    assert [one.limit for one in recorded("escalated").missed] == ["< 1%"]
    assert recorded("golden").unaccounted == 0
    assert recorded("golden", published=333_088).unaccounted == 12


def test_a_share_reads_the_same_as_its_criterion() -> None:
    summary = recorded("golden", failure_rate=0.0199999)
    (criterion,) = [one for one in summary.criteria if one.metric == "failure_rate"]
    assert summary.share_of("failure_rate") == "1.99999%"
    assert criterion.model_copy(update={"measured": 0.0199999}).figure == "1.99999%"
    assert recorded("golden", failure_rate=0.0199999, criteria=[]).share_of("failure_rate") == "2%"


def test_what_people_see_has_no_control_character_and_no_secret() -> None:
    summary = recorded("partial")
    hostile = summary.as_dict()
    hostile["sources"]["api"] |= {"reason": "\x1b[31m401\x00 for https://user:canary@host/\n?token=canary"}
    hostile["decisions"][0]["observed"] = "a\u202eb"
    plain = Summary.model_validate(hostile).plain()
    assert plain.sources["api"].reason == "401 for https://***@host/ ?token=***"
    assert plain.decisions[0].observed == "ab"
    assert summary.plain() == summary


@pytest.mark.parametrize("status", list(endings()))
def test_each_ending_survives_a_round_trip(status: str) -> None:
    content = endings()[status]
    assert Summary.model_validate(content).as_dict() == content
    assert Summary.model_validate(content).date == date(2025, 11, 16)


def test_a_runs_start_does_not_pay_for_the_model() -> None:
    imported = "import sys, supervisor.run.command; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", imported], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
