"""Two entities and a reference from files of several kinds, mapped and run with nothing edited; every figure is counted again here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from end_to_end.helpers import Run, orchestrate, rows

DAYS = ("2025-11-10", "2025-11-11")
CONFIG = """
[sources.files]
kind = "s3"
bucket_url = "file://{folder}/in"
[sources.files.tables.orders]
path = "orders/{{date:%Y-%m-%d}}/"
csv_delimiter = ";"
[sources.files.tables.order_lines]
path = "lines/{{date:%Y-%m-%d}}/"
[sources.files.tables.customers]
path = "customers.csv"
csv_delimiter = ";"
reference = true
"""


@dataclass
class Delivered:
    """What was written into the folder, kept apart from what the pipeline makes of it."""

    orders: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    lines: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def order(number: int, day: str) -> dict[str, Any]:
    return {
        "OrderID": number,
        "Customer": number % 20 + 1,
        "OrderedAt": f"{day}T{number % 24:02}:00:00Z",
        "Total": number % 90 + 0.5,
    }


def as_csv(records: Sequence[dict[str, Any]]) -> str:
    return "\n".join([";".join(records[0]), *(";".join(map(str, record.values())) for record in records)]) + "\n"


def deliver(folder: Path) -> Delivered:
    """Write two days: orders as CSV and as JSON lines, their lines as Parquet in folders by country, and the customers.

    On the second day orders have a column more, one of them is late, and one is there twice.
    """
    kept = Delivered()
    inbox = folder / "in"
    for number, day in enumerate(DAYS):
        ids = range(number * 1000, number * 1000 + 120)
        records = [order(one, day) for one in ids]
        kept.orders[day] = [(record["OrderID"], record["Total"]) for record in records]
        if number:
            records[0]["OrderedAt"] = f"{DAYS[0]}T10:00:00Z"
            records = [{**record, "Channel": "web"} for record in records]
            records.append(records[1])
        orders = inbox / "orders" / day
        orders.mkdir(parents=True)
        (orders / "a.csv").write_text(as_csv(records[:60]), encoding="utf-8")
        (orders / "b.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records[60:]), encoding="utf-8")
        kept.lines[day] = [(one, line) for one in ids for line in (1, 2)]
        for country, remainder in (("DE", 0), ("FR", 1)):
            mine = [pair for pair in kept.lines[day] if pair[0] % 2 == remainder]
            path = inbox / "lines" / day / f"country={country}" / "part.parquet"
            path.parent.mkdir(parents=True)
            table = {
                "order_id": [one for one, _ in mine],
                "line_no": [line for _, line in mine],
                "price": [1.25] * len(mine),
            }
            pq.write_table(pa.table(table), path)
    customers = [{"CustomerID": one, "Name": f"Name {one}", "Since": f"2020-01-{one:02}"} for one in range(1, 21)]
    (inbox / "customers.csv").write_text(as_csv(customers), encoding="utf-8")
    return kept


@dataclass(frozen=True)
class Story:
    """A project and the runs in it, in their order."""

    folder: Path
    delivered: Delivered
    first: Run
    partial: Run
    repaired: Run


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("shop")
    delivered = deliver(folder)
    assert orchestrate(folder, "init", ".").exit_code == 0
    with (folder / ".dlt" / "config.toml").open("a", encoding="utf-8") as config:
        config.write(CONFIG.format(folder=folder))
    mapped = orchestrate(folder, "map", "files", "--date", DAYS[0])
    assert mapped.exit_code == 0, mapped.errors

    def run(day: str) -> Run:
        return orchestrate(folder, "--date", day, "--json", "--archive", "")

    first = run(DAYS[0])
    assert first.exit_code == 0, first.errors
    broken = folder / "in" / "lines" / DAYS[1] / "country=FR" / "part.parquet"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    partial = run(DAYS[1])
    broken.write_bytes(whole)
    return Story(folder, delivered, first, partial, run(DAYS[1]))


def published(story: Story, day: str) -> dict[str, list[Any]]:
    where = f"where load_date = date '{day}' order by 1, 2"
    return {
        "orders": rows(story.folder, f"select order_id, cast(total as double) from analytics.orders {where}"),
        "order_lines": rows(story.folder, f"select order_id, line_no from analytics.order_lines {where}"),
    }


def test_each_entity_holds_what_was_delivered(story: Story) -> None:
    assert published(story, DAYS[0]) == {
        "orders": story.delivered.orders[DAYS[0]],
        "order_lines": story.delivered.lines[DAYS[0]],
    }
    entities = story.first.summary["entities"]
    assert {name: (one["collected"], one["published"]) for name, one in entities.items()} == {
        "orders": (120, 120),
        "order_lines": (240, 240),
    }


def test_a_file_that_cannot_be_read_leaves_the_day_partial_and_is_named(story: Story) -> None:
    assert story.partial.exit_code == 3, story.partial.errors
    assert "country=FR/part.parquet" in story.partial.errors + json.dumps(story.partial.summary)


def test_the_same_command_repairs_the_day_when_the_file_is_whole(story: Story) -> None:
    assert story.repaired.exit_code == 0, story.repaired.errors
    assert published(story, DAYS[1]) == {
        "orders": story.delivered.orders[DAYS[1]],
        "order_lines": story.delivered.lines[DAYS[1]],
    }


def test_a_late_record_a_repeated_one_and_a_new_column_are_counted(story: Story) -> None:
    orders = story.repaired.summary["entities"]["orders"]
    assert (orders["collected"], orders["published"], orders["duplicates"], orders["quarantined"]) == (121, 120, 1, 0)
    assert rows(story.folder, f"select count(*) from analytics.orders where is_late and load_date = '{DAYS[1]}'") == [
        (1,)
    ]


def test_a_column_of_the_folders_is_a_field_and_the_reference_is_there(story: Story) -> None:
    assert rows(story.folder, "select country, count(*) from analytics.order_lines group by country order by 1") == [
        ("DE", 240),
        ("FR", 240),
    ]
    assert rows(story.folder, "select count(*), count(distinct customer_id) from staging.stg_files__customers") == [
        (20, 20)
    ]
