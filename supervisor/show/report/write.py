"""Writing a report: at the end of its run, or again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.common.files import write_text
from supervisor.record.history import read_runs
from supervisor.record.ledger import table_exists
from supervisor.show.report.data import ReportData, read_report_data
from supervisor.warehouse.base import Session, Warehouse

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


class ReportWriter:
    """Writes reports: `supervisor.run.outlets.Reports`."""

    def write(self, path: Path, summary: Summary, warehouse: Warehouse | None, *, published: bool) -> None:
        """Write a run's report, with the rows behind its figures where there is a warehouse."""
        if warehouse is None:
            _write(path, ReportData(summary=summary))
            return
        with warehouse.session() as session:
            _write(path, read_report_data(session, summary, published=published))

    def write_again(self, session: Session, run: Summary, path: Path) -> str:
        """Write an earlier run's report.

        Returns:
            What the report lacks, for people; "" when it is whole. The rows behind the figures are those of the day, so a
            run that another one has replaced since keeps its figures and decisions only.
        """
        shown = _concluded(run)
        lacks = ""
        if _is_published(session, run):
            data = read_report_data(session, shown)
        elif _is_held_back(session, run):
            data = read_report_data(session, shown, published=False)
        else:
            data = ReportData(summary=shown)
            lacks = f"examples and scores of run {run.run_id} are gone: {run.date} was built again since"
        _write(path, data)
        return lacks


def _write(path: Path, data: ReportData) -> None:
    # jinja is needed here only
    from supervisor.show.report.page import render_report

    page = render_report(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def _concluded(run: Summary) -> Summary:
    """The summary with its end: what the ledger holds was written while the publish was still going on."""
    publish = run.phases.get("publish")
    phases = dict(run.phases)
    if publish is not None and publish.status == "RUNNING" and run.has_published:
        phases["publish"] = publish.model_copy(update={"status": "COMPLETED"})
    return run.model_copy(update={"phases": phases, "report": f"reports/quality_{run.run_id}.html"})


def _is_published(session: Session, run: Summary) -> bool:
    published = [one for one in read_runs(session, run.date, run.date) if one.has_published]
    return bool(published) and published[-1].run_id == run.run_id


def _is_held_back(session: Session, run: Summary) -> bool:
    """Whether dbt's views still hold the day as this run built it."""
    view = "quality_scores__day"
    if run.has_published or not table_exists(session, "intermediate", view):
        return False
    found = session.query(
        f"select 1 as found from intermediate.{view} where load_date = ? and run_id = ? limit 1", (run.date, run.run_id)
    )
    return bool(found)
