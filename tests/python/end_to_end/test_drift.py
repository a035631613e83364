"""A column that appears is told by everyone who tells of the day; what becomes of it is the source's contract's to say."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from end_to_end.helpers import ENGINE, SCALE, Run, copy_of, load_day, rows
from sandbox_clients import s3_client
from supervisor_asks import ask

from sandbox.process import running_sandbox

DAY = "2025-11-17"
CARRIERS = 3


@dataclass(frozen=True)
class Story:
    """The same day, a file of which has a new column, under each contract in turn."""

    folder: Path
    before: Run
    evolved: Run
    frozen: Run
    discarded: Run
    told: str
    explained: str


@pytest.fixture(scope="module")
def story(small: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = copy_of(small, tmp_path_factory.mktemp("drift") / "day")
    with running_sandbox(DAY, SCALE) as servers:
        client = s3_client(servers, read_timeout_s=30)
        key = client.list_objects_v2(Bucket="data-lake", Prefix="raw/2025/11/17/")["Contents"][0]["Key"]
        table = pq.read_table(io.BytesIO(client.get_object(Bucket="data-lake", Key=key)["Body"].read()))
        coupons = pa.array(["SPRING"] * CARRIERS + [None] * (table.num_rows - CARRIERS))
        body = io.BytesIO()
        pq.write_table(table.append_column("coupon", coupons), body)
        client.put_object(Bucket="data-lake", Key=key, Body=body.getvalue())

        def run(contract: str) -> Run:
            env = servers | ENGINE | {"SOURCES__S3__SCHEMA_CONTRACT": contract}
            return load_day(folder, "--force", day=DAY, servers=env)

        # the last, so that nothing knows the column before
        discarded, frozen, evolved = run("discard"), run("freeze"), run("evolve")
        told = ask(folder, "status", "--date", DAY).output
        yield Story(folder, small, evolved, frozen, discarded, told, ask(folder, "explain").output)


def test_days_without_a_change_tell_of_none(story: Story) -> None:
    # the day before it was loaded by an earlier run
    assert [one["drift"] for one in story.before.summary["sources"].values()] == [[], [], []]
    assert "Column changed" not in story.before.errors
    assert (
        story.evolved.summary["sources"]["api"]["drift"] == story.evolved.summary["sources"]["postgres"]["drift"] == []
    )


def test_a_new_column_is_loaded_and_told_with_its_day(story: Story) -> None:
    summary = story.evolved.summary
    assert (story.evolved.exit_code, summary["status"]) == (0, "SUCCESS")
    (change,) = summary["sources"]["s3"]["drift"]
    assert (change["table"], change["column"], change["change"], change["since"]) == ("events", "coupon", "new", DAY)
    words = f"events.coupon is new ({change['after']}), since {DAY}"
    assert f"s3  Column changed: {words}" in story.evolved.errors
    assert f"Column changed, S3: {words}" in story.evolved.errors
    assert f"column changed: {words}" in (story.folder / summary["report"]).read_text(encoding="utf-8")
    assert f"column changed: S3: {words}" in " ".join(story.told.split())
    assert f"s3: column changed: {words}" in " ".join(story.explained.split())
    found = rows(story.folder, f"select count(*) from raw_s3.events where load_date = '{DAY}' and coupon = 'SPRING'")
    assert found == [(CARRIERS,)]


def test_freeze_leaves_its_source_out_and_publishes_the_others(story: Story) -> None:
    summary = story.frozen.summary
    assert (story.frozen.exit_code, summary["status"]) == (3, "PARTIAL")
    assert {name: one["status"] for name, one in summary["sources"].items()} == {
        "s3": "failed", "postgres": "loaded", "api": "loaded",
    }  # fmt: skip
    assert "schema_contract is freeze" in summary["sources"]["s3"]["reason"]
    assert "events.coupon is new" in summary["sources"]["s3"]["reason"]


def test_discard_quarantines_the_records_that_carry_it(story: Story) -> None:
    summary = story.discarded.summary
    assert (story.discarded.exit_code, summary["status"]) == (0, "SUCCESS")
    usual, less = story.evolved.summary["sources"]["s3"], summary["sources"]["s3"]
    assert less["collected"] == usual["collected"]
    assert less["quarantined"] - usual["quarantined"] in range(1, CARRIERS + 1)
    assert [(change["column"], change["since"]) for change in less["drift"]] == [("coupon", DAY)]
    (decided,) = [one for one in summary["decisions"] if "coupon" in one["observed"]]
    assert decided["decision"] == "reject the records that have a value in an unknown column"
