"""JSON documents and JSON lines: every record as received."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from format_helpers import LIMIT, land, read

from loaders.attempt import BATCH_BYTES
from loaders.formats import streams
from loaders.formats.files import Landed, Unreadable
from loaders.formats.json import BrokenJson, NotThere, records, simple_path


def test_json_lines_are_kept_as_received(tmp_path: Path):
    lines = ['{"a": 1.10}', '{"broken": ', " 3 ", '{"n": 1180591620717411303424, "x": NaN}']
    file = land(tmp_path, "a.jsonl", "\n".join([*lines[:2], "", "  ", *lines[2:]]).encode())
    good, bad = read(file)
    assert good == {1: lines[0], 2: lines[1], 5: lines[2], 6: lines[3]}
    assert not bad


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_unicode_with_a_mark_is_decoded(tmp_path: Path, encoding: str, name: str):
    mark = "" if encoding in ("utf-8", "utf-8-sig", "utf-16") else "\ufeff"
    body = (mark + '{"a":"é"}\r\n{"b":"猫"}').encode(encoding)
    good, bad = read(land(tmp_path, name, body))
    assert good == {1: '{"a":"é"}', 2: '{"b":"猫"}'}
    assert not bad


def test_a_latin1_line_is_rejected_with_its_bytes(tmp_path: Path):
    body = b'{"a":1}\n{"name":"Andr\xe9"}\n{"b":2}\n'
    good, bad = read(land(tmp_path, "a.jsonl", body))
    assert good == {1: '{"a":1}', 3: '{"b":2}'}
    assert bad == {2: ("undecodable_text", '{"name":"Andr\\xe9"}')}


def test_a_latin1_byte_in_a_document_costs_its_record_and_not_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [b'{"id": %d, "name": "Andr\xc3\xa9"}' % number for number in range(1, 2002)]
    rows[999] = b'{"id": 1000, "name": "Andr\xe9"}'
    body = b'{"items": [' + b", ".join(rows) + b"]}"
    # blocks of a hundred bytes end in every place of a record
    for size in (100, BATCH_BYTES):
        monkeypatch.setattr(streams, "BATCH_BYTES", size)
        good, bad = read(land(tmp_path, "a.json", body), data_selector="items")
        assert bad == {1000: ("undecodable_text", '{"id": 1000, "name": "Andr\\xe9"}')}
        assert good == {number: row.decode() for number, row in enumerate(rows, 1) if number != 1000}


def test_a_byte_that_is_no_text_outside_of_a_text_breaks_the_document(tmp_path: Path):
    good, bad = read(land(tmp_path, "a.json", b"[1, \xe9, 3]"))
    assert good == {1: "1"}
    assert bad == {2: ("json_broken", "\\xe9, 3]")}


def test_nul_becomes_a_replacement_character(tmp_path: Path):
    good, _ = read(land(tmp_path, "a.jsonl", b'{"a":"x\x00y"}\n'))
    assert good == {1: '{"a":"x\ufffdy"}'}


def test_lines_across_chunks_stay_whole(tmp_path: Path):
    line = b'{"x":"' + b"y" * 1_000_000 + b'"}'
    count = BATCH_BYTES // len(line) + 5
    file = land(tmp_path, "a.jsonl.gz", b"\n".join([line] * count))
    good, bad = read(file)
    assert len(good) == count
    assert set(good.values()) == {line.decode()}
    assert not bad


def test_a_field_of_50_mb_is_one_record(tmp_path: Path):
    line = b'{"x":"' + b"y" * 50_000_000 + b'"}'
    good, _ = read(land(tmp_path, "a.jsonl", line + b"\n{}"), max_object_bytes=2 * LIMIT)
    assert len(good[1]) == len(line)
    assert good[2] == "{}"


def test_every_line_of_many_keeps_its_number(tmp_path: Path):
    body = b"".join(b'{"id":%d}\n' % number for number in range(200_000))
    good, _ = read(land(tmp_path, "a.jsonl", body))
    assert good == {number + 1: f'{{"id":{number}}}' for number in range(200_000)}


def test_a_gzip_bomb_is_stopped_at_the_cap(tmp_path: Path):
    file = land(tmp_path, "a.jsonl.gz", b"x" * (LIMIT + 1))
    with pytest.raises(Unreadable) as caught:
        read(file)
    assert caught.value.code == "file_too_large"


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x" * 1000)[:-9]], ids=["no gzip", "cut short"])
def test_broken_gzip_is_unreadable(tmp_path: Path, body: bytes):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(body)
    with pytest.raises(Unreadable) as caught:
        read(Landed("a.jsonl.gz", path))
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
    good, bad = read(land(tmp_path, "a.json", body.encode()), data_selector=selector)
    assert good == expected
    assert not bad


def test_what_follows_a_break_in_json_is_told_as_unreadable(tmp_path: Path):
    file = land(tmp_path, "a.json", b'[{"a":1},{"b":2},{"c":')
    good, bad = read(file)
    assert good == {1: '{"a":1}', 2: '{"b":2}'}
    assert bad == {3: ("json_broken", '{"c":')}


def test_a_number_at_the_end_of_a_document_that_is_cut_short_is_no_record(tmp_path: Path):
    for rest in ("2000", "20.", "2e+", "-"):
        good, bad = read(land(tmp_path, "a.json", b"[10, " + rest.encode()))
        assert (good, bad) == ({1: "10"}, {2: ("json_broken", rest)})


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


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_document_is_the_same_in_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int):
    rows = ['{"a": "é\\u00e9 ]"}', "-1.5e10", "[1, [2]]", "NaN", "-Infinity", "true", '"\\""']
    body = '{"x": {"y": [0]}, "items": [ ' + " , ".join(rows) + ' ], "z": null}  '
    monkeypatch.setattr(streams, "BATCH_BYTES", size)
    good, bad = read(land(tmp_path, "a.json", body.encode()), data_selector="items")
    assert list(good.values()) == rows
    assert not bad
    assert read(land(tmp_path, "b.json", b'[1, 2, {"a": tru}, 3]'))[1] == {3: ("json_broken", '{"a": tru}, 3]')}


def test_a_record_without_an_end_within_the_cap_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "BATCH_BYTES", 16)
    good, bad = read(land(tmp_path, "a.json", b'[1, "' + b"x" * 1000 + b'", 2]'), max_record_bytes=100)
    assert good == {1: "1"}
    assert bad[2][0] == "record_too_large"


def test_what_breaks_in_a_later_block_is_told_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "BATCH_BYTES", 16)
    before = "[" + "1, " * 50
    good, bad = read(land(tmp_path, "a.json", (before + '"' + "x" * 1000).encode()), max_record_bytes=100)
    assert len(good) == 50
    assert bad[51][0] == "record_too_large"
    assert str(bad[51][1]).startswith('"xxx')


def test_a_member_without_its_colon_breaks_the_document(tmp_path: Path):
    good, bad = read(land(tmp_path, "a.json", b'{"items": [1], "x"=2}'), data_selector="items")
    assert good == {1: "1"}
    assert bad == {2: ("json_broken", ', "x"=2}')}


def test_a_line_above_the_cap_is_rejected_alone(tmp_path: Path):
    good, bad = read(land(tmp_path, "a.jsonl", b"1\n" + b"x" * 200 + b"\n\n3"), max_record_bytes=100)
    assert good == {1: "1", 4: "3"}
    assert bad[2][0] == "record_too_large"


@pytest.mark.parametrize("size", [3, BATCH_BYTES])
def test_a_return_alone_ends_a_line_where_there_are_no_newlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
):
    monkeypatch.setattr(streams, "BATCH_BYTES", size)
    assert read(land(tmp_path, "a.jsonl", b"1\r\r22\r333")) == ({1: "1", 3: "22", 4: "333"}, {})
