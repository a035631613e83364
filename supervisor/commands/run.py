"""The main command, `--from/--to` and `replay`: here a run meets those who listen to it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date

from supervisor.commands.answer import answer, print_json
from supervisor.common.command_line import command_line
from supervisor.common.outcome import PUBLISHED_CODES, Outcome
from supervisor.common.request import Request
from supervisor.common.secrecy import register_known_secrets
from supervisor.common.text import count, plural
from supervisor.record.events import Said, to_all
from supervisor.run.backfill import Backfill, days_of, run_backfill
from supervisor.run.command import run_day
from supervisor.run.outcome import Result, guarded
from supervisor.run.outlets import Outlets
from supervisor.run.replay import run_replay
from supervisor.run.workers import Workers
from supervisor.show.alerts import Alerts, configured_addresses
from supervisor.show.console import ConsoleMode, make_console
from supervisor.show.report.write import ReportWriter
from supervisor.show.run_log import RunLog
from supervisor.show.terminal import Column, Terminal
from supervisor.show.transcript import Transcript

_STYLES = {"ok": "green", "warning": "yellow", "failed": "red"}


def _run(request: Request, console_mode: ConsoleMode, work: Callable[[Outlets], Result]) -> Result:
    """Do a run's work with everybody who listens: the console, the log in its folder, the report, the alerts."""
    with closing(make_console(console_mode)) as console:

        def connected() -> Result:
            addresses = configured_addresses()
            register_known_secrets(addresses)
            return work(
                Outlets(to_all(Transcript(console), RunLog()), ReportWriter(), Alerts(addresses, request.work_dir).tell)
            )

        return guarded(console, connected)


def run(request: Request, console_mode: ConsoleMode, *, as_json: bool) -> int:
    """Run a day."""
    workers = Workers(request.project_dir, request.target)
    return _ended(_run(request, console_mode, lambda outlets: run_day(request, outlets, workers)), as_json)


def replay(request: Request, console_mode: ConsoleMode, *, read_references: bool, as_json: bool) -> int:
    """Build a day again from the raw records that are there."""
    workers = Workers(request.project_dir, request.target)

    def work(outlets: Outlets) -> Result:
        return run_replay(request, outlets, workers, read_references=read_references)

    return _ended(_run(request, console_mode, work), as_json)


def _ended(result: Result, as_json: bool) -> int:
    if as_json and result.summary is not None:
        print_json(result.summary.as_dict())
    return result.exit_code


def backfill(
    request: Request, span: tuple[date, date], console_mode: ConsoleMode, *, keep_going: bool, as_json: bool
) -> int:
    """Run several days."""
    workers = Workers(request.project_dir, request.target, stay=True)

    def run_one(asked: Request, position: str) -> Result:
        def work(outlets: Outlets) -> Result:
            outlets.emit(Said(position))
            return run_day(asked, outlets, workers)

        return _run(asked, console_mode, work)

    def work(out: Terminal) -> int:
        with workers:
            done = run_backfill(request, days_of(*span), keep_going=keep_going, run=run_one)
        if as_json:
            print_json(done.as_dict())
        show_backfill(done, Terminal(sys.stderr))
        return done.exit_code

    return answer(work)


def show_backfill(backfill: Backfill, out: Terminal) -> None:
    """Write how the days ended, and how to go on."""
    out.line()
    out.table(
        [
            Column("Date", keep=True),
            Column("Outcome", keep=True),
            Column("Published", align="right", keep=True),
            Column("Run", keep=True),
        ],
        [
            (
                one.date.isoformat(),
                (one.status, _style(one.exit_code)),
                count(one.summary.published) if one.summary and one.exit_code in PUBLISHED_CODES else "-",
                one.summary.run_id if one.summary else "-",
            )
            for one in backfill.outcomes
        ],
    )
    if backfill.next_command is None:
        return
    for one in backfill.outcomes:
        if one.status == Outcome.ESCALATED.status and one.summary:
            out.line(f"Why {one.date} was not published:")
            out.command(command_line(None, backfill.target, f"explain {one.summary.run_id}"))
    ended: dict[str, list[str]] = {}
    for one in backfill.open_days:
        ended.setdefault(one.status, []).append(one.date.isoformat())
    for status, days in ended.items():
        out.line(f"{plural(len(days), 'day')} {status}: {', '.join(days)}")
    out.line("To run only these days, once the cause is fixed:")
    out.command(backfill.next_command)


def _style(exit_code: int | None) -> str:
    if exit_code is None:
        return "dim"
    return _STYLES[(Outcome.of_code(exit_code) or Outcome.FAILED).mark]
