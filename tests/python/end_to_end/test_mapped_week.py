"""A week of two entities and their reference, from files, a database and two APIs: mapped, run and repaired with nothing edited.

Every figure is counted again from what was delivered, in plain Python and SQL.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from end_to_end.helpers import Run, orchestrate, rows
from end_to_end.shop_week import DAYS, DOWN, DRIFT, LATE, REPEATED, UNREADABLE, Count, Week, count
from loader_helpers import ScriptedApi

from sandbox.postgres_server import PostgresServer
from sandbox.workspace import open_workspace

# seven days and three repairs; a day and its repair are kept in small by test_mapped_files.py
pytestmark = pytest.mark.soak
MONEY = {"orders": "total", "order_lines": "price"}
Counts = dict[str, dict[str, Count]]


@dataclass(frozen=True)
class Found:
    """What was delivered until now, counted by hand, and what the pipeline made of it."""

    delivered: Counts
    measured: Counts


@dataclass(frozen=True)
class Story:
    """The week as it was run at first, each repair in its turn, and what was there after the first run and in the end."""

    week: Week
    first: Run
    before: Found
    file_again: Run
    source_again: Run
    rest: Run
    after: Found


def found(week: Week) -> Found:
    delivered = {
        "orders": count([(day, list(week.orders(day))) for day in DAYS]),
        "order_lines": count([(day, list(week.order_lines(day))) for day in DAYS]),
    }
    summaries = [json.loads(path.read_text()) for path in sorted((week.folder / "runs").glob("*/summary.json"))]
    told = {summary["date"]: summary["entities"] for summary in summaries}
    measured: Counts = {}
    for entity, money in MONEY.items():
        published = f"select cast(load_date as varchar), count(*), sum({money}) from analytics.{entity} group by 1"
        measured[entity] = {}
        for day, number, total in sorted(rows(week.folder, published)):
            of_day = told[day][entity]
            # what the summary says is published, and what is there
            assert (day, entity, of_day["published"]) == (day, entity, number)
            counts = {name: of_day[name] for name in ("collected", "quarantined", "duplicates", "published", "late")}
            measured[entity][day] = Count(**counts, money=total)
    return Found(delivered, measured)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("week")
    with open_workspace() as workspace, ScriptedApi() as shop, ScriptedApi() as crm:
        server = PostgresServer(workspace)
        try:
            server.start()
            week = Week(folder, server, shop, crm)
            week.deliver()
            yield tell(week)
        finally:
            server.stop()


def tell(week: Week) -> Story:
    def run(*arguments: str) -> Run:
        return orchestrate(week.folder, *arguments, env=week.secrets)

    assert run("init", ".").exit_code == 0
    with (week.folder / ".dlt" / "config.toml").open("a", encoding="utf-8") as config:
        config.write(week.settings)
    for source in ("crm", "files", "erp", "shop"):
        mapped = run("map", source, "--date", DAYS[0])
        assert mapped.exit_code == 0, mapped.errors
    first = run("--from", DAYS[0], "--to", DAYS[-1], "--keep-going", "--json", "--archive", "")
    before = found(week)

    def repair(day: str) -> Run:
        command = shlex.split(first.summary["days"][DAYS.index(day)]["repair_command"])
        assert command[:2] == ["python", "orchestrate.py"]
        return run(*command[2:], "--json")

    week.deliver_whole_file()
    file_again = repair(UNREADABLE)
    week.down.clear()
    source_again = repair(DOWN)
    rest = run(*shlex.split(first.summary["next_command"])[2:], "--json")
    return Story(week, first, before, file_again, source_again, rest, found(week))


def test_every_figure_of_the_week_is_that_of_an_independent_count(story: Story) -> None:
    assert story.before.measured == story.before.delivered
    assert story.after.measured == story.after.delivered


def test_the_count_has_seen_all_that_is_odd(story: Story) -> None:
    """Otherwise the figures would be equal because nothing happened."""
    before, after = story.before.delivered, story.after.delivered
    assert before["order_lines"][UNREADABLE].quarantined == after["orders"][REPEATED].quarantined == 1
    assert after["orders"][LATE].late == 2
    # by the day, by the database, by an earlier day; and by the day whose source was down
    assert (before["orders"][REPEATED].duplicates, after["orders"][REPEATED].duplicates) == (3, 4)
    assert {day for day in DAYS for entity in MONEY if before[entity][day] != after[entity][day]} == {
        UNREADABLE, DOWN, REPEATED,
    }  # fmt: skip


def test_the_days_with_an_unreadable_file_and_a_source_down_are_open_with_their_commands(story: Story) -> None:
    summary = story.first.summary
    assert story.first.exit_code == 3, story.first.errors
    assert {day["date"]: day["status"] for day in summary["days"] if day["exit_code"]} == {
        UNREADABLE: "PARTIAL", DOWN: "PARTIAL",
    }  # fmt: skip
    assert f"Could not be read: lines/{UNREADABLE}/country=FR/part.parquet" in story.first.errors
    for command in (*(day["repair_command"] for day in summary["days"]), summary["next_command"]):
        assert command is None or command in story.first.errors


def test_each_printed_command_repairs_its_day_and_leaves_nothing_open(story: Story) -> None:
    for run in (story.file_again, story.source_again):
        assert (run.exit_code, run.summary["status"]) == (0, "SUCCESS"), run.errors
    # a record that the day after had published belongs to the repaired day
    assert f"{REPEATED} had published records that belong to an earlier day now" in story.source_again.errors
    assert story.rest.exit_code == 0, story.rest.errors
    assert [day["status"] for day in story.rest.summary["days"]] == ["NOTHING_TO_DO", "NOTHING_TO_DO"]


def test_the_column_that_comes_and_goes_is_told_on_its_days(story: Story) -> None:
    told = re.findall(r"files  Column changed: orders\.channel is (\w+).*, since (\S+)", story.first.errors)
    assert set(told) == {("new", DRIFT), ("gone", DAYS[DAYS.index(DRIFT) + 1])}


def test_customers_are_a_snapshot_of_each_day_and_no_record_of_it(story: Story) -> None:
    taken = "select cast(load_date as varchar), count(*) from raw_crm.customers group by 1 order by 1"
    assert rows(story.week.folder, taken) == [(day, len(story.week.customers(day))) for day in DAYS]
    assert not any("customers" in counts for counts in (story.before.measured, story.after.measured))
    names = "select count(distinct customer_id), count(distinct name) from staging.stg_crm__customers"
    # the view is of the day that was built last, which is the one that the last repair built again
    assert rows(story.week.folder, names) == [(len(story.week.customers(REPEATED)),) * 2]
