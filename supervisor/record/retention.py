"""How long what grows is kept: `[retention]` in `.dlt/config.toml`, and what has passed it by now.

Removing is repeatable, and a kill in the middle leaves nothing that a later run takes for whole: of an archived day its manifest goes
first, a run's folder gets another name before, and the raw records of a day go with the note of it in one transaction.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from loaders.providers import settings_folders
from supervisor.common.errors import UsageError
from supervisor.common.text import plural
from supervisor.record.archive import archived_days, remove_day
from supervisor.record.history import REQUEST_FILE
from supervisor.record.ledger import has_ledger, prune_raw, raw_tables
from supervisor.warehouse.base import Session, Warehouse

VARIABLE = "RETENTION__"
_GONE = ".pruned-"
"""How the name of a run's folder begins that is being removed."""
_RUN_STAMP = re.compile(r"(\d{8})_\d{6}(_\d+)?")


@dataclass(frozen=True)
class Retention:
    """Days that each kind is kept; None for ever. Days of data count from their date, folders and pages from their run.

    Attributes:
        raw_days: Raw records in the warehouse.
        archive_days: Raw files in the archive.
        landing_days: Raw files in a run's folder that the archive does not have.
        runs_days: The other content of a run's folder: log, decisions, artifacts. The warehouse keeps the run's record.
        reports_days: Reports; `report RUN_ID` writes one again.
    """

    raw_days: int | None = None
    archive_days: int | None = None
    landing_days: int | None = 7
    runs_days: int | None = 90
    reports_days: int | None = 400

    def as_words(self) -> str:
        """Say it in a line."""
        return ", ".join(
            f"{one.name.removesuffix('_days')} {'for ever' if days is None else plural(days, 'day')}"
            for one in fields(self)
            for days in [getattr(self, one.name)]
        )


def read_retention(lookback_days: int, environ: Mapping[str, str] | None = None) -> Retention:
    """Read what is configured: `RETENTION__RAW_DAYS` and the like, or `[retention]` in `.dlt/config.toml`.

    Args:
        lookback_days: The look-back window: a day within it may have to be built again, from its raw records.

    Raises:
        UsageError: An unknown key, or a value that is no number of days.
    """
    settings: dict[str, Any] = {}
    for folder in settings_folders():
        path = folder / "config.toml"
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("retention", {}) if path.is_file() else {}
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} can't be read: {error}. Repair it.") from error
        if not isinstance(table, dict):
            raise UsageError(f"{path}: retention must be a table, as in [retention] with raw_days = 400")
        settings |= table
    for name, value in (os.environ if environ is None else environ).items():
        if name.upper().startswith(VARIABLE):
            settings[name[len(VARIABLE) :].lower()] = value
    known = [one.name for one in fields(Retention)]
    for key, value in settings.items():
        if key not in known:
            raise UsageError(f"[retention] {key} is unknown. Known: {', '.join(known)}")
        settings[key] = _days(key, value)
    retention = Retention(**settings)
    if retention.raw_days is not None and retention.raw_days < lookback_days:
        raise UsageError(
            f"[retention] raw_days = {retention.raw_days} is less than lookback_days = {lookback_days} of dbt_project.yml: a day "
            f"within the look-back window may have to be built again from its raw records. Set it to {lookback_days} or more"
        )
    return retention


def _days(key: str, value: Any) -> int | None:
    if value in ("", "forever"):
        return None
    if isinstance(value, bool) or not re.fullmatch(r"[1-9][0-9]{0,5}", str(value)):
        raise UsageError(f"[retention] {key} = {value!r} is no number of days from 1 on. Try: {key} = 90, or 'forever'")
    return int(value)


@dataclass(frozen=True)
class Expired:
    """Something that has passed its retention.

    Attributes:
        kind: "raw", "archive", "landing", "runs" or "reports".
        what: Which one, for people: a day, or a path.
        size: Its bytes; of raw records their number.
        remove: Removes it; done again it does nothing.
    """

    kind: str
    what: str
    size: int
    remove: Callable[[], None]


def expired_files(
    retention: Retention, work_dir: Path, target: str, archive: str, today: date, open_days: Collection[date]
) -> Iterator[Expired]:
    """Find the files that have passed their retention. Nothing must be running.

    Args:
        retention: How long what is kept.
        work_dir: Where `runs/` and `reports/` are.
        target: Only folders of runs on this warehouse.
        archive: Folder or s3:// URL; empty for none.
        today: The day that it is in UTC.
        open_days: Days on which something is still to be done: of them nothing is removed.

    Raises:
        ArchiveError: The archive can't be read.
    """
    if archive and retention.archive_days is not None:
        for day, size in archived_days(archive).items():
            if _is_past(day, retention.archive_days, today) and day not in open_days:
                yield Expired("archive", f"{archive}/{day:%Y/%m/%d}/", size, partial(remove_day, archive, day))
    for folder in sorted((work_dir / "runs").glob(f"{_GONE}*/")):
        yield Expired("runs", f"runs/{folder.name}", _size(folder), partial(_remove_run, folder))
    for folder in sorted((work_dir / "runs").glob("[!.]*/")):
        yield from _expired_of_run(retention, folder, target, today, open_days)
    for page in sorted((work_dir / "reports").glob("quality_*.html")):
        began = _began(page.stem.removeprefix("quality_"), page)
        if _is_past(began, retention.reports_days, today):
            size = page.stat().st_size
            yield Expired("reports", f"reports/{page.name}", size, partial(page.unlink, missing_ok=True))


def _expired_of_run(
    retention: Retention, folder: Path, target: str, today: date, open_days: Collection[date]
) -> Iterator[Expired]:
    day = _day_of_run(folder, target)
    if day is None:
        return
    began, name = _began(folder.name, folder), f"runs/{folder.name}"
    # packages of a load that was killed: nothing is ever resumed
    packages = folder / "dlt"
    if packages.is_dir():
        yield Expired("landing", f"{name}/dlt", _size(packages), partial(_remove_folder, packages))
    if day in open_days:
        return
    if _is_past(began, retention.runs_days, today):
        yield Expired("runs", name, _size(folder), partial(_remove_run, folder))
    elif (landing := folder / "landing").is_dir() and _is_past(began, retention.landing_days, today):
        yield Expired("landing", f"{name}/landing", _size(landing), partial(_remove_folder, landing))


def _day_of_run(folder: Path, target: str) -> date | None:
    """The day of a run on this warehouse; None for a run on another one, and for a folder that is no run's."""
    try:
        request = json.loads((folder / REQUEST_FILE).read_text(encoding="utf-8"))
        return date.fromisoformat(request["date"]) if request["target"] == target else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remove_folder(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)


def _remove_run(folder: Path) -> None:
    # under another name first: a folder of which a part is gone would be that of a run that was killed
    gone = folder.with_name(f"{_GONE}{folder.name.removeprefix(_GONE)}")
    folder.rename(gone)
    (gone / REQUEST_FILE).unlink(missing_ok=True)
    shutil.rmtree(gone)


def _began(run_id: str, path: Path) -> date:
    found = _RUN_STAMP.fullmatch(run_id)
    try:
        return datetime.strptime(found[1] if found else "", "%Y%m%d").date()
    except ValueError:
        return date.fromtimestamp(path.stat().st_mtime)


def _is_past(day: date, kept_days: int | None, today: date) -> bool:
    return kept_days is not None and day < today - timedelta(days=kept_days)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def expired_raw(
    retention: Retention,
    warehouse: Warehouse,
    today: date,
    open_days: Collection[date],
    references: Mapping[str, Collection[str]],
) -> Iterator[Expired]:
    """Find the days whose raw records have passed their retention.

    Args:
        retention: How long what is kept.
        warehouse: Where they are.
        today: The day that it is in UTC.
        open_days: Days on which something is still to be done.
        references: Reference tables by configured source. Of them, and of every table of a source that is not configured, the newest
            day before those that are kept stays: a day on which a source fails is built with its newest snapshot.
    """
    if retention.raw_days is None or not warehouse.exists():
        return
    first_kept = today - timedelta(days=retention.raw_days)
    with warehouse.session() as session:
        days = _raw_days(session, first_kept, references) if has_ledger(session) else {}
    for day, tables in sorted(days.items()):
        if day not in open_days:
            yield Expired(
                "raw", day.isoformat(), sum(tables.values()), partial(_prune_raw, warehouse, day, tuple(tables))
            )


def _prune_raw(warehouse: Warehouse, day: date, tables: Collection[str]) -> None:
    with warehouse.transaction() as session:
        prune_raw(session, day, tables)


def _raw_days(
    session: Session, first_kept: date, references: Mapping[str, Collection[str]]
) -> dict[date, dict[str, int]]:
    """Return by day how many raw records of each table are there from before a day."""
    found: dict[date, dict[str, int]] = {}
    for table in raw_tables(session):
        source = table["table_schema"].removeprefix("raw_")
        name = f'"{table["table_schema"]}"."{table["table_name"]}"'
        rows = session.query(
            f"select load_date, count(*) as records from {name} where load_date < ? group by load_date order by load_date",
            (first_kept,),
        )
        if rows and (source not in references or table["table_name"] in references[source]):
            rows.pop()
        for row in rows:
            found.setdefault(row["load_date"], {})[name] = row["records"]
    return found
