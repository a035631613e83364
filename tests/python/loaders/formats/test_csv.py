"""CSV: every line is a record or a rejected one, whatever the quotes say."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_helpers import land, read

from loaders.formats import csv as reader
from loaders.formats import streams
from loaders.formats.files import Landed, Options, Unreadable, open_file


def csv_of(folder: Path, body: bytes, name: str = "a.csv", **options: Any) -> Any:
    return read(land(folder, name, body), **options)


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
    good, bad = csv_of(tmp_path, b"1,2\n3,4,5\n6,7", csv_header=False, columns=("x", "y"))
    assert good == {1: ("1", "2"), 3: ("6", "7")}
    assert bad == {2: ("csv_ragged_line", "3,4,5")}


@pytest.mark.parametrize("body", [b"", b"\n", b"a,b\n", b"a,b"])
def test_csv_without_lines_has_no_records(tmp_path: Path, body: bytes):
    assert csv_of(tmp_path, body) == ({}, {})


def test_a_return_alone_ends_a_line_and_the_header(tmp_path: Path):
    good, bad = csv_of(tmp_path, b'a,b\r1,2\r3,"x\ry"\r4\r5,6')
    assert good == {1: ("1", "2"), 2: ("3", "x\ry"), 4: ("5", "6")}
    assert bad == {3: ("csv_ragged_line", "4")}


def test_line_ends_may_fall_between_two_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expected = {number: (f"{number}", "x") for number in range(1, 40)}
    for end in ("\n", "\r", "\r\n"):
        body = ("a,b" + end + end.join(f"{number},x" for number in expected)).encode()
        for size in range(1, 12):
            monkeypatch.setattr(streams, "BATCH_BYTES", size)
            assert csv_of(tmp_path, body) == (expected, {})


def test_a_line_above_the_cap_is_rejected_with_how_it_begins(tmp_path: Path):
    good, bad = csv_of(tmp_path, b"a,b\n1,2\n3," + b"y" * 100 + b"\n5,6\n", max_record_bytes=50)
    assert good == {1: ("1", "2"), 3: ("5", "6")}
    assert bad[2][0] == "record_too_large"
    assert str(bad[2][1]).startswith("3,yyy")


def test_an_unclosed_quote_reads_each_line_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read_lines = []
    real = reader._unified
    monkeypatch.setattr(reader, "_unified", lambda line: read_lines.append(line) or real(line))
    body = b"a,b\n" + (b'1,"2\n' + b"3,4\n" * 2000) * 10
    good, bad = csv_of(tmp_path, body)
    assert len(good) == 20_000
    assert {reason for reason, _ in bad.values()} == {"csv_unclosed_quote"}
    # at most a thousand lines are looked at for each of them
    assert len(read_lines) <= 10 * 1000


def test_a_cut_line_of_a_broken_file_is_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "BATCH_BYTES", 1_000)
    body = gzip.compress(b"id,amount\n" + b"".join(b"%d,100\n" % number for number in range(5_000)))
    path = tmp_path / "a.csv.gz"
    path.write_bytes(body[:-2000])
    opened = open_file(Landed("a.csv.gz", path), Options())
    pieces = []
    with pytest.raises(Unreadable):
        pieces.extend(opened.read(["id", "amount"]))
    assert pieces
    assert all(set(piece.columns["amount"].to_pylist()) == {"100"} for piece in pieces)


def test_a_line_of_nothing_but_delimiters_is_a_record(tmp_path: Path):
    good, bad = csv_of(tmp_path, b'a\tb\n"1"\t2\n\t\n\xff\t1\n', csv_delimiter="\t")
    assert good == {1: ("1", "2"), 2: ("", "")}
    assert bad[3][0] == "undecodable_text"


def test_a_wrong_delimiter_is_told_with_the_one_that_was_seen(tmp_path: Path):
    for delimiter, body in ((",", b"id;name\n1;x\n"), (";", b"id\tname\n"), ("|", b"id,first, last\n")):
        with pytest.raises(Unreadable) as caught:
            csv_of(tmp_path, body, csv_delimiter=delimiter)
        assert caught.value.code == "csv_delimiter"
        assert f"csv_delimiter = {delimiter!r}" in caught.value.detail
        assert "holds " + repr(next(mark for mark in ";\t," if mark.encode() in body)) in caught.value.detail
    # one column it may be all the same
    assert csv_of(tmp_path, b'"a;b"\n1\n') == ({1: ("1",)}, {})
    assert csv_of(tmp_path, b"a b\n1;2\n") == ({1: ("1;2",)}, {})


@pytest.mark.parametrize("stray", [b"", b"\xff|'x'\n"], ids=["sound", "careful"])
def test_quotes_and_escapes_are_those_of_the_dialect(tmp_path: Path, stray: bytes):
    body = stray + b"1|'a|b'\n2|'it''s\nme'\n3|\"c\n"
    good, _ = csv_of(tmp_path, b"id|note\n" + body, csv_delimiter="|", csv_quote="'")
    assert list(good.values()) == [("1", "a|b"), ("2", "it's\nme"), ("3", '"c')]
    good, bad = csv_of(tmp_path, b"id|note\n" + stray + b'1|"a\n2|b"\n', csv_delimiter="|", csv_quote="none")
    assert list(good.values()) == [("1", '"a'), ("2", 'b"')]
    assert len(bad) == bool(stray)


def test_an_escape_takes_its_meaning_from_a_delimiter_a_quote_and_a_line_end(tmp_path: Path):
    body = rb"""id,note
1,a\,b
2,"say \"x\", y"
3,two\
lines
4,plain
5,"cut
"""
    good, bad = csv_of(tmp_path, body, csv_escape="\\")
    assert good == {1: ("1", "a,b"), 2: ("2", 'say "x", y'), 3: ("3", "two\nlines"), 4: ("4", "plain")}
    assert bad == {5: ("csv_unclosed_quote", '5,"cut')}
