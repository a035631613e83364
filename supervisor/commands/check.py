"""`check`: can every source and the warehouse be reached, and with what rights."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from loaders.config import configured_tables, read_sources
from loaders.kinds.checks import Check
from loaders.redact import redact
from loaders.sources import check_source
from supervisor.commands.answer import Place, answer, print_json, say_note
from supervisor.common.errors import UsageError
from supervisor.common.request import Sandbox
from supervisor.dbt.declarations import check_tables, read_declarations
from supervisor.show.terminal import Column, Terminal
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.check import check_warehouse
from supervisor.warehouse.reading import why_unreadable

WAREHOUSE, PROJECT = "warehouse", "project"


@dataclass(frozen=True)
class CheckResult:
    """One thing that was tried, of a source or of the warehouse."""

    what: str
    check: str
    ok: bool
    detail: str
    missing_right: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dict(self.__dict__)


def check_all(warehouse: Warehouse, day: date, work_dir: Path, project_dir: Path) -> list[CheckResult]:
    """Check what the project declares, then the sources, all at once, and then the warehouse.

    Raises:
        ConfigurationError: A source is not configured as it must be.
    """
    sources = read_sources()
    with ThreadPoolExecutor(max_workers=8) as pool:
        checked = list(pool.map(lambda source: check_source(source, day), sources))
    found = [
        CheckResult(source.name, one.name, one.ok, redact(one.detail), one.missing_right)
        for source, checks in zip(sources, checked, strict=True)
        for one in checks
    ]
    if reason := why_unreadable(warehouse, work_dir):
        tried = [Check("connect", True, f"not tried: {reason}")]
    else:
        tried = check_warehouse(warehouse, [source.name for source in sources])
    return [_check_project(project_dir), *found] + [
        CheckResult(WAREHOUSE, one.name, one.ok, redact(one.detail), one.missing_right) for one in tried
    ]


def _check_project(project_dir: Path) -> CheckResult:
    """Whether what the project declares is understood, and a model reads each table that a source fills."""
    try:
        declared = read_declarations(project_dir)
        check_tables(declared, configured_tables())
    except UsageError as error:
        return CheckResult(PROJECT, "declared", False, str(error), None)
    return CheckResult(PROJECT, "declared", True, f"entities: {', '.join(declared.entities) or 'none'}", None)


def show_checks(results: Sequence[CheckResult], day: date, out: Terminal) -> None:
    """Write the checks as a table, then each missing right by name."""
    out.line(f"Sources for {day}, and the warehouse")
    out.line()
    out.table(
        [Column("What", keep=True), Column("Check", keep=True), Column("Result", keep=True), Column("Detail")],
        [(one.what, one.check, ("ok", "green") if one.ok else ("FAILED", "red"), one.detail) for one in results],
    )
    out.line()
    failed = [one for one in results if not one.ok]
    for one in failed:
        if one.missing_right:
            out.line(f"{one.what} lacks: {one.missing_right}", "red")
    out.line(
        "Everything can be reached, and every table is read."
        if not failed
        else f"{len(failed)} of {len(results)} checks failed."
    )


def check(place: Place, day: date, sandbox: Sandbox, as_json: bool) -> int:
    """Try the sources and the warehouse; exit code 1 when something can't be reached or a right is missing."""

    def work(out: Terminal) -> int:
        with sandbox(day) as notes:
            for line in notes:
                say_note(line)
            results = check_all(place.warehouse(), day, place.work_dir, place.project_dir)
        ok = all(one.ok for one in results)
        if as_json:
            print_json(
                {"schema_version": 1, "date": day.isoformat(), "ok": ok, "checks": [one.as_dict() for one in results]}
            )
        else:
            show_checks(results, day, out)
        return 0 if ok else 1

    return answer(work)
