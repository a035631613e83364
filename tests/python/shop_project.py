"""A project of another kind than the product's own: two entities side by side, with most of what can be declared.

The files that a user would write lie in `shop/`; the rest is the product's. Its raw tables are filled by statements that both
engines take, so that what comes of them can be compared.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from supervisor.commands.init import init_project

PROJECT = Path(__file__).resolve().parents[2]
DAY = "2025-11-16"
_OWN = Path(__file__).parent / "shop"


def make_shop(folder: Path, *, beside_events: bool = False) -> Path:
    """Make a project in a folder with the shop's entities, alone or beside the product's own."""
    init_project(PROJECT, folder, demo=beside_events)
    if beside_events:
        # the shop's sources are beside the product's in one file
        (folder / "models/staging/_staging__sources.yml").rename(folder / "models/staging/_staging__events_sources.yml")
    shutil.copytree(_OWN, folder, dirs_exist_ok=True)
    project = (folder / "dbt_project.yml").read_text()
    seeds = "seeds:\n  goalkeeper:\n"
    types = "    order_types:\n      +column_types: {order_type: varchar(20), min_total: 'numeric(18, 2)', max_total: 'numeric(18, 2)'}\n"
    listed = "events, " if beside_events else ""
    for before, after in (
        (f"entities: [{listed.rstrip(', ')}]", f"entities: [{listed}orders, order_lines]"),
        ("checks: []", "checks: [chk_orders_total]"),
        (
            "thresholds: []",
            "thresholds:\n    - {entity: orders, dimension: accuracy, at_least: 0.5}\n    - {dimension: timeliness, at_least: 0.9}",
        ),
        (seeds, seeds + types),
    ):
        assert before in project
        project = project.replace(before, after)
    (folder / "dbt_project.yml").write_text(project)
    return folder


_POSITION = (
    f"cast('{DAY}' as date) as load_date, 'f1' as source_object, row_number() over () as source_row, "
    "cast(null as varchar) as reject_reason, cast(null as varchar) as payload"
)
_ORDERS = (
    ("A1", "1", "10.50", "sale", "2025-11-16T10:00:00", "de", "a@b", "1", "2025-11-17", "0.5", "true", '{"a":1}'),
    # again, and with nothing changed
    ("a1 ", "1", "10.50", "sale", "2025-11-16T10:00:00", "de", "a@b", "1", "2025-11-17", "0.5", "true", '{"a":1}'),
    ("A2", "99", "-5", "sale", "2025-11-16T10:00:00Z", None, "a@b", "11", "2025-11-15", "1e999", "maybe", "{"),
    ("A3", "1", "1000", "sale", "2025-11-16 12:00:00+0100", "DEU", "nobody", "x", "2025-02-30", "-1.5e3", "f", "[]"),
    ("A4", "2", "-1000.00", "return", None, "FR", "x@y", "3", "2025-11-16", "2", "no", "null"),
    ("A5", "2", "1000", "sale", None, "FR", "x@y", "3", "2025-11-16", "2", "no", "null"),
    (None, "2", "-1", "return", None, "FR", "x@y", "3", "2025-11-16", "2", "no", "null"),
    ("A6", "99", "-5", "sale", "2025-11-16T10:00:00Z", None, None, "11", "2025-11-15", "3", None, None),
)
_LINES = (
    ("a1", "1", "3", "2025-11-16T10:00:00"),
    ("a1", "1", "4", "2025-11-16T11:00:00"),
    ("a1", "2", "0", "2025-11-16T11:00:00"),
    ("a1", None, "1", "2025-11-16T11:00:00"),
    # a time with a zone is none without
    ("a2", "1", "1", "2025-11-16T11:00:00Z"),
)
_DOCUMENTS = (
    '{"id":"W1","customer":{"id":1},"total":20.00,"kind":"sale","at":"2025-11-16T08:00:00+01"}',
    # another feed's order, with another total
    '{"id":"A1","customer":{"id":1},"total":11.00,"kind":"sale","at":"2025-11-16T08:00:00+01"}',
)


def raw_statements() -> Iterator[str]:
    """Yield the statements that fill the raw tables, as loads would have."""
    for schema in ("raw_shop", "raw_web", "raw_crm", "metadata"):
        yield f"create schema {schema}"
    columns = ("id", "customer", "total", "kind", "at", "country", "email", "pos", "due", "ratio", "gift", "extra")
    yield _table("raw_shop.orders", columns, _ORDERS)
    yield _table("raw_shop.order_lines", ("order_id", "line_no", "quantity", "updated_at"), _LINES)
    documents = " union all ".join(
        f"select cast('{DAY}' as date) as load_date, 'p1' as source_object, cast({row} as bigint) as source_row, "
        f"cast(null as varchar) as reject_reason, cast('{document}' as varchar) as payload"
        for row, document in enumerate(_DOCUMENTS, start=1)
    )
    yield f"create table raw_web.orders as {documents}"
    yield (
        f"create table raw_crm.customers as select cast('{DAY}' as date) as load_date, customer_id "
        "from (values (1), (2)) as known (customer_id)"
    )


def _table(name: str, columns: tuple[str, ...], records: tuple[tuple[str | None, ...], ...]) -> str:
    rows = ", ".join(
        "(" + ", ".join("cast(null as varchar)" if value is None else f"'{value}'" for value in row) + ")"
        for row in records
    )
    quoted = ", ".join(f'"{column}"' for column in columns)
    return f"create table {name} as select {_POSITION}, {quoted} from (values {rows}) as records ({quoted})"
