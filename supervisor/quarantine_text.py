"""The quarantine for people: groups as a table, records whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from supervisor.command_line import command_line
from supervisor.figures import count, plural, visible_text
from supervisor.quarantine import Group, Shelf
from supervisor.terminal import Column, Terminal


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
    words = f"quarantine show --source {worst.source} --reason {worst.reason}"
    out.line()
    out.line("See the records of a group, whole:")
    out.command(command_line(shelf.day, target, words))
    out.line("After the rule, the mapping or the missing user has been mended:")
    out.command(command_line(shelf.day, target, "replay"))


def show_records(records: Iterable[Mapping[str, Any]], found: int, out: Terminal) -> None:
    """Write records whole, one block each; `found` is how many there are in all."""
    shown = 0
    for record in records:
        shown += 1
        out.line(f"{record['source']}  {record['source_object']}  row {record['source_row']}", "bold")
        out.line(f"  Reasons   {', '.join(record['reasons'].split(','))}")
        out.line(f"  Event id  {visible_text(record['event_id']) or '-'}")
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
