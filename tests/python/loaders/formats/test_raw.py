"""Names of raw columns."""

from __future__ import annotations

from loaders.formats.raw import column_names


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
