"""`prune`: removes what has passed its retention, and says what it leaves alone."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from loaders.config import configured_source_names, read_sources
from supervisor.commands.answer import Place, answer, print_json
from supervisor.commands.status import COMPLETE, read_status, retention_of
from supervisor.common.command_line import command_line
from supervisor.common.outcome import Outcome
from supervisor.common.text import count, plural
from supervisor.record.archive import ArchiveError
from supervisor.record.journal import new_run_id
from supervisor.record.retention import Expired, Retention, expired_files, expired_raw
from supervisor.show.terminal import Column, Terminal
from supervisor.warehouse.lock import run_lock

_MOST_LINES = 40
_MOST_DAYS = 10


def prune(place: Place, archive: str, today: date, *, dry_run: bool, as_json: bool) -> int:
    """Remove what has passed its retention, or only say what that is."""

    def work(out: Terminal) -> int:
        retention, warehouse = retention_of(place), place.warehouse()
        problems: list[str] = []
        own_id = new_run_id(place.work_dir)
        with run_lock(warehouse.lock_path(place.work_dir), own_id, warehouse):
            open_days = find_open_days(place, own_id)
            expired = list(expired_raw(retention, warehouse, today, open_days, _reference_tables()))
            try:
                expired += expired_files(retention, place.work_dir, place.target, archive, today, open_days)
            except ArchiveError as error:
                problems.append(str(error))
            if not dry_run:
                problems += _remove(expired)
        if as_json:
            print_json(_as_values(place, retention, expired, open_days, problems, dry_run=dry_run))
        else:
            _show(place, retention, expired, open_days, out, dry_run=dry_run)
        for problem in problems:
            Terminal(sys.stderr).line(f"Error: {problem}", "red")
        return Outcome.FAILED.exit_code if problems else 0

    return answer(work)


def find_open_days(place: Place, own_id: str = "") -> frozenset[date]:
    """Return the days on which something is still to be done or looked at; `own_id` is what the command holds the lock as."""
    warehouse = place.warehouse()
    lock = warehouse.lock_path(place.work_dir)
    sources = configured_source_names()
    found = read_status(warehouse, lock, place.work_dir, sources, most_days=_EVERY_DAY, own_id=own_id)
    return frozenset(day.date for day in found.days if day.state != COMPLETE or day.note)


# of the calendar
_EVERY_DAY = (date.max - date.min).days


def _reference_tables() -> dict[str, tuple[str, ...]]:
    if not configured_source_names():
        return {}
    return {source.name: source.reference_tables() for source in read_sources()}


def _remove(expired: Sequence[Expired]) -> list[str]:
    problems = []
    for one in expired:
        try:
            one.remove()
        except (ArchiveError, OSError) as error:
            problems.append(f"{one.what} can't be removed: {error}")
    return problems


def _as_values(
    place: Place,
    retention: Retention,
    expired: Sequence[Expired],
    open_days: frozenset[date],
    problems: Sequence[str],
    *,
    dry_run: bool,
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "target": place.target,
        "retention": asdict(retention),
        "dry_run": dry_run,
        "expired": [{"kind": one.kind, "what": one.what, "size": one.size} for one in expired],
        "open_days": [day.isoformat() for day in sorted(open_days)],
        "problems": list(problems),
    }


def _show(
    place: Place,
    retention: Retention,
    expired: Sequence[Expired],
    open_days: frozenset[date],
    out: Terminal,
    *,
    dry_run: bool,
) -> None:
    out.line(f"Kept: {retention.as_words()}")
    if open_days:
        days = ", ".join(day.isoformat() for day in sorted(open_days)[:_MOST_DAYS])
        more = f" and {len(open_days) - _MOST_DAYS} more" if len(open_days) > _MOST_DAYS else ""
        out.line(f"Open, so that nothing of them is removed: {days}{more}")
    if not expired:
        out.line("Nothing has passed its retention.")
        return
    out.line()
    out.table(
        [Column("Kind", keep=True), Column("What"), Column("Size", align="right", keep=True)],
        [(one.kind, one.what, _size(one.kind, one.size)) for one in expired[:_MOST_LINES]],
    )
    if len(expired) > _MOST_LINES:
        out.line(f"and {len(expired) - _MOST_LINES} more (--json has them all)", "dim")
    sums = Counter[str]()
    for one in expired:
        sums[one.kind] += one.size
    what = ", ".join(f"{kind} {_size(kind, size)}" for kind, size in sums.items())
    out.line(f"{'Would remove' if dry_run else 'Removed'}: {what}")
    if dry_run:
        out.command(command_line(None, place.target, "prune"))


def _size(kind: str, size: int) -> str:
    return plural(size, "record") if kind == "raw" else f"{count(size)} bytes"
