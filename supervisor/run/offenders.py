"""The worst offenders of a criterion that is not met: where its bad records come from and what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supervisor.common.text import plural
from supervisor.record.figures import DayFigures
from supervisor.warehouse.base import Session

_MOST = 5


def worst_offenders(
    session: Session, metrics: Sequence[str], figures: Mapping[str, DayFigures], subjects: Sequence[str] = ()
) -> list[str]:
    """Return what the bad records of each metric have in common, the largest groups first, one line each.

    Args:
        session: The warehouse that holds the day as it was built.
        metrics: The unmet ones; those without records of their own get the figures by source.
        figures: The day's counts by source.
        subjects: Tests that failed without being a metric's; shown by name.
    """
    lines = []
    for metric in metrics:
        lines += _offenders(session, metric)
    return (lines or offending_sources(figures)) + [f"test {name}" for name in subjects if not metrics]


def offending_sources(figures: Mapping[str, DayFigures]) -> list[str]:
    """Return the sources with what is wrong in them, worst first."""
    ranked = sorted(
        figures.items(), key=lambda item: -(item[1].quarantined + item[1].missing_required + item[1].flagged)
    )
    return [
        f"{name}: {one.quarantined:,} of {one.collected:,} quarantined, {one.missing_required:,} incomplete, "
        f"{one.flagged:,} out of range"
        for name, one in ranked
    ]


def _groups(session: Session, where: str, parameters: Sequence[str]) -> list[str]:
    """Group the records of some findings by source and by all that is wrong with each of them."""
    rows = session.query(
        "select entity, source, what, count(*) as count_records, min(source_object) as first_object from ("
        "select entity, record_id, source, min(source_object) as source_object, "
        "string_agg(check_name, ',' order by check_name) as what "
        f"from intermediate.int_findings where {where} group by entity, record_id, source) as records "
        "group by entity, source, what order by count_records desc, entity, source, what limit ?",
        (*parameters, _MOST),
    )
    return [
        f"{row['source']}: {plural(row['count_records'], 'record')}, {row['what'].replace(',', ', ')} "
        f"(the first in {row['first_object']})"
        for row in rows
    ]


def _offenders(session: Session, metric: str) -> list[str]:
    if metric == "failure_rate":
        return _groups(session, "outcome = ?", ("rejected",))
    return _groups(session, "outcome = ? and dimension = ?", ("flagged", metric))
