"""Parquet: every type as text, and no more of a file at once than a batch."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from format_helpers import LIMIT, read

from loaders.formats.files import Landed, Options, Unreadable, open_file


def test_typed_parquet_columns_become_text(tmp_path: Path):
    moment = dt.datetime(2025, 11, 16, 1, 2, 3, 400, tzinfo=dt.UTC)
    table = pa.table(
        {
            "int": pa.array([1, None], pa.int64()),
            "zoned": pa.array([moment, None], pa.timestamp("us", "America/New_York")),
            "naive": pa.array([moment.replace(tzinfo=None), None], pa.timestamp("us")),
            "nano": pa.array([1_763_254_923_123_456_789, None], pa.timestamp("ns", "UTC")),
            "micro": pa.array([1_763_254_923_123_456_000, None], pa.timestamp("ns", "UTC")),
            "decimal": pa.array([decimal.Decimal("1.10"), None]),
            "list": pa.array([[1, 2], None]),
            "struct": pa.array([{"x": "é"}, None]),
            "bytes": pa.array([b"ok", None]),
            "word": pa.array(["x", None]).dictionary_encode(),
            "flag": pa.array([True, None]),
            "float": pa.array([1e300, None]),
            "day": pa.array([dt.date(2025, 11, 16), None]),
            "null": pa.nulls(2),
            "large": pa.array(["a\x00b", None], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    file = Landed("a.parquet", tmp_path / "a.parquet")
    names = table.schema.names
    good, bad = read(file)
    assert dict(zip(names, good[1], strict=True)) == {
        "int": "1",
        "zoned": "2025-11-16 01:02:03.000400Z",
        "naive": "2025-11-16 01:02:03.000400",
        "nano": "2025-11-16 01:02:03.123456789Z",
        "micro": "2025-11-16 01:02:03.123456Z",
        "decimal": "1.10",
        "list": "[1, 2]",
        "struct": '{"x": "é"}',
        "bytes": "ok",
        "word": "x",
        "flag": "true",
        "float": "1e+300",
        "day": "2025-11-16",
        "null": None,
        "large": "a\ufffdb",
    }
    assert good[2] == (None,) * len(names)
    assert not bad


def test_int96_timestamps_are_read(tmp_path: Path):
    table = pa.table({"t": pa.array([dt.datetime(2025, 11, 16, 1)], pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    file = Landed("a.parquet", tmp_path / "a.parquet")
    good, _ = read(file)
    assert good == {1: ("2025-11-16 01:00:00.000000",)}


def test_bytes_that_are_no_text_reject_their_row_only(tmp_path: Path):
    pq.write_table(pa.table({"a": [b"x", b"\xff\xfe", b"z"]}), tmp_path / "a.parquet")
    file = Landed("a.parquet", tmp_path / "a.parquet")
    good, bad = read(file)
    assert good == {1: ("x",), 3: ("z",)}
    assert bad == {2: ("undecodable_text", '{"a": "\\\\xff\\\\xfe"}')}


@pytest.mark.parametrize("keep", [0, 100, -8])
def test_parquet_without_its_footer_is_unreadable(tmp_path: Path, keep: int):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x"] * 100}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Unreadable) as caught:
        open_file(Landed("a.parquet", path), Options(max_object_bytes=LIMIT))
    assert caught.value.code == "file_unreadable"


def test_parquet_that_decodes_to_too_much_is_refused(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x" * 1000] * 5000}), path, use_dictionary=False)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(Unreadable) as caught:
        open_file(Landed("a.parquet", path), Options(max_object_bytes=1_000_000))
    assert caught.value.code == "file_too_large"


def write_and_read(folder: Path, table: pa.Table, **options: int) -> Any:
    pq.write_table(table, folder / "a.parquet")
    return read(Landed("a.parquet", folder / "a.parquet"), **options)


def test_bytes_in_a_struct_are_text_and_reject_their_row_where_they_are_none(tmp_path: Path):
    values = [{"x": b"ok", "n": 1}, {"x": b"\xff", "n": 2}, None, {"x": None, "n": 3}]
    good, bad = write_and_read(tmp_path, pa.table({"s": values}))
    assert good == {1: ('{"x": "ok", "n": 1}',), 3: (None,), 4: ('{"x": null, "n": 3}',)}
    assert bad[2][0] == "undecodable_text"
    assert "xff" in str(bad[2][1])


def test_nested_nanoseconds_and_years_past_9999_stay_as_they_are(tmp_path: Path):
    kind = pa.struct([("nano", pa.timestamp("ns")), ("day", pa.date32()), ("all", pa.list_(pa.timestamp("us")))])
    far, usual = 253_402_300_800_000_000, 1_763_254_923_000_000
    rows = pa.array(
        [{"nano": 1_763_254_923_123_456_789, "day": 2_932_897, "all": [far]}, {"nano": 0, "day": 0, "all": [usual]}],
        kind,
    )
    table = pa.table({"s": rows, "far": pa.array([far, usual], pa.timestamp("us"))})
    good, bad = write_and_read(tmp_path, table)
    assert not bad
    assert good == {
        1: (
            '{"nano": "2025-11-16 01:02:03.123456789", "day": "10000-01-01", "all": ["10000-01-01 00:00:00.000000"]}',
            "10000-01-01 00:00:00.000000",
        ),
        2: (
            '{"nano": "1970-01-01 00:00:00", "day": "1970-01-01", "all": ["2025-11-16 01:02:03"]}',
            "2025-11-16 01:02:03.000000",
        ),
    }


def test_columns_of_one_name_are_all_read(tmp_path: Path):
    table = pa.Table.from_arrays([pa.array(["x"] * 3), pa.array(["y"] * 3)], ["a", "a"])
    good, _ = write_and_read(tmp_path, table)
    assert good == dict.fromkeys((1, 2, 3), ("x", "y"))


def test_a_row_above_the_cap_is_rejected_alone(tmp_path: Path):
    table = pa.table({"a": ["x", "y" * 5_000, "z"]})
    good, bad = write_and_read(tmp_path, table, max_record_bytes=1_000)
    assert good == {1: ("x",), 3: ("z",)}
    assert bad[2][0] == "record_too_large"
    assert str(bad[2][1]).startswith('{"a": "yyy')


def test_what_a_file_decodes_to_is_capped(tmp_path: Path):
    value = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array(["z" * 100_000]))
    pq.write_table(pa.table({"a": value}), tmp_path / "a.parquet")
    with pytest.raises(Unreadable, match="from row") as caught:
        read(Landed("a.parquet", tmp_path / "a.parquet"), max_object_bytes=50_000_000)
    assert caught.value.code == "file_too_large"
