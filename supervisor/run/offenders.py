"""The worst offenders of a criterion that is not met: where its bad records come from and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from supervisor.common.text import plural
from supervisor.record.figures import DayFigures
from supervisor.warehouse.base import Session

_MOST = 5
_PARSED = "intermediate.int_events_parsed"


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
        if metric in _QUERIES:
            lines += _QUERIES[metric](session)
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


def _groups(session: Session, what: str, where: str) -> list[str]:
    rows = session.query(
        f"select source, {what} as what, count(*) as count_records, min(source_object) as first_object "
        f"from {_PARSED} as parsed where {where} group by source, {what} "
        "order by count_records desc, source, what limit ?",
        (_MOST,),
    )
    return [
        f"{row['source']}: {plural(row['count_records'], 'record')}, {row['what']} (the first in {row['first_object']})"
        for row in rows
    ]


def _rejected(session: Session) -> list[str]:
    return _groups(session, "failure_reasons", "failure_reasons is not null")


def _incomplete(session: Session) -> list[str]:
    missing = " || ".join(
        f"case when {field} is null then ' {field}' else '' end"
        for field in ("user_id", "event_type", "occurred_at", "amount")
    )
    return _groups(session, f"'without' || {missing}", "failure_reasons is null and not is_complete")


def _out_of_range(session: Session) -> list[str]:
    return _groups(
        session,
        "'amount out of range for ' || coalesce(event_type, 'no type')",
        "failure_reasons is null and is_out_of_range and not exists ("
        "select 1 from intermediate.int_corrected_amounts as corrected where corrected.record_id = parsed.record_id)",
    )


_QUERIES: Mapping[str, Callable[[Session], list[str]]] = {
    "failure_rate": _rejected,
    "completeness": _incomplete,
    "accuracy": _out_of_range,
}
