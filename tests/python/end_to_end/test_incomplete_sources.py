"""A file that can't be read makes its day partial, by name, whatever the failure rate, until it is delivered again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from end_to_end.helpers import ENGINE, SCALE, Run, events_csv, load_day, orchestrate, rows
from sandbox_clients import s3_client
from supervisor_asks import ask

from sandbox.process import running_sandbox

# a Sunday as the golden day, but of a sandbox of its own: the bucket is changed
DAY = "2025-11-16"
FOLDER = "raw/2025/11/16"
BROKEN = f"{FOLDER}/zz_cut_short.parquet"
UNREAD = rf"{BROKEN} \(Parquet magic bytes not found in footer\)"


@dataclass(frozen=True)
class Story:
    """A day with an unreadable file, the same day again, a repair of another source, and once the file can be read."""

    folder: Path
    cut: Run
    again: Run
    before: bytes
    unchanged: bytes
    other: Run
    whole: Run


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("incomplete")
    with running_sandbox(DAY, SCALE) as servers:
        env = servers | ENGINE
        client = s3_client(servers, read_timeout_s=30)
        found = client.list_objects_v2(Bucket="data-lake", Prefix=FOLDER)["Contents"][0]["Key"]
        whole = client.get_object(Bucket="data-lake", Key=found)["Body"].read()
        client.put_object(Bucket="data-lake", Key=BROKEN, Body=whole[: len(whole) // 2])
        cut = load_day(folder, servers=env)
        before = events_csv(folder)
        again = load_day(folder, servers=env)
        unchanged = events_csv(folder)
        other = load_day(folder, "--source-filter", "api", servers=env)
        client.put_object(Bucket="data-lake", Key=BROKEN, Body=whole)
        yield Story(folder, cut, again, before, unchanged, other, load_day(folder, servers=env))


def test_the_day_is_partial_with_the_files_name_and_publishes_what_could_be_read(story: Story) -> None:
    summary = story.cut.summary
    assert (story.cut.exit_code, summary["status"]) == (3, "PARTIAL")
    # one record of thousands: far below the limit of the failure rate
    assert summary["failure_rate"] < 0.02
    assert [part["object"] for part in summary["sources"]["s3"]["incomplete"]] == [BROKEN]
    assert summary["sources"]["api"]["incomplete"] == []
    assert summary["sources"]["s3"]["published"] > 2_000
    assert summary["repair_command"] == f"python orchestrate.py --date {DAY} --source-filter s3"


def test_the_transcript_the_closing_words_the_report_and_the_ledger_name_the_file(story: Story) -> None:
    assert re.search(rf"s3  Could not be read: {UNREAD}", story.cut.errors)
    assert re.search(rf"Incomplete sources: s3 \({UNREAD}\)", story.cut.errors)
    assert "(S3 incomplete)" in story.cut.errors
    assert f"Missing: the records of S3 in {BROKEN}" in story.cut.errors
    report = (story.folder / story.cut.summary["report"]).read_text(encoding="utf-8")
    assert f"S3 is incomplete: {BROKEN}" in report
    told = rows(story.folder, "select observed from metadata.decisions where observed like '%could not be read%'")
    assert any(BROKEN in observed for (observed,) in told)


def test_a_plain_rerun_reads_the_source_again_and_says_that_nothing_has_changed(story: Story) -> None:
    summary = story.again.summary
    assert (story.again.exit_code, summary["status"]) == (3, "PARTIAL")
    assert {name: one["run_id"] for name, one in summary["sources"].items()} == {
        "s3": summary["run_id"], "postgres": story.cut.summary["run_id"], "api": story.cut.summary["run_id"],
    }  # fmt: skip
    assert story.unchanged == story.before
    (said,) = [one["outcome"] for one in summary["decisions"] if "could not be read" in one["observed"]]
    assert said == f"as in run {story.cut.summary['run_id']}"


def test_a_repair_of_another_source_leaves_it_open(story: Story) -> None:
    summary = story.other.summary
    assert (story.other.exit_code, summary["status"]) == (3, "PARTIAL")
    assert [part["object"] for part in summary["sources"]["s3"]["incomplete"]] == [BROKEN]


def test_a_rerun_once_the_file_can_be_read_completes_the_day(story: Story) -> None:
    summary = story.whole.summary
    assert (story.whole.exit_code, summary["status"]) == (0, "SUCCESS")
    assert summary["sources"]["s3"]["run_id"] == summary["run_id"]
    assert all(not one["incomplete"] for one in summary["sources"].values())
    assert ask(story.folder, "status", "--json").data["days"][0]["state"] == "complete"
    assert orchestrate(story.folder, "--date", DAY, env=ENGINE).exit_code == 0
