"""The origin's `failed_records.log`: quarantined records as JSON lines or CSV, written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TextIO

from supervisor.quarantine import FIELDS
from supervisor.settings import UsageError

Format = Literal["jsonl", "csv"]
# what makes a spreadsheet take a cell for a formula, the full-width forms too; https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# valid in JSON, but line ends to many a reader of lines
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def export_records(records: Iterable[Mapping[str, Any]], form: Format, output: Path) -> int:
    """Write records to a file, one after the other, and return how many they were.

    Raises:
        UsageError: The file can't be written.
    """
    partial = output.with_name(f".{output.name}.partial")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            count = write_records(records, form, stream)
        partial.replace(output)
    except OSError as error:
        raise UsageError(
            f"{output} can't be written: {error.strerror or error}. Name another file with --output"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return count


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
