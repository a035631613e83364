"""What a source brings is held against its own past: a collapse is not published, too little past is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from end_to_end.helpers import ENGINE, SCALE, Run, copy_of, load_day, rows
from sandbox_clients import s3_client

from sandbox.process import running_sandbox

GOAL = """
## Success Criteria

- Volume within 50 % of the last 2 days
- volume of api within 50 % of the last 4 same weekdays
- s3: at least 1,000 records
"""


@pytest.fixture(scope="module")
def folder(small: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good days, and a goal that holds volumes."""
    folder = copy_of(small, tmp_path_factory.mktemp("volumes") / "day")
    (folder / "goal.md").write_text(GOAL, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def usual(folder: Path) -> Run:
    return load_day(folder, "--goal", "goal.md", day="2025-11-17", scale=SCALE)


@pytest.fixture(scope="module")
def collapsed(folder: Path, usual: Run) -> Run:
    """A day of which a fifth of the files is there."""
    with running_sandbox("2025-11-18", SCALE) as servers:
        client = s3_client(servers, read_timeout_s=30)
        found = client.list_objects_v2(Bucket="data-lake", Prefix="raw/2025/11/18/")["Contents"]
        for entry in found[: len(found) * 4 // 5]:
            client.delete_object(Bucket="data-lake", Key=entry["Key"])
        return load_day(folder, "--goal", "goal.md", day="2025-11-18", servers=servers | ENGINE)


def test_a_usual_day_meets_it_and_too_little_past_is_not_measured(usual: Run) -> None:
    summary = usual.summary
    assert (usual.exit_code, summary["status"]) == (0, "SUCCESS")
    found = {(one["metric"], one["subject"]): one for one in summary["criteria"]}
    assert found["volume", "s3"]["met"] is True
    assert found["volume", "postgres"]["met"] is True
    assert found["records_collected", "s3"]["measured"] == summary["sources"]["s3"]["collected"]
    unknown = found["volume", "api"]
    assert (unknown["met"], unknown["measured"]) == (None, None)
    assert "too little history: 0 good days of the last 4 same weekdays" in unknown["note"]
    assert "1 not measured" in usual.errors
    assert "Volume of api within 50 % of the last 4 same weekdays: not measured" in usual.errors


def test_a_collapse_is_not_published_and_names_the_source_with_its_past(folder: Path, collapsed: Run) -> None:
    summary = collapsed.summary
    assert (collapsed.exit_code, summary["status"]) == (4, "ESCALATED")
    assert rows(folder, "select count(*) from analytics.events where load_date = '2025-11-18'") == [(0,)]
    missed = {(one["metric"], one["subject"]): one for one in summary["criteria"] if one["met"] is False}
    assert set(missed) == {("volume", "s3"), ("records_collected", "s3")}
    past = "select avg(count_collected) from metadata.load_outcomes where source = 's3' and load_date in ('2025-11-16', '2025-11-17')"
    usual, now = rows(folder, past)[0][0], summary["sources"]["s3"]["collected"]
    assert missed["volume", "s3"]["measured"] == pytest.approx((usual - now) / usual)
    assert missed["records_collected", "s3"]["measured"] == now
    for words in ("change in volume of s3 is", "records collected of s3 is"):
        assert words in summary["escalation"]["reason"]
    assert "the median of the last 2 days is" in collapsed.errors
    assert "--goal FILE" in summary["escalation"]["recommendation"]


def test_a_goal_on_an_unknown_source_is_a_mistake_with_the_list(folder: Path) -> None:
    (folder / "typo.md").write_text("## Success Criteria\n\n- s4: at least 1,000 records\n", encoding="utf-8")
    run = load_day(folder, "--goal", "typo.md", day="2025-11-20", scale=SCALE)
    assert run.exit_code == 2
    assert "typo.md:3" in run.errors
    assert "'s4' is no configured source (s3, postgres, api) and no declared entity (events)" in run.errors
