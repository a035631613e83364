"""The commands around the main one: each gathers its answer, writes it for people or as JSON, and returns an exit code.

What was asked for goes to standard output; hints, notes and errors go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from loaders.config import configured_source_names
from supervisor.backfill import days_of, run_backfill, show_backfill
from supervisor.command import Request, Result, Sandbox, guarded, lock_path
from supervisor.command_line import command_line
from supervisor.explain import explain_run
from supervisor.explain_text import show_explanation
from supervisor.figures import plural
from supervisor.history import newest_run
from supervisor.plan import render_plan
from supervisor.plan_day import plan_day
from supervisor.project_init import init_project, show_project
from supervisor.quarantine import Choice, Shelf, count_records, find_shelf, read_groups, read_records
from supervisor.quarantine_export import Format, export_records, write_records
from supervisor.quarantine_text import show_groups, show_records
from supervisor.reading import reading, reading_if_possible, why_unreadable
from supervisor.reports import find_run, report_path, write_report
from supervisor.settings import UsageError
from supervisor.status import read_status
from supervisor.status_text import show_status
from supervisor.terminal import Terminal
from supervisor.warehouse import Session, Warehouse, open_warehouse


@dataclass(frozen=True)
class Place:
    """Where a command works.

    Attributes:
        project_dir: Where dbt_project.yml is.
        work_dir: Where runs/, reports/ and the warehouse file are.
        target: Target of profiles.yml.
    """

    project_dir: Path
    work_dir: Path
    target: str

    def warehouse(self) -> Warehouse:
        """The warehouse of the target."""
        return open_warehouse(self.target)


class _Errors:
    """Says on standard error what went wrong."""

    def message(self, text: str, *, error: bool = False) -> None:
        """Say something."""
        for number, line in enumerate(text.splitlines()):
            Terminal(sys.stderr).line(f"Error: {line}" if error and number == 0 else line)


def _answer(work: Callable[[Terminal], int]) -> int:
    def write() -> Result:
        try:
            code = work(Terminal())
            sys.stdout.flush()
            return Result(code)
        except BrokenPipeError:
            # who reads has seen enough, as `head` does; what is left to write goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Result(0)

    return guarded(_Errors(), write).exit_code


def _note(text: str) -> None:
    if text:
        Terminal(sys.stderr).line(text, "yellow")


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")


def status(place: Place, span: tuple[date, date] | None, as_json: bool) -> int:
    """Say which days are there and what they lack."""

    def work(out: Terminal) -> int:
        if span is not None:
            days_of(*span)
        warehouse = place.warehouse()
        lock = lock_path(warehouse, place.work_dir)
        found = read_status(warehouse, lock, place.work_dir, configured_source_names(), span)
        if as_json:
            _print_json(found.as_dict())
        else:
            show_status(found, out)
        return 0

    return _answer(work)


def backfill(request: Request, span: tuple[date, date], *, keep_going: bool, as_json: bool) -> int:
    """Run several days."""

    def work(out: Terminal) -> int:
        done = run_backfill(request, days_of(*span), keep_going=keep_going)
        if as_json:
            _print_json(done.as_dict())
        show_backfill(done, Terminal(sys.stderr))
        return done.exit_code

    return _answer(work)


def explain(place: Place, run_id: str | None, as_json: bool) -> int:
    """Say what a run saw, decided and changed."""

    def work(out: Terminal) -> int:
        warehouse = place.warehouse()
        with reading_if_possible(warehouse, place.work_dir) as session:
            explanation = explain_run(session, place.work_dir, place.target, run_id)
        if as_json:
            _print_json(explanation.as_dict())
        else:
            show_explanation(explanation, place.target, out)
        _note(why_unreadable(warehouse, place.work_dir))
        return 0

    return _answer(work)


def plan(place: Place, day: date, goal_path: Path, sandbox_sources: Mapping[str, str], as_json: bool) -> int:
    """Say how a day will be run."""

    def work(out: Terminal) -> int:
        planned, note = plan_day(
            place.warehouse(),
            day,
            goal_path=goal_path,
            project_dir=place.project_dir,
            work_dir=place.work_dir,
            sandbox_sources=sandbox_sources,
        )
        _note(note)
        if as_json:
            _print_json(planned.as_dict())
        else:
            for line in render_plan(planned).splitlines():
                out.line(line)
        return 0

    return _answer(work)


def check(place: Place, day: date, sandbox: Sandbox, as_json: bool) -> int:
    """Try the sources and the warehouse; exit code 1 when something can't be reached or a right is missing."""
    from supervisor.check import check_all, show_checks

    def work(out: Terminal) -> int:
        with sandbox(day) as notes:
            for line in notes:
                _note(line)
            results = check_all(place.warehouse(), day, place.work_dir)
        ok = all(one.ok for one in results)
        if as_json:
            _print_json(
                {"schema_version": 1, "date": day.isoformat(), "ok": ok, "checks": [one.as_dict() for one in results]}
            )
        else:
            show_checks(results, day, out)
        return 0 if ok else 1

    return _answer(work)


def report(place: Place, run_id: str | None, day: date | None, output: Path | None) -> int:
    """Write a run's report again; prints where it is."""

    def work(out: Terminal) -> int:
        with reading(place.warehouse(), place.work_dir) as session:
            wanted = run_id
            if wanted is None:
                newest = newest_run(session, day)
                if newest is None:
                    raise UsageError(f"{day or 'no day'} was never run. Run: {command_line(day, place.target)}")
                wanted = newest.run_id
            run = find_run(session, place.work_dir, wanted)
            if run is None:
                explain_run(session, place.work_dir, place.target, wanted)
                raise UsageError(f"run '{wanted}' never ended, so there is nothing to report")
            path = output or report_path(place.work_dir, run.run_id)
            try:
                _note(write_report(session, run, path))
            except OSError as error:
                raise UsageError(
                    f"{path} can't be written: {error.strerror}. Name another file with --output"
                ) from error
        out.line(str(path))
        return 0

    return _answer(work)


def quarantine_list(place: Place, day: date, choice: Choice, held_back: bool, as_json: bool) -> int:
    """Count the quarantined records of a day by source and reason."""

    def work(out: Terminal) -> int:
        with reading(place.warehouse(), place.work_dir) as session:
            shelf = find_shelf(session, day, place.target, held_back=held_back)
            groups = read_groups(session, shelf, choice)
            records = count_records(session, shelf, choice)
        if as_json:
            _print_json(
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

    return _answer(work)


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
            _note(shelf.note)
        return 0

    return _answer(work)


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
            _note(shelf.note)
        Terminal(sys.stderr).line(f"{plural(count, 'record')} written to {output}")
        return 0

    return _answer(work)


def _shelf(session: Session, place: Place, day: date, choice: Choice, held_back: bool) -> Shelf:
    shelf = find_shelf(session, day, place.target, held_back=held_back)
    # a source or a reason that is not there is a typo, and not an empty answer
    read_groups(session, shelf, choice)
    return shelf


def replay(request: Request, *, read_references: bool, as_json: bool) -> int:
    """Build a day again from the raw records that are there."""
    from supervisor.replay import run_replay

    result = run_replay(request, read_references=read_references)
    if as_json and result.summary is not None:
        _print_json(result.summary)
    return result.exit_code


def init(program_dir: Path, folder: Path) -> int:
    """Make a folder a project of the user's own."""

    def work(out: Terminal) -> int:
        show_project(init_project(program_dir, folder), Path.cwd(), out)
        return 0

    return _answer(work)
