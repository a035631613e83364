"""`--from/--to` and `replay`: ways to run days."""

from __future__ import annotations

import sys
from datetime import date

from supervisor.commands.answer import answer, print_json
from supervisor.common.request import Request
from supervisor.run.backfill import days_of, run_backfill, show_backfill
from supervisor.run.replay import run_replay
from supervisor.show.terminal import Terminal


def backfill(request: Request, span: tuple[date, date], *, keep_going: bool, as_json: bool) -> int:
    """Run several days."""

    def work(out: Terminal) -> int:
        done = run_backfill(request, days_of(*span), keep_going=keep_going)
        if as_json:
            print_json(done.as_dict())
        show_backfill(done, Terminal(sys.stderr))
        return done.exit_code

    return answer(work)


def replay(request: Request, *, read_references: bool, as_json: bool) -> int:
    """Build a day again from the raw records that are there."""
    result = run_replay(request, read_references=read_references)
    if as_json and result.summary is not None:
        print_json(result.summary)
    return result.exit_code
