"""An event belongs to the first day that delivers it, in whichever order the days are run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from end_to_end.helpers import SCALE, Run, events_csv, orchestrate, rows
from sandbox_clients import s3_client

from sandbox.process import running_sandbox

DAY, NEXT_DAY = "2025-11-16", "2025-11-17"
SINCE = f"load_date >= date '{DAY}'"


@dataclass(frozen=True)
class Days:
    """The later day was run first, then the earlier one.

    Attributes:
        in_order: What is published where the earlier day came first: all of it is the earlier day's.
    """

    later_alone: Run
    earlier: Run
    in_order: bytes


def deliver_again(env: dict[str, str]) -> None:
    """Put the day's files into the next day's folder too."""
    client = s3_client(env, read_timeout_s=30)
    bucket = env["SOURCES__S3__BUCKET_URL"].removeprefix("s3://")
    for item in client.list_objects_v2(Bucket=bucket)["Contents"]:
        key = item["Key"].replace(f"{DAY[:4]}/{DAY[5:7]}/{DAY[8:]}", f"{NEXT_DAY[:4]}/{NEXT_DAY[5:7]}/{NEXT_DAY[8:]}")
        assert key != item["Key"]
        client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": item["Key"]})


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory, small: Run) -> Iterator[Days]:
    backwards = tmp_path_factory.mktemp("backwards")
    with running_sandbox(DAY, SCALE) as servers:
        deliver_again(servers)
        later_alone, earlier = (orchestrate(backwards, "--date", day, "--json", env=servers) for day in (NEXT_DAY, DAY))
        yield Days(later_alone, earlier, events_csv(small.folder, SINCE))


def test_the_later_day_publishes_what_no_earlier_one_has(days: Days) -> None:
    assert days.later_alone.summary["sources"]["s3"]["published"] > 2_000


def test_the_earlier_day_takes_its_events_and_the_later_one_is_built_again(days: Days) -> None:
    assert days.earlier.exit_code == 0, days.earlier.errors
    assert days.earlier.summary["date"] == DAY
    assert f"{NEXT_DAY} had published records that belong to an earlier day now" in days.earlier.errors
    folder = days.earlier.folder
    assert rows(folder, "select event_id from analytics.events group by 1 having count(*) > 1") == []
    assert rows(folder, f"select count(*) from analytics.events where load_date = date '{NEXT_DAY}'") == [(0,)]


def test_the_order_of_the_runs_changes_nothing(days: Days) -> None:
    assert events_csv(days.earlier.folder, SINCE) == days.in_order


def test_a_run_that_was_killed_before_it_could_do_so_does_it_when_it_is_repeated(days: Days) -> None:
    """As if killed: the later day holds the events still, and the earlier one is complete."""
    import duckdb

    folder = days.earlier.folder
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(
            "insert into analytics.events by name select * replace (date '2025-11-17' as load_date) "
            "from analytics.events where load_date = date '2025-11-16' and source = 's3'"
        )
    again = orchestrate(folder, "--date", DAY, "--json")
    assert again.summary["status"] == "NOTHING_TO_DO"
    assert again.exit_code == 0, again.errors
    assert events_csv(folder, SINCE) == days.in_order
