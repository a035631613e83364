"""Two entities of a shop, declared and nothing else: what comes of them, the same on both engines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest
from postgres.helpers import connect, dbt, query
from shop_project import DAY, make_shop, raw_statements

VARS = json.dumps({"load_date": DAY, "run_id": "r1"})
NO_TESTS = ("--exclude-resource-type", "test")


class Built(Protocol):
    """Asks a warehouse in which the shop's day was built."""

    def __call__(self, sql: str) -> list[tuple[Any, ...]]: ...


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def built(request: pytest.FixtureRequest, folder: Path, servers: Mapping[str, str]) -> Iterator[Built]:
    if request.param == "postgres":
        with closing(connect(servers)) as connection:
            for statement in raw_statements():
                query(connection, statement)
            dbt(folder, servers, "postgres", "build", "--vars", VARS, *NO_TESTS)
            yield lambda sql: query(connection, sql)
        return
    path = folder / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        for statement in raw_statements():
            connection.execute(statement)
    dbt(folder, {"DUCKDB_PATH": str(path)}, "duckdb", "build", "--vars", VARS, *NO_TESTS)
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield lambda sql: connection.execute(sql).fetchall()


def test_each_entity_is_published_in_the_types_of_its_contract(built: Built) -> None:
    assert built(
        'select order_id, cast(total as varchar), "order", cast(ordered_at as varchar) from analytics.orders order by order_id'
    ) == [
        # the time without a zone is of the declared one
        ("a1", "10.50", 1, "2025-11-16 09:00:00+00"),
        ("a4", "-1000.00", 3, None),
        ("a5", "1000.00", 3, None),
        ("a6", "5.00", 11, "2025-11-16 10:00:00+00"),
        ("w1", "20.00", None, "2025-11-16 07:00:00+00"),
    ]
    assert built(
        "select order_id, line_no, quantity, cast(updated_at as varchar) from analytics.order_lines order by 1, 2"
    ) == [
        ("a1", 1, 4, "2025-11-16 11:00:00"),
        ("a1", 2, 0, "2025-11-16 11:00:00"),
    ]


def test_a_mart_says_of_each_record_in_which_dimension_nothing_is_open(built: Built) -> None:
    assert built(
        "select order_id, is_complete, is_accurate, is_timely, is_known, is_late, correction_count from analytics.orders order by 1"
    ) == [
        ("a1", True, True, True, True, False, 0),
        ("a4", False, True, True, True, False, 0),
        # the check of the project's own says that its total is too round
        ("a5", False, False, True, True, False, 0),
        ("a6", True, False, False, False, False, 2),
        ("w1", True, True, True, True, False, 1),
    ]


def test_a_record_is_rejected_with_every_reason_and_kept_whole(built: Built) -> None:
    assert built("select entity, record_key, reasons from quarantine.quarantined_records order by 1, 3") == [
        ("order_lines", "a1", "line_no_missing"),
        ("order_lines", "a2 / 1", "updated_at_unparsable"),
        ("orders", "a3", "country_unparsable,order_unparsable,due_unparsable,email_malformed"),
        ("orders", None, "order_id_missing"),
        ("orders", "a2", "ratio_unparsable,gift_unparsable,extra_unparsable"),
    ]
    (payload,) = built("select payload from quarantine.quarantined_records where record_key = 'a3'")[0]
    assert json.loads(payload)["email"] == "nobody"


def test_a_duplicate_that_says_something_else_is_counted_as_a_version(built: Built) -> None:
    assert built(
        "select entity, source, record_key, kind, has_other_values from intermediate.int_duplicates order by entity, source"
    ) == [
        ("order_lines", "shop", "a1 / 1", "same_day", True),
        ("orders", "shop", "a1", "same_day", False),
        ("orders", "web", "a1", "same_day", True),
    ]


def test_only_a_rule_of_the_declaration_changes_a_value(built: Built) -> None:
    assert built(
        "select record_key, field, value_before, value_after, rule_id from quality.corrections order by 1, 2"
    ) == [
        ("a6", "country", None, "ZZ", "default_country"),
        ("a6", "total", "-5.00", "5.00", "sign_flipped"),
        ("w1", "country", None, "ZZ", "default_country"),
    ]


def test_every_dimension_of_every_entity_has_its_score(built: Built) -> None:
    assert built(
        "select entity, dimension, cast(sum(attempted) as integer), cast(sum(failed) as integer), min(threshold) "
        "from intermediate.int_quality_scores group by entity, dimension order by entity, dimension"
    ) == [
        ("order_lines", "accuracy", 3, 1, Decimal("0.98")),
        ("order_lines", "completeness", 3, 0, Decimal("0.95")),
        ("order_lines", "transformation", 5, 2, Decimal("0.98")),
        # the entity has a threshold of its own
        ("orders", "accuracy", 7, 2, Decimal("0.5")),
        ("orders", "completeness", 7, 2, Decimal("0.95")),
        ("orders", "consistency", 7, 1, Decimal("1")),
        ("orders", "timeliness", 7, 1, Decimal("0.9")),
        ("orders", "transformation", 10, 3, Decimal("0.98")),
    ]


def test_nothing_vanishes_of_any_entity(built: Built) -> None:
    for entity, collected, quarantined, duplicates, versions, published in built(
        "select entity, sum(count_collected), sum(count_quarantined), sum(count_duplicates), sum(count_versions), "
        "sum(count_published) from intermediate.int_day_figures group by entity"
    ):
        assert collected == quarantined + duplicates + published
        assert versions == 1
        assert built(f"select count(*) from analytics.{entity}") == [(published,)]
