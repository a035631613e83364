"""Columns that come, go or change are told against the last good load, and a source's contract says what becomes of them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loader_helpers import Bucket, Database, Loaded, ScriptedApi, load

from loaders.contract import Contract, describe

PREFIX = "raw/2025/11/16/"
CSV, CSV_MORE = b"event_id,amount\ne1,1\ne2,2\n", b"event_id,amount,coupon\ne1,1,x\ne2,2,\n"
KNOWN = {"events": {"event_id": ["string", 1.0], "amount": ["string", 1.0]}}


def changes(loaded: Loaded, source: str = "lake") -> list[str]:
    return [describe(change) for change in loaded.finished(source)["detail"]["drift"]]


def lake(bucket: Bucket, body: bytes, work: Path, known: Any = KNOWN, **contract: Any) -> Loaded:
    bucket.put(PREFIX + "a.csv", body)
    return load([bucket.source()], work, known={"lake": known}, contracts={"lake": Contract(**contract)})


def partner(api: ScriptedApi, records: list[Any], work: Path, known: Any, **contract: Any) -> Loaded:
    api.pages(records)
    contracts = {"partner": Contract(**contract)}
    return load([api.source()], work, known={"partner": known} if known else {}, contracts=contracts)


def test_columns_of_files_that_come_and_go_are_told(bucket: Bucket, tmp_path: Path) -> None:
    loaded = lake(bucket, b"event_id,coupon\ne1,x\n", tmp_path)
    assert changes(loaded) == ["events.coupon is new (string)", "events.amount is gone"]
    assert loaded.finished("lake")["detail"]["columns"] == {
        "events": {"event_id": ["string", 1.0], "coupon": ["string", 1.0]}
    }


def test_what_is_as_before_is_not_told(bucket: Bucket, tmp_path: Path) -> None:
    assert changes(lake(bucket, CSV, tmp_path)) == []


def test_the_first_load_of_a_source_is_no_change(bucket: Bucket, tmp_path: Path) -> None:
    assert changes(lake(bucket, CSV_MORE, tmp_path, known={}, mode="freeze")) == []


def test_a_field_of_json_that_is_renamed_or_changes_its_type_is_told(api: ScriptedApi, tmp_path: Path) -> None:
    first = partner(api, [{"id": i, "amount": i, "at": "x"} for i in range(9)], tmp_path / "one", None)
    known = first.finished("partner")["detail"]["columns"]
    assert known == {"events": {"id": ["json number", 1.0], "amount": ["json number", 1.0], "at": ["json string", 1.0]}}
    second = partner(api, [{"id": str(i), "total": i, "at": "x"} for i in range(9)], tmp_path / "two", known)
    assert sorted(changes(second, "partner")) == [
        "events.amount is gone", "events.id is json string, was json number", "events.total is new (json number)",
    ]  # fmt: skip


def test_a_field_that_few_records_have_may_be_absent_for_a_day(api: ScriptedApi, tmp_path: Path) -> None:
    records: list[Any] = [{"id": 1, "note": "x"}, {"id": 2}, {"id": 3}]
    known = partner(api, records, tmp_path / "one", None).finished("partner")["detail"]["columns"]
    without = partner(api, records[1:], tmp_path / "two", known)
    assert changes(without, "partner") == []
    # and it is no news when it comes back
    again = partner(api, records, tmp_path / "three", without.finished("partner")["detail"]["columns"])
    assert changes(again, "partner") == []


def test_a_type_that_changes_in_a_database_is_told(database: Database, tmp_path: Path) -> None:
    database.run("create table orders as select 1::bigint as id, 2::numeric(10, 2) as total")
    source = database.source(database.table("orders"))
    known = {"shop": load([source], tmp_path / "one").finished("shop")["detail"]["columns"]}
    assert known["shop"]["orders"] == {"id": ["bigint", 1.0], "total": ["numeric(10,2)", 1.0]}
    database.run("alter table orders alter column total type text")
    again = load([source], tmp_path / "two", run_id="run-2", known=known)
    assert changes(again, "shop") == ["orders.total is text, was numeric(10,2)"]


def test_a_type_that_changes_in_parquet_is_told(bucket: Bucket, tmp_path: Path) -> None:
    def load_amounts(amounts: pa.Array, work: str, known: Any) -> Loaded:
        body = io.BytesIO()
        pq.write_table(pa.table({"amount": amounts}), body)
        bucket.put(PREFIX + "a.parquet", body.getvalue())
        return load([bucket.source()], tmp_path / work, run_id=work, known=known)

    known = {"lake": load_amounts(pa.array([1.5]), "one", {}).finished("lake")["detail"]["columns"]}
    assert changes(load_amounts(pa.array([2.5]), "two", known)) == []
    assert changes(load_amounts(pa.array(["2,5"]), "three", known)) == ["events.amount is string, was double"]


def test_freeze_fails_its_source_alone_and_names_the_column(bucket: Bucket, api: ScriptedApi, tmp_path: Path) -> None:
    bucket.put(PREFIX + "a.csv", CSV_MORE)
    api.pages([{"id": 1}])
    loaded = load(
        [bucket.source(), api.source()], tmp_path, known={"lake": KNOWN}, contracts={"lake": Contract("freeze")}
    )
    failed = loaded.finished("lake")
    assert (failed["status"], failed["tries"], failed["transient"]) == ("failed", 1, False)
    assert "events.coupon is new (string)" in failed["reason"]
    assert "schema_contract = evolve" in failed["reason"]
    assert loaded.finished("partner")["status"] == "loaded"


def test_freeze_lets_a_day_pass_that_is_as_before(bucket: Bucket, tmp_path: Path) -> None:
    assert lake(bucket, CSV, tmp_path, mode="freeze").finished("lake")["status"] == "loaded"


def test_discard_rejects_the_records_of_a_file_that_carry_the_column_and_keeps_them_whole(
    bucket: Bucket, tmp_path: Path
) -> None:
    loaded = lake(bucket, CSV_MORE, tmp_path, mode="discard")
    done = loaded.finished("lake")
    assert (done["status"], done["collected"], done["rejected"]) == ("loaded", 2, 1)
    rows = loaded.query(
        "select source_row, amount, reject_reason, reject_detail, payload from raw_lake.events order by 1"
    )
    assert rows[0][:4] == (1, "1", "unknown_column", "not in the schema contract: coupon")
    assert json.loads(rows[0][4]) == {"event_id": "e1", "amount": "1", "coupon": "x"}
    # without a value the column is not carried
    assert rows[1] == (2, "2", None, None, None)
    names = loaded.query("select column_name from information_schema.columns where table_schema = 'raw_lake'")
    assert ("coupon",) not in names
    assert changes(loaded) == ["events.coupon is new (string)"]
    # the next day it is unknown still
    assert "coupon" not in done["detail"]["columns"]["events"]


def test_discard_rejects_json_records_with_the_field_as_received(api: ScriptedApi, tmp_path: Path) -> None:
    known = {"events": {"id": ["json number", 1.0]}}
    records = [{"id": 1}, {"id": 2, "coupon": "x", "b'\"c": 1}, {"id": 3}]
    loaded = partner(api, records, tmp_path, known, mode="discard")
    rows = loaded.query("select reject_reason, reject_detail, payload from raw_partner.events order by source_row")
    assert [row[0] for row in rows] == [None, "unknown_column", None]
    assert rows[1][1] == "not in the schema contract: coupon, b'\"c"
    assert json.loads(rows[1][2]) == records[1]
    assert loaded.finished("partner")["rejected"] == 1
    assert sorted(changes(loaded, "partner")) == [
        "events.b'\"c is new (json number)",
        "events.coupon is new (json string)",
    ]


@pytest.mark.parametrize("required", [("amount",), ("events.amount",)])
def test_a_required_column_that_does_not_come_stops_its_source(
    bucket: Bucket, tmp_path: Path, required: tuple[str, ...]
) -> None:
    assert lake(bucket, CSV, tmp_path / "one", required=required).finished("lake")["status"] == "loaded"
    # also where the column is there, and empty
    for number, body in enumerate((b"event_id,sum\ne1,1\n", b"event_id,amount\ne1,\n")):
        failed = lake(bucket, body, tmp_path / str(number), required=required).finished("lake")
        assert failed["status"] == "failed"
        assert "required columns did not come: events.amount" in failed["reason"]


def test_a_required_field_of_json_that_does_not_come_stops_its_source(api: ScriptedApi, tmp_path: Path) -> None:
    failed = partner(api, [{"id": 1, "total": 5}], tmp_path, None, required=("amount",)).finished("partner")
    assert failed["status"] == "failed"
    assert "events.amount" in failed["reason"]


def test_records_that_are_no_json_change_nothing(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(PREFIX + "a.jsonl", b'{"id": 1}\n{"broken\n[1]\n' + b'{"n":' + b"9" * 5_000 + b"}\n")
    loaded = load([bucket.source()], tmp_path)
    assert loaded.finished("lake")["status"] == "loaded"
    assert set(loaded.finished("lake")["detail"]["columns"]["events"]) >= {"id"}


def test_an_empty_day_tells_nothing_of_its_columns(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put(PREFIX + "a.csv", b"event_id\n")
    loaded = load(
        [bucket.source(allow_empty=True)], tmp_path, known={"lake": KNOWN}, contracts={"lake": Contract("freeze")}
    )
    assert changes(loaded) == []
    assert loaded.finished("lake")["detail"]["columns"] == KNOWN
