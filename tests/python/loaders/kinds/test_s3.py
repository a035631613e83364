"""Objects of a real S3 endpoint, from listing to rows."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loader_helpers import DAY, FIXED, S3_KEYS, Bucket, listed_keys, load, make_attempt, read_rows, values

from loaders.errors import SourceError
from loaders.failures import classify
from loaders.kinds import s3, stores
from loaders.kinds.s3 import open_s3, refusal

PREFIX = "raw/2025/11/16/"


def parquet(**columns: list[Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_every_format_lands_in_one_table(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.parquet", parquet(eventId=["e1"], amount=[1.5]))
    bucket.put(PREFIX + "b.parquet.gz", gzip.compress(parquet(eventId=["e2"])))
    bucket.put(PREFIX + "c.csv", b"eventId,country\ne3,DE\n")
    bucket.put(PREFIX + "d.csv.gz", gzip.compress(b"eventId\ne4\n"))
    bucket.put(PREFIX + "e.json", b'[{"id":"e5"}]')
    bucket.put(PREFIX + "f.json.gz", gzip.compress(b'{"id":"e6"}'))
    bucket.put(PREFIX + "g.jsonl", b'{"id":"e7"}\n')
    bucket.put(PREFIX + "h.ndjson.gz", gzip.compress(b'{"id":"e8"}\n{"id":'))
    extraction = open_s3(bucket.source(), make_attempt(tmp_path))
    schema = extraction.schemas["events"]
    assert schema.names == ["event_id", "amount", "country", "payload", *FIXED]
    rows = read_rows(extraction)
    assert values(rows, "event_id", "amount", "country", "payload") == [
        ("e1", "1.5", None, None),
        ("e2", None, None, None),
        ("e3", None, "DE", None),
        ("e4", None, None, None),
        (None, None, None, '{"id":"e5"}'),
        (None, None, None, '{"id":"e6"}'),
        (None, None, None, '{"id":"e7"}'),
        (None, None, None, '{"id":"e8"}'),
        (None, None, None, '{"id":'),
    ]
    assert values(rows, "source_object", "source_row")[-1] == (PREFIX + "h.ndjson.gz", 2)
    assert {row["load_date"] for row in rows} == {DAY}
    assert {row["load_id"] for row in rows} == {"run-1"}
    assert not any(row["reject_reason"] for row in rows)
    assert extraction.detail["files"] == 8


def test_bytes_are_saved_as_received(bucket: Bucket, tmp_path: Path):
    body = gzip.compress(b'{"a":"\x00\xff"}\n')
    bucket.put(PREFIX + "deep/a.jsonl.gz", body)
    attempt = make_attempt(tmp_path)
    list(open_s3(bucket.source(), attempt).tables)
    assert (attempt.landing / "deep" / "a.jsonl.gz").read_bytes() == body


def test_what_cannot_be_read_is_a_rejected_record(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.parquet", parquet(x=["1"])[:-6])
    bucket.put(PREFIX + "b.csv", b"x,y\n1,2\n3\n")
    bucket.put(PREFIX + "c.jsonl", b'"\xe9"\n{}\n')
    bucket.put(PREFIX + "d.xml", b"<x/>")
    bucket.put(PREFIX + "e.jsonl.gz", b"no gzip")
    bucket.put(PREFIX + "f.json", b"[1, 2, {")
    extraction = open_s3(bucket.source(), make_attempt(tmp_path))
    rows = read_rows(extraction)
    assert values(rows, "source_object", "source_row", "reject_reason", "x", "payload") == [
        (PREFIX + "a.parquet", 0, "file_unreadable", None, None),
        (PREFIX + "b.csv", 1, None, "1", None),
        (PREFIX + "b.csv", 2, "csv_ragged_line", None, "3"),
        (PREFIX + "c.jsonl", 1, "undecodable_text", None, '"\\xe9"'),
        (PREFIX + "c.jsonl", 2, None, None, "{}"),
        (PREFIX + "d.xml", 0, "format_unknown", None, None),
        (PREFIX + "e.jsonl.gz", 0, "file_unreadable", None, None),
        (PREFIX + "f.json", 1, None, None, "1"),
        (PREFIX + "f.json", 2, None, None, "2"),
        (PREFIX + "f.json", 3, "json_broken", None, "{"),
    ]
    assert all(row["reject_detail"] for row in rows if row["reject_reason"])
    # a line is a record lost, a file is not
    lost = {each["object"]: each["reason"] for each in extraction.detail["incomplete"]}
    assert list(lost) == [PREFIX + name for name in ("d.xml", "a.parquet", "e.jsonl.gz", "f.json")]
    assert "footer" in lost[PREFIX + "a.parquet"]
    assert "gzip" in lost[PREFIX + "e.jsonl.gz"]
    assert lost[PREFIX + "f.json"].startswith("from record 3 on, no JSON")
    assert extraction.detail["incomplete_count"] == 4


def test_the_outcome_tells_which_version_of_an_object_could_not_be_read(bucket: Bucket, tmp_path: Path):
    for name in ("a.parquet", "b.parquet", "c.parquet"):
        bucket.put(PREFIX + name, b"no footer")
    bucket.put(PREFIX + "d.csv", b"x\n1\n")
    done = load([bucket.source()], tmp_path / "work").finished("lake")
    assert done["status"] == "loaded"
    assert (done["collected"], done["rejected"]) == (4, 3)
    incomplete = done["detail"]["incomplete"]
    listed = bucket.client.head_object(Bucket=bucket.name, Key=PREFIX + "a.parquet")
    assert incomplete[0]["etag"] == listed["ETag"]
    assert incomplete[0]["size"] == 9


def test_a_day_that_can_be_read_is_not_incomplete(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.jsonl", b'"\xe9"\n{}\n')
    done = load([bucket.source()], tmp_path / "work").finished("lake")
    assert done["rejected"] == 1
    assert "incomplete" not in done["detail"]


def test_an_outcome_names_only_so_many_unreadable_objects_and_counts_all(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3, "MOST_TOLD", 2)
    for number in range(5):
        bucket.put(f"{PREFIX}{number}.parquet", b"no footer")
    extraction = open_s3(bucket.source(), make_attempt(tmp_path))
    assert len(read_rows(extraction)) == 5
    assert len(extraction.detail["incomplete"]) == 2
    assert extraction.detail["incomplete_count"] == 5


def test_a_corrupt_part_of_a_parquet_file_rejects_the_rest(bucket: Bucket, tmp_path: Path):
    buffer = io.BytesIO()
    table = pa.table({"x": [f"value {i}" for i in range(200_000)]})
    pq.write_table(table, buffer, row_group_size=100_000, use_dictionary=False, compression="none")
    body = bytearray(buffer.getvalue())
    start = body.index(b"value 150000")
    body[start - 500_000 : start + 500_000] = b"\xff" * 1_000_000
    bucket.put(PREFIX + "a.parquet", bytes(body))
    rows = read_rows(open_s3(bucket.source(), make_attempt(tmp_path)))
    assert rows[0]["reject_reason"] == "file_unreadable"
    assert "from row" in rows[0]["reject_detail"]
    assert 0 < len(rows) < 200_000
    assert rows[1]["x"] == "value 0"


@pytest.mark.parametrize(
    "below", ["../evil.csv", "a/../../evil.csv", "/etc/evil.csv", "a//b.csv", "a\\b.csv", "./x.csv"]
)
def test_keys_that_leave_the_folder_are_refused(below: str):
    assert refusal(below)
    assert refusal("sub/ok.csv") is None


def test_a_refused_key_is_a_rejected_record_and_writes_nothing(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "../../../evil.csv", b"x\n1\n")
    bucket.put(PREFIX + "a.csv", b"x\n1\n")
    extraction = open_s3(bucket.source(), make_attempt(tmp_path))
    assert values(read_rows(extraction), "reject_reason", "source_object") == [
        ("key_refused", PREFIX + "../../../evil.csv"),
        (None, PREFIX + "a.csv"),
    ]
    assert [each["object"] for each in extraction.detail["incomplete"]] == [PREFIX + "../../../evil.csv"]
    assert not list(tmp_path.rglob("evil.csv"))


def test_a_missing_day_is_no_data(bucket: Bucket, tmp_path: Path):
    bucket.put("raw/2025/11/15/a.csv", b"x\n1\n")
    with pytest.raises(SourceError) as caught:
        open_s3(bucket.source(), make_attempt(tmp_path))
    assert caught.value.no_data
    assert not caught.value.transient
    assert f"s3://{bucket.name}/{PREFIX}" in caught.value.text


def test_glob_marks_and_hidden_names_choose_the_objects(bucket: Bucket, tmp_path: Path):
    for key in ("_SUCCESS", ".hidden.csv", "sub/", "sub/a.csv", "b.csv", "c.txt"):
        bucket.put(PREFIX + key, b"x\n1\n")
    rows = read_rows(open_s3(bucket.source(file_glob="*.csv"), make_attempt(tmp_path)))
    assert values(rows, "source_object") == [PREFIX + "b.csv", PREFIX + "sub/a.csv"]


def test_listing_goes_on_past_its_first_page(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stores, "LIST_PAGE", 2)
    for number in range(7):
        bucket.put(f"{PREFIX}{number}.csv", b"x\n1\n")
    assert len(listed_keys(bucket.source(), make_attempt(tmp_path).deadline)) == 7


def test_an_object_replaced_after_listing_is_listed_again(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.put(PREFIX + "a.csv", b"x\nold\n")
    bucket.put(PREFIX + "b.csv", b"x\nkept\n")
    real, calls = s3.list_objects, []

    def list_then_replace(*arguments: Any) -> Any:
        listed = real(*arguments)
        calls.append(len(listed))
        if len(calls) == 1:
            bucket.put(PREFIX + "a.csv", b"x\nnew\n")
            bucket.client.delete_object(Bucket=bucket.name, Key=PREFIX + "c.csv")
        return listed

    monkeypatch.setattr(s3, "list_objects", list_then_replace)
    loaded = load([bucket.source()], tmp_path / "work")
    assert loaded.finished("lake")["status"] == "loaded"
    assert loaded.finished("lake")["tries"] == 2
    assert loaded.of("attempt_failed")[0]["error"] == "object replaced"
    assert loaded.of("attempt_failed")[0]["transient"]
    assert loaded.query("select x from raw_lake.events order by 1") == [("kept",), ("new",)]


def test_what_has_landed_is_not_fetched_again(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bucket.put(PREFIX + "a.csv", b"x\n1\n")
    attempt = make_attempt(tmp_path)
    open_s3(bucket.source(), attempt)
    monkeypatch.setattr(s3, "_save", None)
    assert len(read_rows(open_s3(bucket.source(), attempt))) == 1


def test_a_missing_bucket_and_wrong_keys_are_not_tried_again(bucket: Bucket, tmp_path: Path):
    with pytest.raises(Exception, match="NoSuchBucket") as caught:
        open_s3(bucket.source(bucket_url="s3://no-such-bucket"), make_attempt(tmp_path))
    failure = classify(caught.value, "listing")
    assert (failure.code, failure.transient) == ("no such bucket", False)


def test_an_endpoint_that_is_down_is_transient(bucket: Bucket, tmp_path: Path):
    credentials = {**S3_KEYS, "endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(Exception, match="connect") as caught:
        open_s3(bucket.source(credentials=credentials), make_attempt(tmp_path))
    failure = classify(caught.value, "listing")
    assert (failure.code, failure.transient) == ("Connection refused", True)


def test_configured_columns_are_always_there(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.csv", b"b\n1\n")
    extraction = open_s3(bucket.source(columns=("a", "b")), make_attempt(tmp_path))
    assert extraction.schemas["events"].names[:3] == ["a", "b", "payload"]


def test_an_empty_day_makes_the_table_where_it_is_allowed(bucket: Bucket, tmp_path: Path):
    loaded = load([bucket.source(allow_empty=True, columns=("event_id",))], tmp_path / "work")
    assert loaded.finished("lake")["status"] == "loaded"
    assert loaded.finished("lake")["collected"] == 0
    columns = loaded.query(
        "select column_name, data_type from information_schema.columns "
        "where table_schema = 'raw_lake' and table_name = 'events' order by ordinal_position"
    )
    assert columns == [
        ("event_id", "VARCHAR"),
        ("payload", "VARCHAR"),
        ("load_date", "DATE"),
        ("source_object", "VARCHAR"),
        ("source_row", "BIGINT"),
        ("load_id", "VARCHAR"),
        ("loaded_at", "TIMESTAMP WITH TIME ZONE"),
        ("reject_reason", "VARCHAR"),
        ("reject_detail", "VARCHAR"),
    ]


def test_files_without_records_are_no_data_unless_allowed(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.csv", b"event_id\n")
    loaded = load([bucket.source()], tmp_path / "work")
    assert loaded.finished("lake")["status"] == "failed"
    assert loaded.finished("lake")["no_data"]
    assert load([bucket.source(allow_empty=True)], tmp_path / "b").finished("lake")["status"] == ("loaded")


def test_columns_of_earlier_loads_do_not_vanish(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.csv", b"Event ID,old\ne1,1\n")
    load([bucket.source()], tmp_path / "one")
    bucket.put(PREFIX + "a.csv", b"eventId,new\ne2,2\n")
    loaded = load([bucket.source()], tmp_path / "two", run_id="run-2")
    rows = loaded.query("select event_id, old, new, load_id from raw_lake.events order by 1")
    assert rows == [("e1", "1", None, "run-1"), ("e2", None, "2", "run-2")]


def test_odd_text_survives_the_load(bucket: Bucket, tmp_path: Path):
    huge = '{"n":' + "9" * 5_000 + "}"
    lines = [json.dumps({"a": "\ud800"}), huge, '{"a":"\u2028\x00"}', "'; --"]
    bucket.put(PREFIX + "a.jsonl", "\n".join(lines).encode())
    loaded = load([bucket.source()], tmp_path / "work")
    assert loaded.query("select payload from raw_lake.events order by source_row") == [
        (line.replace("\x00", "\ufffd"),) for line in lines
    ]


def test_ten_thousand_columns_are_loaded(bucket: Bucket, tmp_path: Path):
    header = ",".join(f"c{number}" for number in range(10_000))
    bucket.put(PREFIX + "a.csv", f"{header}\n{',' * 9_999}\n".encode())
    extraction = open_s3(bucket.source(), make_attempt(tmp_path))
    ((row,),) = (read_rows(extraction),)
    assert len(row) == 10_000 + 1 + len(FIXED)


def objects(bucket: Bucket, folder: Path, **changes: Any) -> list[str]:
    rows = read_rows(open_s3(bucket.source(**changes), make_attempt(folder)))
    assert not any(row["reject_reason"] for row in rows)
    return [row["source_object"] for row in rows]


def test_the_extension_may_be_in_capitals(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.CSV.GZ", gzip.compress(b"x\n1\n"))
    assert objects(bucket, tmp_path) == [PREFIX + "a.CSV.GZ"]


def test_what_is_below_a_hidden_folder_is_no_data(bucket: Bucket, tmp_path: Path):
    for key in ("_temporary/0/a.csv", ".hidden/a.csv", "t/_delta_log/0.json", "t/a.csv"):
        bucket.put(PREFIX + key, b"x\n1\n")
    assert objects(bucket, tmp_path) == [PREFIX + "t/a.csv"]


def test_a_path_is_a_folder_an_object_or_the_beginning_of_a_name(bucket: Bucket, tmp_path: Path):
    keys = ("x/16/a.csv", "x/16-old/a.csv", "x/160/a.csv", "x/2025-11-16.csv", "x/2025-11-16.csv.bak", "x/p-16-0.csv")
    for key in keys:
        bucket.put(key, b"x\n1\n")
    assert objects(bucket, tmp_path / "1", path="x/{date:%d}") == ["x/16/a.csv"]
    assert objects(bucket, tmp_path / "2", path="x/{date:%Y-%m-%d}.csv") == ["x/2025-11-16.csv"]
    assert objects(bucket, tmp_path / "3", path="x/p-{date:%d}") == ["x/p-16-0.csv"]
    assert objects(bucket, tmp_path / "4", path="x/p-{date:%d}-") == ["x/p-16-0.csv"]


def test_the_glob_takes_the_day_and_is_named_when_nothing_matches(bucket: Bucket, tmp_path: Path):
    bucket.put("x/2025-11-16.csv", b"x\n1\n")
    bucket.put("x/2025-11-15.csv", b"x\n1\n")
    assert objects(bucket, tmp_path, path="x/", file_glob="{date:%Y-%m-%d}.*") == ["x/2025-11-16.csv"]
    with pytest.raises(SourceError, match=r"'2025-11-16\.parquet'"):
        open_s3(bucket.source(path="x/", file_glob="{date:%Y-%m-%d}.parquet"), make_attempt(tmp_path))


def test_an_object_may_have_the_name_of_a_folder(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.csv", b"x\n1\n")
    bucket.put(PREFIX + "a.csv/b.csv", b"x\n2\n")
    assert objects(bucket, tmp_path) == [PREFIX + "a.csv", PREFIX + "a.csv/b.csv"]


def test_colliding_columns_never_swap_their_values(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.csv", b"User Id,user_id\nspaced,plain\n")
    bucket.put(PREFIX + "b.csv", b"user_id\nplain\n")
    bucket.put(PREFIX + "c.csv", b"user_id,User Id\nplain,spaced\n")
    rows = read_rows(open_s3(bucket.source(), make_attempt(tmp_path)))
    assert values(rows, "user_id", "user_id_2") == [("plain", "spaced"), ("plain", None), ("plain", "spaced")]


def test_a_file_too_wide_for_the_table_is_rejected_and_leaves_no_column(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.csv", (",".join(f"c{number}" for number in range(1_700)) + "\n").encode())
    bucket.put(PREFIX + "b.csv", b"x\n1\n")
    attempt = make_attempt(tmp_path)
    attempt.max_columns = 1_600
    extraction = open_s3(bucket.source(), attempt)
    assert extraction.schemas["events"].names == ["x", "payload", *FIXED]
    assert values(read_rows(extraction), "reject_reason", "x") == [("too_many_columns", None), (None, "1")]


def test_folders_named_as_hive_does_are_columns(bucket: Bucket, tmp_path: Path):
    for folder, body in (
        ("country=DE/day=1", b"x\n1\n"),
        ("country=C%C3%B4te%20d%2FIvoire", b"x\n2\n"),
        ("country=__HIVE_DEFAULT_PARTITION__", b"x\n3\n"),
        ("plain", b"x,country\n4,FR\n"),
    ):
        bucket.put(f"{PREFIX}{folder}/a.csv", body)
    bucket.put(f"{PREFIX}country=IT/a.jsonl", b"{}\n")
    rows = read_rows(open_s3(bucket.source(), make_attempt(tmp_path / "on")))
    assert sorted(values(rows, "x", "country", "day", "payload"), key=str) == sorted(
        [
            ("1", "DE", "1", None),
            ("2", "Côte d/Ivoire", None, None),
            ("3", None, None, None),
            ("4", "FR", None, None),
            (None, "IT", None, "{}"),
        ],
        key=str,
    )
    extraction = open_s3(bucket.source(hive_columns=False, file_glob="*=*"), make_attempt(tmp_path / "off"))
    assert extraction.schemas["events"].names[:2] == ["x", "payload"]


def test_several_tables_of_one_bucket_are_read_each_in_its_own_way(bucket: Bucket, tmp_path: Path):
    bucket.put("orders/2025-11-16/a.csv", b"id;total\no1;5\n")
    bucket.put("lines/2025-11-16/a.csv", b"l1|o1\n")
    bucket.put("customers/all.json", b'{"items": [{"id": "c1"}, {"id": "c2"}]}')
    bucket.put("refunds/readme.txt", b"")
    tables = {
        "orders": {"path": "orders/{date:%Y-%m-%d}/", "csv_delimiter": ";"},
        "lines": {"path": "lines/", "csv_delimiter": "|", "csv_header": False, "columns": ["id", "order"]},
        "refunds": {"path": "refunds/", "file_glob": "*.csv", "allow_empty": True, "columns": ["id"]},
        "customers": {"path": "customers/all.json", "data_selector": "items", "reference": True},
    }
    source = bucket.source(path="", tables=tables)
    loaded = load([source], tmp_path / "work")
    done = loaded.finished("lake")
    assert (done["status"], done["collected"]) == ("loaded", 2)
    assert done["detail"]["tables"] == {"orders": 1, "lines": 1, "refunds": 0, "customers": 2}
    assert loaded.query("select id, total, source_object, source_row from raw_lake.orders") == [
        ("o1", "5", "orders/2025-11-16/a.csv", 1)
    ]
    assert loaded.query('select id, "order" from raw_lake.lines') == [("l1", "o1")]
    assert loaded.query("select id from raw_lake.refunds") == []
    assert loaded.query("select payload from raw_lake.customers order by 1") == [('{"id": "c1"}',), ('{"id": "c2"}',)]
    landed = tmp_path / "work" / "landing" / "lake"
    assert {str(path.relative_to(landed)) for path in landed.rglob("*.*")} == {
        "orders/a.csv",
        "lines/2025-11-16/a.csv",
        "customers/all.json",
    }
    only = source.references()
    assert only is not None
    again = load([only], tmp_path / "again", run_id="run-2").finished("lake")
    assert (again["status"], again["collected"], again["detail"]["tables"]) == ("loaded", 0, {"customers": 2})


def test_each_table_has_to_have_its_own_objects(bucket: Bucket, tmp_path: Path):
    bucket.put("a/x.csv", b"x\n1\n")
    bucket.put("b/x.csv", b"x\n")
    tables: dict[str, dict[str, Any]] = {"a": {"path": "a/"}, "b": {"path": "b/"}, "c": {"path": "c/"}}
    with pytest.raises(SourceError, match=r"no objects below .*/c/") as caught:
        open_s3(bucket.source(tables=tables), make_attempt(tmp_path / "1"))
    assert caught.value.no_data
    tables["c"]["allow_empty"] = True
    done = load([bucket.source(tables=tables)], tmp_path / "2").finished("lake")
    assert (done["status"], done.get("no_data")) == ("failed", True)
    assert "b/ is empty" in done["reason"]
    tables["b"]["allow_empty"] = True
    assert load([bucket.source(tables=tables)], tmp_path / "3").finished("lake")["status"] == "loaded"


def test_an_object_belongs_to_one_table(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "orders.csv", b"x\n1\n")
    bucket.put(PREFIX + "lines.csv", b"x\n1\n")
    tables = {"orders": {"file_glob": "orders*"}, "lines": {}}
    with pytest.raises(SourceError, match=r"orders\.csv is an object of both lines and orders"):
        open_s3(bucket.source(tables=tables), make_attempt(tmp_path))
    tables["lines"]["file_glob"] = "lines*"
    assert len(read_rows(open_s3(bucket.source(tables=tables), make_attempt(tmp_path)))) == 2


def test_rows_of_mixed_formats_have_a_place_of_their_own(bucket: Bucket, tmp_path: Path):
    bucket.put(PREFIX + "a.csv", b'x\n1\n\xff\n2,3\n"4\n5\n')
    bucket.put(PREFIX + "a.jsonl", b"{}\n\n\xff\n{}\n")
    bucket.put(PREFIX + "a.json", b'[1, "\xff", 2, {]')
    bucket.put(PREFIX + "a.parquet", parquet(x=[b"1", b"\xff", b"3"]))
    bucket.put(PREFIX + "b.parquet", b"")
    bucket.put(PREFIX + "k=v/a.csv", b"x\n1\n2\n")
    rows = read_rows(open_s3(bucket.source(), make_attempt(tmp_path)))
    places = values(rows, "source_object", "source_row")
    assert len(set(places)) == len(places) == 5 + 3 + 4 + 3 + 1 + 2
