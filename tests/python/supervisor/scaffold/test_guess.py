"""What a sample seems to be: types from text, keys, event time, and how sure that is."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest
from end_to_end.helpers import PROJECT

from supervisor.scaffold.guess import FORMS, Guess, make_guess, match_fields
from supervisor.scaffold.sample import Sample

DAY = date(2025, 11, 16)
TYPES = {
    "whole": ("i", "bigint"),
    "money": ("i || '.50'", "numeric(18, 2)"),
    "fine": ("i || '.12345'", "numeric(18, 5)"),
    "huge": ("'99999999999999999' || i || '.5'", "numeric(38, 2)"),
    "mass": ("i || 'e-3'", "double precision"),
    "born": ("date '1970-01-01' + cast(i as integer)", "date"),
    "zoned": ("'2025-11-16T10:00:00.' || i || '+0100'", "timestamptz"),
    "naive": ("'2025-11-16 10:00:00.' || i", "timestamp"),
    "slashes": ("'16/11/2025 10:' || i % 50 + 10", "varchar"),
    "zip": ("lpad(cast(i as varchar), 5, '0')", "varchar"),
    "switch": ("case when i % 2 = 0 then 'Yes' else 'no' end", "boolean"),
    "letter": ("case when i % 3 = 0 then 'f' when i % 3 = 1 then 'm' else 'x' end", "varchar"),
    "bit": ("i % 2", "bigint"),
    "tags": ("""'["' || i || '"]'""", "json"),
    "word": ("'w' || i", "varchar"),
    "dirty": ("case when i % 50 = 0 then 'n/a' else cast(i as varchar) end", "bigint"),
    "mixed": ("case when i % 3 = 0 then 'n/a' else cast(i as varchar) end", "varchar"),
    "spaced": ("'  ' || i || ' '", "bigint"),
    "blank": ("'   '", "varchar"),
    "never": ("null", "varchar"),
    "bad_days": ("'2025-02-' || 30 + i % 2", "varchar"),
    "source": ("'s' || i", "varchar"),
}
COUNT = 400


def sample_of(connection: Any, sql: str) -> Sample:
    connection.execute(
        "create or replace table given as "
        f"select *, cast(null as varchar) as reject_reason from ({sql})"
    )  # fmt: skip
    names = [row[0] for row in connection.execute("describe given").fetchall()]
    own = tuple(name for name in names if name not in ("payload", "reject_reason"))
    if "payload" not in names:
        connection.execute("alter table given add column payload varchar")
    (count,) = connection.execute("select count(*) from given").fetchall()[0]
    return Sample("given", "given", own, has_payload=True, is_reference=False, count=count, rejected=0, is_whole=True)


def guess_of(sql: str) -> Guess:
    with duckdb.connect() as connection:
        return make_guess(connection, sample_of(connection, sql), DAY)


@pytest.fixture(scope="module")
def typed() -> Guess:
    columns = ", ".join(f'cast({sql} as varchar) as "{name}"' for name, (sql, _) in TYPES.items())
    return guess_of(f"select {columns} from range({COUNT}) as r (i)")


@pytest.mark.parametrize("name", TYPES)
def test_a_type_is_the_narrowest_that_nearly_all_values_read_as(typed: Guess, name: str) -> None:
    found = {field.column: field for field in typed.fields}[name]
    assert found.data_type == TYPES[name][1]


def test_what_does_not_read_as_the_type_is_counted(typed: Guess) -> None:
    counts = {field.name: field.unparsable for field in typed.fields}
    assert counts["dirty"] == COUNT / 50
    assert {name for name, count in counts.items() if count} == {"dirty"}


def test_what_is_missing_is_counted_blank_or_null(typed: Guess) -> None:
    present = {field.name: field.present for field in typed.fields}
    assert (present["blank"], present["never"], present["whole"]) == (0, 0, COUNT)


def test_doubts_are_said(typed: Guess) -> None:
    remarks = {field.name: " ".join(field.remarks) for field in typed.fields}
    assert "timezone" in remarks["naive"]
    assert "begin with 0" in remarks["zip"]
    assert "date" in remarks["slashes"]
    assert "no value" in remarks["never"]


def test_few_values_are_listed(typed: Guess) -> None:
    assert {field.name: field.values for field in typed.fields}["letter"] == ("f", "m", "x")


def test_a_column_that_the_pipeline_fills_itself_is_renamed(typed: Guess) -> None:
    assert [field.name for field in typed.fields if field.column == "source"] == ["source_value"]


def test_the_types_are_read_as_the_pipeline_reads_them() -> None:
    macro = (PROJECT / "macros" / "try_cast.sql").read_text(encoding="utf-8")
    form = FORMS["timestamptz"]
    for part in ("[+-]?[0-9]{1,18}", form[: form.index("[T ]")], form[form.index("[T ]") : form.index("(Z|")]):
        assert part in macro


@pytest.mark.parametrize(
    ("sql", "key", "repeated"),
    [
        ("select i as n, 'c' || i as order_id, i % 7 as store from range(100) r (i)", ("order_id",), 0),
        ("select 'x' as a, i as id from range(100) r (i)", ("id",), 0),
        (
            "select i // 4 as order_id, i % 4 as line_no, i % 9 as amount from range(100) r (i)",
            ("order_id", "line_no"),
            0,
        ),
        # a few come twice: these are duplicates, and no reason to look for another key
        (
            "select case when i < 3 then 50 else i end as order_id, i % 4 as store from range(100) r (i)",
            ("order_id",),
            3,
        ),
        (
            "select case when i = 1 then null else i end as order_id, i % 4 as store from range(100) r (i)",
            ("order_id",),
            1,
        ),
        # what measured, and when, also where a few come twice
        (
            "select 's' || i % 4 as sensor, '2025-11-16 10:' || lpad(cast(least(i // 4, 23) as varchar), 2, '0') || ':00' as read_at, "
            "i % 9 || '.5' as value from range(100) r (i)",
            ("sensor", "read_at"),
            4,
        ),
        # unique by chance, and no key
        ("select i % 90 as id, i || '.25' as total from range(100) r (i)", ("id",), 10),
    ],
)
def test_the_key_is_what_tells_records_apart(sql: str, key: tuple[str, ...], repeated: int) -> None:
    guess = guess_of(f"select cast(columns(*) as varchar) from ({sql})")
    assert (guess.key, guess.repeated) == (key, repeated)


def test_the_event_time_is_what_lies_in_the_day() -> None:
    guess = guess_of(
        "select i as id, '2025-11-16' as day, '2025-11-16T' || lpad(cast(i % 24 as varchar), 2, '0') || ':00:00Z' as ordered_at, "
        "'2024-01-01T00:00:00Z' as registered_at from range(100) r (i)"
    )
    assert guess.event_time == "ordered_at"


def test_the_fields_of_a_document_are_found_with_their_paths() -> None:
    guess = guess_of("""
        select '{"orderId": ' || i || ', "to": {"address": {"zipCode": "0' || i || '"}}, "lines": [1], "a\\"b": 1}' as payload
        from range(100) r (i)
        union all select 'no JSON'
    """)
    assert (guess.has_columns, guess.has_documents) == (False, True)
    assert {field.name: field.path for field in guess.fields} == {
        "order_id": ("orderId",),
        "to_address_zip_code": ("to", "address", "zipCode"),
    }
    assert len(guess.left_out) == 2
    assert guess.left_out[0] == "lines: a list"


def test_a_table_may_have_records_of_both_kinds() -> None:
    guess = guess_of("""
        select 'c' || i as order_id, i || '.50' as total, null as payload from range(50) r (i)
        union all select null, null, '{"orderId": "d' || i || '", "total": 2.5, "note": "n"}' from range(50) r (i)
    """)
    assert (guess.has_columns, guess.has_documents) == (True, True)
    assert {one.name: (one.column, one.path, one.present) for one in guess.fields} == {
        "order_id": ("order_id", ("orderId",), 100),
        "total": ("total", ("total",), 100),
        "note": ("", ("note",), 50),
    }
    assert (guess.key, guess.repeated) == (("order_id",), 0)


def test_where_nothing_tells_records_apart_that_is_said() -> None:
    guess = guess_of("select '2025-11-16 10:00:00' as seen_at, '1.5' as price from range(10)")
    assert guess.key
    assert guess.repeated == 9


def test_another_feed_is_matched_by_names_and_by_the_end_of_a_path() -> None:
    guess = guess_of("""
        select '{"orderId": ' || i || ', "address": {"country": "DE"}, "at": "2025-11-16T10:00:00Z", "note": "n"}' as payload
        from range(100) r (i)
    """)
    found = match_fields(guess, ("order_id", "ordered_at", "country", "total"), "ordered_at")
    assert {name: field.path for name, field in found.items()} == {
        "order_id": ("orderId",),
        "ordered_at": ("at",),
        "country": ("address", "country"),
    }


def test_a_wide_table_is_looked_at_whole() -> None:
    columns = ", ".join(f"i as c{number}" for number in range(95))
    guess = guess_of(f"select cast(columns(*) as varchar) from (select {columns} from range(10) r (i))")
    assert [field.data_type for field in guess.fields] == ["bigint"] * 95
