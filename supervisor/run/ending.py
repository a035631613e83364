"""How a run ends: the report, the archive, an escalation, a failure, a stop; what is recorded of it and who is told."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervisor.common.command_line import command_line
from supervisor.common.files import write_json
from supervisor.common.secrecy import redact
from supervisor.common.stopping import StopRequested
from supervisor.dbt.artifacts import ArtifactError
from supervisor.record.archive import ArchiveError, archive_day, drop_landed
from supervisor.record.events import (
    Archived,
    ArchiveSkipped,
    Measured,
    ReportFailed,
    ReportWritten,
    Said,
    WarehouseAwaited,
)
from supervisor.record.journal import report_path
from supervisor.record.ledger import correct_run, is_recorded, migrate, record_run, record_scores
from supervisor.run import advice
from supervisor.run.offenders import offending_sources, worst_offenders
from supervisor.run.outcome import EscalationError
from supervisor.run.outlets import Outlets
from supervisor.run.state import RunState
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.retry import is_warehouse_error, retry

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

# what archiving is expected to take: a start, and so many bytes a second into a folder or a bucket
_ARCHIVE_START_S, _FOLDER_BYTES_S, _BUCKET_BYTES_S = 0.2, 100e6, 10e6
# an escalated run has no budget left to wait in, but its record is worth a moment
_RECORD_S = 10.0


class RunEnd:
    """The last things that a run does, whatever happened before."""

    def __init__(self, state: RunState, warehouse: Warehouse, outlets: Outlets) -> None:
        self._state, self._warehouse, self._outlets, self._clock = state, warehouse, outlets, state.clock
        self._recorded_code: int | None = None

    # ---------------------------------------------------------------- published

    def drop_optional_work(self, sources: Sequence[str]) -> bool:
        """Decide before the publish whether there is time to archive, and record it; returns whether it is dropped."""
        archive = self._state.request.archive
        if not archive or not sources:
            return False
        folders = [self._state.run_dir / "landing" / name for name in sources]
        size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
        speed = _BUCKET_BYTES_S if archive.startswith("s3://") else _FOLDER_BYTES_S
        archive_s = _ARCHIVE_START_S + size / speed
        # publishing writes the day once more, as transforming it did
        publish_s = self._clock.elapsed("transform")
        if not self._clock.dropped("publish", publish_s, {"archive": archive_s}):
            return False
        observed = (
            f"{self._clock.remaining('publish'):.1f} s are left for publishing; it is expected to take "
            f"{publish_s:.1f} s, the archive {archive_s:.1f} s"
        )
        self._state.decide(
            "publish",
            observed,
            "drop the archive",
            "the raw files stay in the run's folder, the next run archives them",
        )
        self._state.emit(ArchiveSkipped(f"No time for the archive: {observed}"))
        return True

    def note_publication(self, code: int) -> None:
        """Remember which exit code the ledger holds of this run."""
        self._recorded_code = code

    def report(self, status: str) -> None:
        """Write the report. That it can't be written undoes nothing: the figures are in the warehouse."""
        state = self._state
        path = report_path(state.request.work_dir, state.run_id)
        state.report = f"reports/{path.name}"
        published = status != "ESCALATED"
        summary = state.summary(status)
        if self._clock.running == "publish":
            # the report is the phase's last work but one, so it tells of the phase as done
            summary = summary.with_phase("publish", "COMPLETED", self._clock.elapsed("publish"))
        try:
            self._outlets.reports.write(path, summary, self._warehouse if state.figures else None, published=published)
        except Exception as error:
            if not isinstance(error, OSError) and not is_warehouse_error(error):
                raise
            state.report = None
            problem = redact(" ".join(str(error).split()))
            state.decide(
                self._clock.running or "publish", f"the report can't be written: {problem}", "go on without the report",
                f"write it later: {command_line(None, state.request.target, f'report {state.run_id}')}",
            )  # fmt: skip
            state.emit(ReportFailed(problem))
            return
        if published:
            state.emit(ReportWritten(state.report))

    def archive(self, sources: Sequence[str]) -> None:
        """Archive the raw data that this run collected, within what is left of the phase."""
        state, request = self._state, self._state.request
        loaded = [name for name in sources if state.outcomes[name].loaded]
        if not request.archive or not loaded:
            return
        problems: list[str] = ["it was stopped at its budget"]

        def work() -> None:
            try:
                archive_day(request.archive, request.date, state.run_dir / "landing", loaded, state.run_id)
                problems.clear()
            except ArchiveError as error:
                problems[:] = [redact(str(error))]

        # a thread, because a bucket that never answers must not hold up a day that is published
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(max(1.0, self._clock.remaining("publish")))
        if problems:
            observed = f"the archive was not written: {problems[0]}"
            state.decide("publish", observed, "go on without the archive", "the raw files stay in the run's folder")
            state.emit(ArchiveSkipped(observed))
            return
        drop_landed(state.run_dir / "landing", loaded)
        state.archived = f"{request.archive}/{request.date:%Y/%m/%d}/"
        state.emit(Archived(state.archived))

    # ---------------------------------------------------------------- not published

    def escalate(self, error: Exception, *, recorded: bool = True) -> None:
        """Record why nothing is published, with the worst offenders and what a person can do.

        Args:
            error: An `EscalationError`, or what broke the run off.
            recorded: Whether the warehouse can be written to at all.
        """
        state, running = self._state, self._clock.running
        if not isinstance(error, EscalationError):
            error = _as_escalation(error, running or "collect")
        state.decide(error.phase, error.observed, "escalate", error.reason)
        unmet = state.unmet(gates=True)
        state.escalation = {
            "phase": error.phase,
            "reason": redact(f"{error.reason} ({error.observed})"),
            "metric": unmet[0].criterion.metric if unmet else None,
            "current": unmet[0].as_dict()["measured"] if unmet else None,
            "threshold": unmet[0].as_dict()["threshold"] if unmet else None,
            "subjects": list(error.subjects),
            "offenders": offending_sources(state.figures),
            "recommendation": redact(error.recommendation),
        }
        if running is not None:
            if running == "validate":
                state.emit(Measured(state.figures, state.criteria(), tuple(state.entities.values())))
            self._clock.finish(running, "FAILED", error.reason)
        if recorded:
            self._record([str(one.criterion.metric) for one in unmet], error.subjects)
            self.report("ESCALATED")

    def _record(self, metrics: Sequence[str], subjects: Sequence[str]) -> None:
        state = self._state
        assert state.escalation is not None
        if state.figures:
            state.escalation["offenders"] = self._offenders(metrics, subjects)

        def work() -> None:
            with self._warehouse.transaction() as session:
                migrate(session)
                # a commit whose connection broke may have been done all the same
                if not is_recorded(session, state.run_id):
                    if state.figures:
                        record_scores(session, state.run_id)
                    record_run(session, state.summary("ESCALATED").as_dict(), state.decisions)

        try:
            retry(work, seconds=_RECORD_S, on_retry=self._say_wait)
        except WarehouseError as problem:
            state.decide(
                state.escalation["phase"], f"the warehouse can't be written to: {problem}", "go on without the ledger",
                f"the run is told of in {state.run_dir} only",
            )  # fmt: skip

    def _offenders(self, metrics: Sequence[str], subjects: Sequence[str]) -> list[str]:
        try:
            with self._warehouse.session() as session:
                return worst_offenders(session, metrics, self._state.figures, subjects)
        except Exception as error:
            if not is_warehouse_error(error):
                raise
            return offending_sources(self._state.figures)

    def failed(self, error: Exception, trace: str) -> str:
        """Record an error that nobody foresaw; returns the run's status."""
        self._state.error = {"type": type(error).__name__, "message": redact(f"{type(error).__name__}: {error}")}
        self._say(f"unexpected error: {self._state.error['message']}")
        self._say(redact(trace))
        return self._broken_off(f"unexpected error: {self._state.error['message']}", "stop")

    def stopped(self, stop: StopRequested) -> str:
        """Record that somebody stopped the run; returns the run's status."""
        self._state.error = {"type": "StopRequested", "message": str(stop)}
        self._state.exit_code = stop.exit_code
        self._say(f"{stop}: the run's processes have been ended, what was published stays")
        return self._broken_off(str(stop), "stop at once")

    def _broken_off(self, observed: str, decision: str) -> str:
        phase = self._clock.running
        published = self._recorded_code is not None or (phase == "publish" and self._is_published())
        came = "the day was published before" if published else "nothing was published, the same command starts anew"
        self._state.decide(phase or "collect", observed, decision, came)
        if phase is not None:
            # a phase that has published is through, whatever came after
            self._clock.finish(phase, "COMPLETED WITH WARNINGS" if published else "FAILED", observed)
        return "FAILED"

    def _is_published(self) -> bool:
        with contextlib.suppress(Exception), self._warehouse.session() as session:
            return is_recorded(session, self._state.run_id)
        return False

    # ---------------------------------------------------------------- in any case

    def conclude(self, status: str) -> Summary:
        """Write `summary.json`, tell whoever must know, and return the summary."""
        state = self._state
        # packages of loads that failed: none is ever resumed
        shutil.rmtree(state.run_dir / "dlt", ignore_errors=True)
        code = state.code_of(status)
        if self._recorded_code is not None and code != self._recorded_code and status != "FAILED":
            # the deadline passed after the publish: what the ledger says must not be better than what was
            missed = "; ".join(advice.unmet(one) for one in state.unmet(gates=False))
            state.decide("publish", missed, "say so", f"exit code {code}")
            self._correct(status)
        summary = state.summary(status)
        state.alert = self._outlets.notify(summary)
        if state.alert is not None:
            summary = summary.model_validate({**summary.as_dict(), "alert": state.alert})
            if state.alert["problem"]:
                self._say(f"alert ({state.alert['kind']}): {state.alert['problem']}")
        try:
            write_json(state.run_dir / "summary.json", summary.as_dict())
        except OSError as problem:
            self._say(f"{state.run_dir / 'summary.json'} can't be written: {problem.strerror}")
        return summary

    def _correct(self, status: str) -> None:
        def work() -> None:
            with self._warehouse.transaction() as session:
                correct_run(session, self._state.summary(status).as_dict(), self._state.decisions)

        try:
            retry(work, seconds=_RECORD_S, on_retry=self._say_wait)
        except WarehouseError as problem:
            self._say(f"the ledger can't be corrected: {problem}")

    def _say(self, text: str) -> None:
        self._state.emit(Said(text, is_error=True))

    def _say_wait(self, problem: str, wait_s: float) -> None:
        self._state.emit(WarehouseAwaited(problem, wait_s))


def _as_escalation(error: Exception, phase: str) -> EscalationError:
    reason, recommendation = "the warehouse can't be used", "bring the warehouse back"
    if isinstance(error, ArtifactError):
        reason, recommendation = "dbt's results can't be read", "install the dbt release that requirements.lock names"
    observed = " ".join(str(error).split())
    return EscalationError(
        phase, observed, reason, f"{recommendation}, then run the same command", [type(error).__name__]
    )
