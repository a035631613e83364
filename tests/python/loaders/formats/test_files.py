"""Which reader a file's name asks for, how it is compressed and in which encoding it is written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from format_helpers import LIMIT, land, read

from loaders.formats.files import Landed, Options, Unreadable, format_of, open_file


def zstd(body: bytes) -> bytes:
    packed: bytes = pa.compress(body, "zstd", asbytes=True)
    return packed


def test_formats_are_known_by_extension_also_gzipped():
    assert [format_of(key) for key in ("a.PARQUET", "x/b.csv.gz", "c.ndjson", "d.json.gz")] == [
        "Parquet",
        "CSV",
        "JSON lines",
        "JSON",
    ]
    assert [format_of(key) for key in ("c.csv.zst", "d.JSONL.ZST")] == ["CSV", "JSON lines"]
    assert format_of("a.xml") is None
    assert format_of("a.gz") is None


@pytest.mark.parametrize(
    ("name", "body"),
    [("a.csv.zst", b"x\n1\n"), ("a.json.zst", b"[1]"), ("a.jsonl.zst", b"1\n"), ("a.ndjson.ZST", b"1")],
)
def test_zstd_is_read_as_gzip_is(tmp_path: Path, name: str, body: bytes):
    good, bad = read(land(tmp_path, name, zstd(body)))
    assert [record[0] for record in good.values()] == ["1"]
    assert not bad


def test_a_zstd_bomb_is_stopped_at_the_cap(tmp_path: Path):
    with pytest.raises(Unreadable) as caught:
        read(land(tmp_path, "a.jsonl.zst", zstd(b"x" * (LIMIT + 1))))
    assert caught.value.code == "file_too_large"


@pytest.mark.parametrize("body", [b"no zstd", zstd(bytes(range(256)) * 50)[:-9]], ids=["no zstd", "cut short"])
def test_broken_zstd_is_unreadable(tmp_path: Path, body: bytes):
    with pytest.raises(Unreadable, match="broken zstd") as caught:
        read(land(tmp_path, "a.jsonl.zst", body))
    assert caught.value.code == "file_unreadable"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.csv.gz", "a.jsonl.zst"])
def test_what_is_compressed_otherwise_than_its_name_says_is_unreadable(tmp_path: Path, name: str):
    body = zstd(gzip.compress(b"1")) if name.endswith(".zst") else gzip.compress(b"1")
    with pytest.raises(Unreadable, match="the content is gzip, and the name says otherwise"):
        read(land(tmp_path, name, body))


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "shift_jis"])
def test_other_encodings_are_read_where_they_are_named(tmp_path: Path, encoding: str):
    word = "猫" if encoding == "shift_jis" else "é"
    csv, lines = f'id,name\n1,"{word}\n"\n', f'"{word}"\n"x"\n'
    for name, body, expected in (
        ("a.csv", csv, {1: ("1", f"{word}\n")}),
        ("a.jsonl", lines, {1: f'"{word}"', 2: '"x"'}),
        ("a.json", f'["{word}"]', {1: f'"{word}"'}),
    ):
        assert read(land(tmp_path, name, body.encode(encoding)), encoding=encoding) == (expected, {})
    # a mark says more than the configuration
    assert read(land(tmp_path, "b.csv", csv.encode("utf-8-sig")), encoding=encoding)[0] == {1: ("1", f"{word}\n")}


def test_a_byte_that_the_encoding_does_not_hold_costs_its_line(tmp_path: Path):
    good, bad = read(land(tmp_path, "a.csv", b"id,name\n1,\xe9\n2,\x81\n3,\xe9\n"), encoding="cp1252")
    assert good == {1: ("1", "é"), 3: ("3", "é")}
    assert bad == {2: ("undecodable_text", "2,\\xff")}
    # two stray bytes that are a letter in UTF-8
    assert read(land(tmp_path, "a.jsonl", b"1\n\xc3\xa5\n"), encoding="iso8859-3") == (
        {1: "1"},
        {2: ("undecodable_text", "\\xff\\xff")},
    )


def test_folders_give_columns_to_every_record_of_their_files(tmp_path: Path):
    for name, body in (("a.csv", b"x\n1\n2\n"), ("a.jsonl", b"1\n\xff\n2\n")):
        file = Landed(name, land(tmp_path, name, body).path, (("country", "DE"), ("note", None)))
        opened = open_file(file, Options())
        assert opened.names[-2:] == ("country", "note")
        (piece,) = opened.read([*opened.names[:-2], "country", "note_2"])
        assert piece.columns["country"].to_pylist() == ["DE", "DE"]
        assert piece.columns["note_2"].to_pylist() == [None, None]
