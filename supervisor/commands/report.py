"""`report`: write a run's report again."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from supervisor.commands.answer import Place, answer, say_note
from supervisor.commands.explain import explain_run
from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.record.history import local_run, newest_run, read_run
from supervisor.record.journal import report_path
from supervisor.show.report.write import ReportWriter
from supervisor.show.terminal import Terminal
from supervisor.warehouse.reading import reading


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
            run = local_run(place.work_dir, wanted) or read_run(session, wanted)
            if run is None:
                explain_run(session, place.work_dir, place.target, wanted)
                raise UsageError(f"run '{wanted}' never ended, so there is nothing to report")
            path = output or report_path(place.work_dir, run.run_id)
            try:
                say_note(ReportWriter().write_again(session, run, path))
            except OSError as error:
                raise UsageError(
                    f"{path} can't be written: {error.strerror}. Name another file with --output"
                ) from error
        out.line(str(path))
        return 0

    return answer(work)
