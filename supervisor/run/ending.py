"""How a run ends: the report, the archive, an escalation, a failure, a stop; what is recorded of it and who is told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervisor.common.files import write_json
from supervisor.common.secrecy import redact
from supervisor.common.stopping import StopRequested
from supervisor.dbt.artifacts import ArtifactError
from supervisor.record.archive import ArchiveError, archive_day
from supervisor.record.ledger import correct_run, is_recorded, migrate, record_run, record_scores
from supervisor.run.offenders import offending_sources, worst_offenders
from supervisor.run.outcome import EscalationError
from supervisor.run.state import RunState
from supervisor.show import transcript
from supervisor.show.alerts import Alerts
from supervisor.show.console_tree import Console
from supervisor.show.report.data import ReportData, read_report_data
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.retry import insist, is_warehouse_error

# what archiving is expected to take: a start, and so many bytes a second into a folder or a bucket
_ARCHIVE_START_S, _FOLDER_BYTES_S, _BUCKET_BYTES_S = 0.2, 100e6, 10e6
# an escalated run has no budget left to wait in, but its record is worth a moment
_RECORD_S = 10.0


class RunEnd:
    """The last things that a run does, whatever happened before.

    Args:
        state: What is known of the run.
        run_dir: The run's folder.
        alerts: Who is told.
    """

    def __init__(self, state: RunState, warehouse: Warehouse, console: Console, run_dir: Path, alerts: Alerts) -> None:
        self._state, self._warehouse, self._console, self._run_dir = state, warehouse, console, run_dir
        self._clock, self._journal, self._alerts = state.clock, state.journal, alerts
        self._recorded_code: int | None = None

    # ---------------------------------------------------------------- published

    def drop_optional_work(self, sources: Sequence[str]) -> bool:
        """Decide before the publish whether there is time to archive, and record it; returns whether it is dropped."""
        settings = self._state.settings
        if not settings.archive or not sources:
            return False
        folders = [self._run_dir / "landing" / name for name in sources]
        size = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
        speed = _BUCKET_BYTES_S if settings.archive.startswith("s3://") else _FOLDER_BYTES_S
        archive_s = _ARCHIVE_START_S + size / speed
        # publishing writes the day once more, as transforming it did
        publish_s = self._clock.elapsed("transform")
        if not self._clock.dropped("publish", publish_s, {"archive": archive_s}):
            return False
        observed = (
            f"{self._clock.remaining('publish'):.1f} s are left for publishing; it is expected to take "
            f"{publish_s:.1f} s, the archive {archive_s:.1f} s"
        )
        self._journal.record(
            "publish",
            observed,
            "drop the archive",
            "the raw files stay in the run's folder, the next run archives them",
        )
        self._console.step(("archive",), f"No time for the archive: {observed}", "warning")
        return True

    def note_publication(self, code: int) -> None:
        """Remember which exit code the ledger holds of this run."""
        self._recorded_code = code

    def report(self, status: str) -> None:
        """Write the report. That it can't be written undoes nothing: the figures are in the warehouse."""
        state = self._state
        path = state.settings.work_dir / "reports" / f"quality_{state.run_id}.html"
        state.report = f"reports/{path.name}"
        try:
            page = self._render(status)
            path.parent.mkdir(exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            partial.write_text(page, encoding="utf-8")
            partial.replace(path)
        except Exception as error:
            if not isinstance(error, OSError) and not is_warehouse_error(error):
                raise
            state.report = None
            problem = redact(" ".join(str(error).split()))
            self._journal.record(
                self._clock.running or "publish", f"the report can't be written: {problem}", "go on without the report",
                f"write it later: python orchestrate.py report {state.run_id}",
            )  # fmt: skip
            self._console.step(("report",), f"Quality report: {problem}", "failed")
            return
        if status != "ESCALATED":
            transcript.reported(self._console, state.report)

    def _render(self, status: str) -> str:
        # jinja is needed here only
        from supervisor.record.summary import Summary
        from supervisor.show.report.page import render_report

        content = self._state.summary(status)
        if self._clock.running == "publish":
            # the report is the phase's last work but one, so it tells of the phase as done
            content["phases"]["publish"] = {"status": "COMPLETED", "duration_s": self._clock.elapsed("publish")}
        summary = Summary.model_validate(content)
        if not self._state.figures:
            return render_report(ReportData(summary=summary))
        with self._warehouse.session() as session:
            return render_report(read_report_data(session, summary, published=status != "ESCALATED"))

    def archive(self, sources: Sequence[str]) -> None:
        """Archive the raw data that this run collected, within what is left of the phase."""
        settings = self._state.settings
        loaded = [name for name in sources if self._state.outcomes[name].loaded]
        if not settings.archive or not loaded:
            return
        problems: list[str] = ["it was stopped at its budget"]

        def work() -> None:
            try:
                archive_day(settings.archive, settings.date, self._run_dir / "landing", loaded, self._state.run_id)
                problems.clear()
            except ArchiveError as error:
                problems[:] = [redact(str(error))]

        # a thread, because a bucket that never answers must not hold up a day that is published
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(max(1.0, self._clock.remaining("publish")))
        if problems:
            observed = f"the archive was not written: {problems[0]}"
            self._journal.record(
                "publish", observed, "go on without the archive", "the raw files stay in the run's folder"
            )
            self._console.step(("archive",), observed, "warning")
            return
        self._state.archived = f"{settings.archive}/{settings.date:%Y/%m/%d}/"
        transcript.archived(self._console, self._state.archived)

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
        self._journal.record(error.phase, error.observed, "escalate", error.reason)
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
                transcript.validate_finished(self._console, state.figures, [one.as_dict() for one in state.criteria()])
            self._clock.finish(running, "FAILED", [error.reason])
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
                    record_run(session, state.summary("ESCALATED"), self._journal.entries)

        try:
            insist(work, seconds=_RECORD_S, on_retry=transcript.waiter(self._console))
        except WarehouseError as problem:
            self._journal.record(
                state.escalation["phase"], f"the warehouse can't be written to: {problem}", "go on without the ledger",
                f"the run is told of in {self._run_dir} only",
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
        self._console.message(f"unexpected error: {self._state.error['message']}", error=True)
        self._console.message(redact(trace), error=True)
        return self._broken_off(f"unexpected error: {self._state.error['message']}", "stop")

    def stopped(self, stop: StopRequested) -> str:
        """Record that somebody stopped the run; returns the run's status."""
        self._state.error = {"type": "StopRequested", "message": str(stop)}
        self._state.exit_code = stop.exit_code
        self._console.message(f"{stop}: the run's processes have been ended, what was published stays", error=True)
        return self._broken_off(str(stop), "stop at once")

    def _broken_off(self, observed: str, decision: str) -> str:
        phase = self._clock.running
        published = self._recorded_code is not None or (phase == "publish" and self._is_published())
        came = "the day was published before" if published else "nothing was published, the same command starts anew"
        self._journal.record(phase or "collect", observed, decision, came)
        if phase is not None:
            # a phase that has published is through, whatever came after
            self._clock.finish(phase, "COMPLETED WITH WARNINGS" if published else "FAILED", [observed])
        return "FAILED"

    def _is_published(self) -> bool:
        with contextlib.suppress(Exception), self._warehouse.session() as session:
            return is_recorded(session, self._state.run_id)
        return False

    # ---------------------------------------------------------------- in any case

    def conclude(self, status: str) -> dict[str, Any]:
        """Write `summary.json`, tell whoever must know, and return the summary."""
        state = self._state
        code = state.code_of(status)
        if self._recorded_code is not None and code != self._recorded_code and status != "FAILED":
            # the deadline passed after the publish: what the ledger says must not be better than what was
            self._journal.record("publish", _missed(state), "say so", f"exit code {code}")
            self._correct(status)
        from supervisor.record.summary import Summary

        summary = state.summary(status)
        state.alert = self._alerts.tell(Summary.model_validate(summary))
        if state.alert is not None:
            summary["alert"] = state.alert
            if state.alert["problem"]:
                self._console.message(f"alert ({state.alert['kind']}): {state.alert['problem']}", error=True)
        try:
            write_json(self._run_dir / "summary.json", summary)
        except OSError as problem:
            self._console.message(f"{self._run_dir / 'summary.json'} can't be written: {problem.strerror}", error=True)
        return summary

    def _correct(self, status: str) -> None:
        def work() -> None:
            with self._warehouse.transaction() as session:
                correct_run(session, self._state.summary(status), self._journal.entries)

        try:
            insist(work, seconds=_RECORD_S, on_retry=transcript.waiter(self._console))
        except WarehouseError as problem:
            self._console.message(f"the ledger can't be corrected: {problem}", error=True)


def _missed(state: RunState) -> str:
    return "; ".join(transcript.criterion(one) for one in state.unmet(gates=False))


def _as_escalation(error: Exception, phase: str) -> EscalationError:
    reason, advice = "the warehouse can't be used", "bring the warehouse back"
    if isinstance(error, ArtifactError):
        reason, advice = "dbt's results can't be read", "install the dbt release that requirements.lock names"
    observed = " ".join(str(error).split())
    return EscalationError(phase, observed, reason, f"{advice}, then run the same command", [type(error).__name__])
