"""The quarantine can be counted, read and exported, and an export is safe wherever it is opened."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from end_to_end.helpers import GOLDEN_DAY, Run, rows
from supervisor_asks import ask

from sandbox.figures import GOLDEN_DATE
from sandbox.generator import generate_day
from supervisor.commands.quarantine import export_records, write_records
from supervisor.common.errors import UsageError
from supervisor.record import quarantine

DAY = ("--date", GOLDEN_DAY)


def record(**fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(quarantine.FIELDS, "x")
    return {
        **empty,
        "load_date": date(2025, 11, 16),
        "source_row": 1,
        "reasons": "a,b",
        "replayed_by_run": None,
        **fields,
    }


def test_the_groups_are_those_that_were_planted(golden: Run) -> None:
    data = ask(golden.folder, "quarantine", "list", *DAY, "--json").data
    assert data["records"] == 5_100
    found = {(group["source"], group["reason"]): group["open"] for group in data["groups"]}
    planted = generate_day(GOLDEN_DATE).expected().sources
    assert found == {(name, reason): count for name, one in planted.items() for reason, count in one.reasons.items()}
    assert all(group["example"]["payload"] for group in data["groups"])


def test_the_list_shows_counts_examples_and_the_next_command(golden: Run) -> None:
    answer = ask(golden.folder, "quarantine", "list", *DAY, "--source", "api")
    assert "Quarantine of 2025-11-16: 300 records open" in answer.output
    assert "s3 " not in answer.output
    assert "events/page-" in answer.output
    assert "python orchestrate.py replay --date 2025-11-16" in answer.output


def test_show_prints_records_whole(golden: Run) -> None:
    chosen = (*DAY, "--source", "postgres", "--reason", "payload_not_json")
    answer = ask(golden.folder, "quarantine", "show", *chosen, "--limit", "2")
    assert answer.output.count("Payload") == 2
    assert "--limit 0" in answer.output
    records = [
        json.loads(line)
        for line in ask(golden.folder, "quarantine", "show", *chosen, "--limit", "0", "--json").output.splitlines()
    ]
    sql = "select payload from quarantine.quarantined_records where source = 'postgres' and reasons like '%not_json%'"
    assert Counter(one["payload"] for one in records) == Counter(payload for (payload,) in rows(golden.folder, sql))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--source", "ftp"), "'ftp'. There are: api, postgres, s3"),
        (("--reason", "orphan"), "'orphan'. There are: amount_unparsable"),
    ],
)
def test_a_source_or_reason_that_is_not_there_is_an_error_with_the_list(
    golden: Run, words: tuple[str, str], said: str
) -> None:
    for command in ("list", "show", "export"):
        answer = ask(golden.folder, "quarantine", command, *DAY, *words)
        assert answer.exit_code == 2
        assert said in answer.errors
    assert not (golden.folder / "failed_records.log").exists()


def test_a_day_that_was_never_run_is_an_error_with_the_command(golden: Run) -> None:
    answer = ask(golden.folder, "quarantine", "list", "--date", "2025-11-20")
    assert answer.exit_code == 2
    assert "python orchestrate.py --date 2025-11-20" in answer.errors


def test_an_export_holds_every_record_once_whatever_the_pages_are(
    golden: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_PAGE_ROWS", 700)
    target = tmp_path / "failed_records.log"
    answer = ask(golden.folder, "quarantine", "export", *DAY, "--output", str(target))
    assert answer.exit_code == 0
    assert "5,100 records" in answer.errors
    exported = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    table = rows(
        golden.folder, "select source, source_object, source_row, reasons, payload from quarantine.quarantined_records"
    )
    keys = ("source", "source_object", "source_row", "reasons", "payload")
    assert sorted(
        (*(one[key] for key in keys[:3]), ",".join(one["reasons"]), one["payload"]) for one in exported
    ) == sorted(table)


def test_both_formats_hold_the_same(golden: Run, tmp_path: Path) -> None:
    for form in ("jsonl", "csv"):
        ask(
            golden.folder,
            "quarantine",
            "export",
            *DAY,
            "--source",
            "api",
            "--format",
            form,
            "--output",
            str(tmp_path / form),
        )
    lines = [json.loads(line) for line in (tmp_path / "jsonl").read_text(encoding="utf-8").splitlines()]
    table = list(csv.DictReader((tmp_path / "csv").open(encoding="utf-8", newline="")))
    assert [one["payload"] for one in table] == [one["payload"] for one in lines]
    assert [one["reasons"] for one in table] == [",".join(one["reasons"]) for one in lines]
    assert tuple(table[0]) == quarantine.FIELDS


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\uff1d", "\ufeff="])
def test_no_cell_of_a_csv_export_is_a_formula(start: str) -> None:
    stream = io.StringIO(newline="")
    hostile = f"{start}cmd|' /C calc'!A0"
    write_records([record(payload=hostile, record_key=hostile, source_object=hostile)], "csv", stream)
    cells = next(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))
    for name in ("payload", "record_key", "source_object"):
        assert cells[name] == f"'{hostile}"


def test_a_record_stays_one_line_and_one_row_whatever_is_in_it() -> None:
    odd = 'a\nb\rc\x00"d",;\u2028e\u2029f\x85g \U0001f600 \u202e é 中文'
    lines, table = io.StringIO(), io.StringIO(newline="")
    write_records([record(payload=odd), record(payload=None)], "jsonl", lines)
    write_records([record(payload=odd), record(payload=None)], "csv", table)
    assert [json.loads(line)["payload"] for line in lines.getvalue().splitlines()] == [odd, None]
    assert [one["payload"] for one in csv.DictReader(io.StringIO(table.getvalue(), newline=""))] == [odd, ""]


def test_an_export_that_breaks_off_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "failed_records.log"
    target.write_text("before")

    def break_off() -> Any:
        yield record()
        raise UsageError("gone")

    with pytest.raises(UsageError, match="gone"):
        export_records(break_off(), "jsonl", target)
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["failed_records.log"]


def test_a_file_that_cannot_be_written_is_named(golden: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = ask(golden.folder, "quarantine", "export", *DAY, "--output", str(tmp_path / "file" / "x.log"))
    assert answer.exit_code == 2
    assert "x.log can't be written" in answer.errors
    assert "--output" in answer.errors
