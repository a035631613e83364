"""Names of raw columns."""

from __future__ import annotations

import pyarrow as pa

from loaders.formats.raw import column_names, in_batches, shared_column_names


def test_column_names_are_the_warehouses_and_never_collide():
    names = ["eventId", "EVENTID", "Event ID", "load_date", "1st", "Höhe", "", "a__b", "HTTPCode"]
    assert column_names(names) == [
        "event_id",
        "eventid",
        "event_id_2",
        "load_date_2",
        "column_1st",
        "hohe",
        "column",
        "a_b",
        "http_code",
    ]


def test_a_name_that_is_spelled_so_keeps_its_place():
    assert column_names(["User Id", "user_id"]) == ["user_id_2", "user_id"]


def test_a_column_has_one_name_in_all_files():
    names = shared_column_names([["User Id", "user_id"], ["user_id"], ["user_id", "User Id"], ["User Id"], ["a", "a"]])
    assert names == [["user_id_2", "user_id"], ["user_id"], ["user_id", "user_id_2"], ["user_id_2"], ["a", "a_2"]]


def test_spellings_that_never_meet_are_one_column():
    assert shared_column_names([["eventId"], ["Event ID", "x"], ["event_id"]]) == [
        ["event_id"],
        ["event_id", "x"],
        ["event_id"],
    ]


def test_small_tables_are_put_together_by_their_bytes():
    small = pa.table({"a": ["x" * 1000] * 1000})
    together = list(in_batches(("t", small) for _ in range(40)))
    assert [table.num_rows for _, table in together] == [17_000, 17_000, 6_000]
    assert [name for name, _ in in_batches([("a", small), ("b", small), ("a", small)])] == ["a", "b"]
