"""Reading files: every record becomes a row, whatever it looks like."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.formats.csv import plan_csv, read_csv
from loaders.formats.json import BrokenJson, NotThere, records, simple_path
from loaders.formats.lines import split_lines
from loaders.formats.parquet import Landed, Piece, format_of, open_parquet, read_json, read_json_lines, read_parquet
from loaders.formats.raw import column_names
from loaders.formats.streams import CHUNK_BYTES, Unreadable

LIMIT = 50 * 1024**2


def land(folder: Path, name: str, body: bytes) -> Landed:
    path = folder / name
    path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    return Landed(name, path)


def collect(pieces: Any) -> tuple[dict[int, Any], dict[int, tuple[str, str | None]]]:
    """Return good records and rejected ones by row number."""
    good: dict[int, Any] = {}
    bad: dict[int, tuple[str, str | None]] = {}
    for piece in pieces:
        assert isinstance(piece, Piece)
        first = piece.rows
        rows = range(first, first + piece.count) if isinstance(first, int) else first.to_pylist()
        names = list(piece.columns)
        for index, row in enumerate(rows):
            record = tuple(piece.columns[name][index].as_py() for name in names)
            good[row] = record[0] if names == ["payload"] else record
        for rejected in piece.rejected:
            bad[rejected.source_row] = (rejected.reason, rejected.payload)
    return good, bad


def csv_of(folder: Path, body: bytes, name: str = "a.csv", header: tuple[str, ...] = ()) -> Any:
    file = land(folder, name, body)
    plan = plan_csv(file, LIMIT, ",", header)
    return collect(read_csv(file, plan, column_names(plan.header), LIMIT, ","))


def test_formats_are_known_by_extension_also_gzipped():
    assert [format_of(key) for key in ("a.PARQUET", "x/b.csv.gz", "c.ndjson", "d.json.gz")] == [
        "Parquet",
        "CSV",
        "JSON lines",
        "JSON",
    ]
    assert format_of("a.xml") is None
    assert format_of("a.gz") is None


def test_json_lines_are_kept_as_received(tmp_path: Path):
    lines = ['{"a": 1.10}', '{"broken": ', " 3 ", '{"n": 1180591620717411303424, "x": NaN}']
    file = land(tmp_path, "a.jsonl", "\n".join([*lines[:2], "", "  ", *lines[2:]]).encode())
    good, bad = collect(read_json_lines(file, LIMIT))
    assert good == {1: lines[0], 2: lines[1], 5: lines[2], 6: lines[3]}
    assert not bad


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_unicode_with_a_mark_is_decoded(tmp_path: Path, encoding: str, name: str):
    mark = "" if encoding in ("utf-8", "utf-8-sig", "utf-16") else "\ufeff"
    body = (mark + '{"a":"é"}\r\n{"b":"猫"}').encode(encoding)
    good, bad = collect(read_json_lines(land(tmp_path, name, body), LIMIT))
    assert good == {1: '{"a":"é"}', 2: '{"b":"猫"}'}
    assert not bad


def test_a_latin1_line_is_rejected_with_its_bytes(tmp_path: Path):
    body = b'{"a":1}\n{"name":"Andr\xe9"}\n{"b":2}\n'
    good, bad = collect(read_json_lines(land(tmp_path, "a.jsonl", body), LIMIT))
    assert good == {1: '{"a":1}', 3: '{"b":2}'}
    assert bad == {2: ("undecodable_text", '{"name":"Andr\\xe9"}')}


def test_nul_becomes_a_replacement_character(tmp_path: Path):
    good, _ = collect(read_json_lines(land(tmp_path, "a.jsonl", b'{"a":"x\x00y"}\n'), LIMIT))
    assert good == {1: '{"a":"x\ufffdy"}'}


def test_lines_across_chunks_stay_whole(tmp_path: Path):
    line = b'{"x":"' + b"y" * 1_000_000 + b'"}'
    count = CHUNK_BYTES // len(line) + 5
    file = land(tmp_path, "a.jsonl.gz", b"\n".join([line] * count))
    good, bad = collect(read_json_lines(file, LIMIT))
    assert len(good) == count
    assert set(good.values()) == {line.decode()}
    assert not bad


def test_a_field_of_50_mb_is_one_record(tmp_path: Path):
    line = b'{"x":"' + b"y" * 50_000_000 + b'"}'
    good, _ = collect(read_json_lines(land(tmp_path, "a.jsonl", line + b"\n{}"), 2 * LIMIT))
    assert len(good[1]) == len(line)
    assert good[2] == "{}"


def test_splitting_lines_is_vectorized():
    chunk = b"".join(b'{"id":%d}\n' % number for number in range(200_000))
    (block,) = split_lines([chunk])
    assert len(block.lines) == 200_000
    assert block.lines[199_999].as_py() == '{"id":199999}'
    assert block.numbers[199_999].as_py() == 200_000


def test_a_gzip_bomb_is_stopped_at_the_cap(tmp_path: Path):
    file = land(tmp_path, "a.jsonl.gz", b"x" * (LIMIT + 1))
    with pytest.raises(Unreadable) as caught:
        list(read_json_lines(file, LIMIT))
    assert caught.value.code == "file_too_large"


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x" * 1000)[:-9]], ids=["no gzip", "cut short"])
def test_broken_gzip_is_unreadable(tmp_path: Path, body: bytes):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(body)
    with pytest.raises(Unreadable) as caught:
        list(read_json_lines(Landed("a.jsonl.gz", path), LIMIT))
    assert caught.value.code == "file_unreadable"


@pytest.mark.parametrize(
    ("body", "selector", "expected"),
    [
        ('[{"a": 1.10}, 2 ,"x"]', None, {1: '{"a": 1.10}', 2: "2", 3: '"x"'}),
        ('{"a": [1]}', None, {1: '{"a": [1]}'}),
        ('{"x": 0, "items": [1, {"y": NaN}]}', "items", {1: "1", 2: '{"y": NaN}'}),
        ('{"a": {"items": []}}', "$.a.items", {}),
        ('[{"a": 1}]', "items", {1: '{"a": 1}'}),
        ('{"a": 1}\n{"b": 2}\n', None, {1: '{"a": 1}', 2: '{"b": 2}'}),
        ("[]", None, {}),
    ],
)
def test_json_documents_are_cut_into_records(tmp_path: Path, body: str, selector: str | None, expected: dict[int, str]):
    good, bad = collect(read_json(land(tmp_path, "a.json", body.encode()), LIMIT, selector))
    assert good == expected
    assert not bad


def test_what_follows_a_break_in_json_is_one_rejected_record(tmp_path: Path):
    file = land(tmp_path, "a.json", b'[{"a":1},{"b":2},{"c":')
    good, bad = collect(read_json(file, LIMIT, None))
    assert good == {1: '{"a":1}', 2: '{"b":2}'}
    assert bad == {3: ("json_broken", '{"c":')}


def test_json_records_are_the_same_as_a_parser_gives():
    document = {"meta": {"data": [0]}, "data": [{"i": i, "s": f'"{i}\\'} for i in range(500)]}
    text = json.dumps(document, indent=1)
    assert [json.loads(record) for record in records(text, ["data"])] == document["data"]
    with pytest.raises(NotThere):
        list(records(text, ["nothing"]))
    for cut in range(0, len(text), 97):
        with pytest.raises((BrokenJson, NotThere)):
            list(records(text[:cut], ["data"]))


def test_only_plain_selectors_are_walked_by_hand():
    assert simple_path("$.data.items") == ["data", "items"]
    assert simple_path(None) == []
    assert simple_path("data[*].x") is None


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_fields_are_kept_as_text(tmp_path: Path, name: str, encoding: str):
    body = 'id,amount,note\r\n1,007,"a, ""b""\nc"\r\n2,,é\r\n'.encode(encoding)
    good, bad = csv_of(tmp_path, body, name)
    assert good == {1: ("1", "007", 'a, "b"\nc'), 2: ("2", "", "é")}
    assert not bad


def test_ragged_csv_lines_are_rejected_with_their_text(tmp_path: Path):
    good, bad = csv_of(tmp_path, b"a,b\n1,2\n3\n\n4,5,6\n7,8")
    assert good == {1: ("1", "2"), 4: ("7", "8")}
    assert bad == {2: ("csv_ragged_line", "3"), 3: ("csv_ragged_line", "4,5,6")}


def test_an_unclosed_quote_costs_its_own_line_only(tmp_path: Path):
    good, bad = csv_of(tmp_path, b'a,b\n1,2\n3,"4\n5,6\n7,"x\ny"\n8\n')
    assert good == {1: ("1", "2"), 3: ("5", "6"), 4: ("7", "x\ny")}
    assert bad == {2: ("csv_unclosed_quote", '3,"4'), 5: ("csv_ragged_line", "8")}


def test_two_unclosed_quotes_do_not_swallow_what_is_between(tmp_path: Path):
    good, bad = csv_of(tmp_path, b'a,b\n1,"2\n3,4\n5,6\n7,"8\n9,10\n')
    assert good == {2: ("3", "4"), 3: ("5", "6"), 5: ("9", "10")}
    assert set(bad) == {1, 4}


def test_undecodable_csv_lines_are_rejected(tmp_path: Path):
    good, bad = csv_of(tmp_path, b"a,b\n1,\xe9\n2,x\n")
    assert good == {2: ("2", "x")}
    assert bad == {1: ("undecodable_text", "1,\\xe9")}


def test_sound_and_careful_csv_readers_agree(tmp_path: Path):
    random = np.random.default_rng(7)
    lines = [b"a,b,c"]
    for number in range(3000):
        fields = [b"%d" % number, *([b"v", b"", b'"q,x"'][i] for i in random.integers(0, 3, 2))]
        lines.append(b",".join(fields[: int(random.choice([3, 3, 3, 2]))]))
    body = b"\n".join(lines)
    # one stray byte sends the whole file to the careful reader
    sound = csv_of(tmp_path, body)
    careful = csv_of(tmp_path, body + b"\n\xff,1,2")
    assert careful[1].pop(3001)[0] == "undecodable_text"
    assert sound == careful


def test_csv_without_a_header_is_named_by_the_configuration(tmp_path: Path):
    good, bad = csv_of(tmp_path, b"1,2\n3,4,5\n6,7", header=("x", "y"))
    assert good == {1: ("1", "2"), 3: ("6", "7")}
    assert bad == {2: ("csv_ragged_line", "3,4,5")}


@pytest.mark.parametrize("body", [b"", b"\n", b"a,b\n", b"a,b"])
def test_csv_without_lines_has_no_records(tmp_path: Path, body: bytes):
    assert csv_of(tmp_path, body) == ({}, {})


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
    good, bad = collect(read_parquet(file, open_parquet(file, LIMIT), names))
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
    good, _ = collect(read_parquet(file, open_parquet(file, LIMIT), ["t"]))
    assert good == {1: ("2025-11-16 01:00:00.000000",)}


def test_bytes_that_are_no_text_reject_their_row_only(tmp_path: Path):
    pq.write_table(pa.table({"a": [b"x", b"\xff\xfe", b"z"]}), tmp_path / "a.parquet")
    file = Landed("a.parquet", tmp_path / "a.parquet")
    good, bad = collect(read_parquet(file, open_parquet(file, LIMIT), ["a"]))
    assert good == {1: ("x",), 3: ("z",)}
    assert bad == {2: ("undecodable_text", '{"a": "\\\\xff\\\\xfe"}')}


@pytest.mark.parametrize("keep", [0, 100, -8])
def test_parquet_without_its_footer_is_unreadable(tmp_path: Path, keep: int):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x"] * 100}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Unreadable) as caught:
        open_parquet(Landed("a.parquet", path), LIMIT)
    assert caught.value.code == "file_unreadable"


def test_parquet_that_decodes_to_too_much_is_refused(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["x" * 1000] * 5000}), path, use_dictionary=False)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(Unreadable) as caught:
        open_parquet(Landed("a.parquet", path), 1_000_000)
    assert caught.value.code == "file_too_large"


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
