"""What a project declares, read before dbt: names for the goal, and mistakes with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop_project import PROJECT, make_shop

from supervisor.common.errors import UsageError
from supervisor.dbt.declarations import check_tables, read_declarations


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return make_shop(tmp_path)


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_the_products_own_entity_is_declared_and_all_its_tables_are_read() -> None:
    declared = read_declarations(PROJECT)
    assert declared.entities == {"events": ("completeness", "accuracy", "consistency")}
    check_tables(declared, [("s3", "events"), ("postgres", "transactions"), ("postgres", "users"), ("api", "events")])


def test_each_entity_has_the_dimensions_that_its_checks_count_against(shop: Path) -> None:
    assert read_declarations(shop).entities == {
        "orders": ("completeness", "accuracy", "consistency", "timeliness"),
        "order_lines": ("completeness", "accuracy"),
    }


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("event_time:", "event_tme:", "orders: 'event_tme' is no key of a declaration; the nearest is 'event_time'"),
        ("{missing: flag, timezone", "{mising: flag, timezone", "'mising' is no key of a declaration; the nearest is 'missing'"),
        ("low: min_total", "lo: min_total", "orders.total between: 'lo' is no key"),
        ("rule_id: sign_flipped", "rule: sign_flipped", "orders.total corrections: 'rule' is no key"),
        ("deviations: 4", "deviation: 4", "orders.total outlier: 'deviation' is no key"),
        ("key: [order_id]", "key: [order]", None),
        ("key: [order_id]", "key: [oder_id]", "orders: the key names 'oder_id', which is no column; the nearest is 'order_id'"),
        ("name: due,", "name: due__date,", "orders.due__date: two underscores are for columns that the pipeline adds"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_what_was_probably_meant(shop: Path, before: str, after: str, said: str | None) -> None:
    edit(shop / "models/marts/_shop__models.yml", before, after)
    if said is None:
        read_declarations(shop)
        return
    with pytest.raises(UsageError) as caught:
        read_declarations(shop)
    assert said in str(caught.value)
    assert "docs/entities.md" in str(caught.value)


def test_the_list_of_entities_and_the_marts_must_agree(shop: Path) -> None:
    edit(shop / "dbt_project.yml", "entities: [orders, order_lines]", "entities: [orders, order_line]")
    with pytest.raises(UsageError) as caught:
        read_declarations(shop)
    assert (
        "names 'order_line', but no model of this name declares a key under config.meta; the nearest is 'order_lines'"
        in str(caught.value)
    )
    assert "the mart 'order_lines' declares a key, but vars.entities does not list it" in str(caught.value)


def test_a_table_that_no_model_reads_is_an_error_until_it_is_declared_so(shop: Path) -> None:
    tables = [("shop", "orders"), ("shop", "log"), ("crm", "customers")]
    with pytest.raises(UsageError) as caught:
        check_tables(read_declarations(shop), tables)
    assert "source 'shop': no model reads raw_shop.log, so its records would vanish" in str(caught.value)
    assert "python orchestrate.py map shop --table log" in str(caught.value)
    edit(
        shop / "models/staging/_staging__sources.yml",
        "{name: order_lines}",
        "{name: order_lines}, {name: log, config: {meta: {unmapped: true}}}",
    )
    check_tables(read_declarations(shop), tables)


def test_a_table_that_is_only_mentioned_in_a_comment_is_not_read(shop: Path) -> None:
    (shop / "models/staging/web/stg_web__orders.sql").write_text(
        "-- {{ feed_documents('raw_web', 'orders', {}) }}\nselect 1 as one\n"
    )
    with pytest.raises(UsageError, match=r"raw_web\.orders"):
        check_tables(read_declarations(shop), [("web", "orders")])
