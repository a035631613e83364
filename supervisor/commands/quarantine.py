"""The quarantine for people: groups as a table, records whole."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal, TextIO

from supervisor.commands.answer import Place, answer, print_json, say_note
from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.files import replaced
from supervisor.common.text import count, plural, visible_text
from supervisor.record.quarantine import (
    FIELDS,
    Choice,
    Group,
    Shelf,
    count_records,
    find_shelf,
    read_groups,
    read_records,
)
from supervisor.show.terminal import Column, Terminal
from supervisor.warehouse.base import Session
from supervisor.warehouse.reading import reading

Format = Literal["jsonl", "csv"]
# what makes a spreadsheet take a cell for a formula, the full-width forms too; https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# valid in JSON, but line ends to many a reader of lines
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def show_groups(shelf: Shelf, groups: Sequence[Group], records: int, target: str, out: Terminal) -> None:
    """Write the groups of a day, and how to see or replay their records.

    Args:
        shelf: Where they lie.
        groups: The largest first.
        target: The warehouse's target, for the next command.
        out: Where to write.
        records: How many open records they are; one with several reasons is in several groups.
    """
    out.line(f"Quarantine of {shelf.day}: {plural(records, 'record')} open (run {shelf.run_id})")
    if shelf.note:
        out.line(shelf.note, "yellow")
    if not groups:
        return
    out.line()
    has_history = any(group.replayed for group in groups)
    out.table(
        [
            Column("Source", keep=True),
            Column("Reason", keep=True),
            Column("Open", align="right", keep=True),
            *([Column("Replayed", align="right", keep=True)] if has_history else []),
            Column("First example"),
        ],
        [
            (
                group.source,
                group.reason,
                count(group.open),
                *([count(group.replayed)] if has_history else []),
                (f"{group.example['source_object']}:{group.example['source_row']}", "dim"),
            )
            for group in groups
        ],
    )
    if sum(group.open for group in groups) > records:
        out.line("A record with several reasons is counted under each of them.", "dim")
    worst = groups[0]
    words = f"quarantine show --source {shlex.quote(worst.source)} --reason {shlex.quote(worst.reason)}"
    out.line()
    out.line("See the records of a group, whole:")
    out.command(command_line(shelf.day, target, words))
    out.line("After the rule, the mapping or the missing reference has been fixed:")
    out.command(command_line(shelf.day, target, "replay", options=shelf.options))


def show_records(records: Iterable[Mapping[str, Any]], found: int, out: Terminal) -> None:
    """Write records whole, one block each; `found` is how many there are in all."""
    shown = 0
    for record in records:
        shown += 1
        out.line(f"{record['source']}  {record['source_object']}  row {record['source_row']}", "bold")
        out.line(f"  Entity    {record['entity']}")
        out.line(f"  Reasons   {', '.join(record['reasons'].split(','))}")
        out.line(f"  Key       {visible_text(record['record_key']) or '-'}")
        out.line(f"  Status    {_status(record)}")
        payload = record["payload"]
        out.line(f"  Payload   {'none: the record could not be read' if payload is None else visible_text(payload)}")
        out.line()
    if not found:
        out.line("No record has both: see which reasons each source has with quarantine list.")
    elif shown < found:
        out.line(
            f"{count(shown)} of {plural(found, 'record')} shown; --limit 0 shows all, export writes them to a file.",
            "dim",
        )


def _status(record: Mapping[str, Any]) -> str:
    if record["status"] == "replayed":
        return f"replayed by run {record['replayed_by_run']} (quarantined by run {record['run_id']})"
    return f"{record['status']} (quarantined by run {record['run_id']})"


def quarantine_list(place: Place, day: date, choice: Choice, held_back: bool, as_json: bool) -> int:
    """Count the quarantined records of a day by source and reason."""

    def work(out: Terminal) -> int:
        with reading(place.warehouse(), place.work_dir) as session:
            shelf = find_shelf(session, day, place.target, held_back=held_back)
            groups = read_groups(session, shelf, choice)
            records = count_records(session, shelf, choice)
        if as_json:
            print_json(
                {
                    "schema_version": 1,
                    "date": day.isoformat(),
                    "run_id": shelf.run_id,
                    "published": shelf.is_published,
                    "records": records,
                    "groups": [group.as_dict() for group in groups],
                }
            )
        else:
            show_groups(shelf, groups, records, place.target, out)
        return 0

    return answer(work)


def quarantine_show(place: Place, day: date, choice: Choice, held_back: bool, limit: int, as_json: bool) -> int:
    """Write quarantined records whole."""

    def work(out: Terminal) -> int:
        with reading(place.warehouse(), place.work_dir) as session:
            shelf = _shelf(session, place, day, choice, held_back)
            records = read_records(session, shelf, choice, limit or None)
            if as_json:
                write_records(records, "jsonl", sys.stdout)
                return 0
            found = count_records(session, shelf, choice)
            show_records(records, found, out)
            say_note(shelf.note)
        return 0

    return answer(work)


def quarantine_export(place: Place, day: date, choice: Choice, held_back: bool, form: Format, output: Path) -> int:
    """Write quarantined records to a file, or to standard output for `-`."""

    def work(out: Terminal) -> int:
        with reading(place.warehouse(), place.work_dir) as session:
            shelf = _shelf(session, place, day, choice, held_back)
            records = read_records(session, shelf, choice)
            if str(output) == "-":
                write_records(records, form, sys.stdout)
                return 0
            count = export_records(records, form, output)
            say_note(shelf.note)
        Terminal(sys.stderr).line(f"{plural(count, 'record')} written to {output}")
        return 0

    return answer(work)


def _shelf(session: Session, place: Place, day: date, choice: Choice, held_back: bool) -> Shelf:
    shelf = find_shelf(session, day, place.target, held_back=held_back)
    # a source or a reason that is not there is a typo, and not an empty answer
    read_groups(session, shelf, choice)
    return shelf


def export_records(records: Iterable[Mapping[str, Any]], form: Format, output: Path) -> int:
    """Write records to a file, one after the other, and return how many they were.

    Raises:
        UsageError: The file can't be written.
    """
    try:
        with (
            replaced(output) as partial,
            partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        ):
            return write_records(records, form, stream)
    except OSError as error:
        raise UsageError(
            f"{output} can't be written: {error.strerror or error}. Name another file with --output"
        ) from error


def write_records(records: Iterable[Mapping[str, Any]], form: Format, stream: TextIO) -> int:
    """Write records to an open text stream and return how many they were."""
    write = _csv_writer(stream) if form == "csv" else _json_writer(stream)
    count = 0
    for record in records:
        write(record)
        count += 1
    return count


def json_values(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as JSON values; its reasons become a list."""
    return {**record, "load_date": record["load_date"].isoformat(), "reasons": record["reasons"].split(",")}


def _json_writer(stream: TextIO) -> Callable[[Mapping[str, Any]], None]:
    def write(record: Mapping[str, Any]) -> None:
        line = json.dumps(json_values(record), ensure_ascii=False)
        for character, escape in _LINE_ENDS.items():
            line = line.replace(character, escape)
        stream.write(line + "\n")

    return write


def _csv_writer(stream: TextIO) -> Callable[[Mapping[str, Any]], None]:
    # all cells quoted: a list separator within one must not begin another cell in any locale
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(FIELDS)

    def write(record: Mapping[str, Any]) -> None:
        writer.writerow([_cell(record[name]) for name in FIELDS])

    return write


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    if text.startswith(_FORMULA_STARTS) or text.lstrip(" \xa0\ufeff").startswith(_FORMULA_STARTS):
        return f"'{text}"
    return text
