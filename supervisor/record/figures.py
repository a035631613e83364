"""The day in figures: what was measured, as `summary.json` and the goal's criteria want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from supervisor.record.ledger import LoadOutcome
from supervisor.warehouse.base import Session


@dataclass(frozen=True)
class DayFigures:
    """Counts of records, of one source or of the whole day.

    Attributes:
        defaulted: Records with at least one default value.
        orphans: Events to publish whose user does not exist; None when no users are known.
    """

    collected: int = 0
    quarantined: int = 0
    transformed: int = 0
    defaulted: int = 0
    missing_required: int = 0
    out_of_range: int = 0
    corrected: int = 0
    duplicates: int = 0
    anomalies: int = 0
    late: int = 0
    orphans: int | None = 0
    published: int = 0

    @property
    def flagged(self) -> int:
        """Out-of-range records that no rule could correct."""
        return self.out_of_range - self.corrected

    @property
    def completeness(self) -> Fraction | None:
        """Share of transformed records with all required fields; None without records."""
        return _share(self.transformed - self.missing_required, self.transformed)

    @property
    def accuracy(self) -> Fraction | None:
        """Share of transformed records in range, corrected ones among them."""
        return _share(self.transformed - self.flagged, self.transformed)

    @property
    def consistency(self) -> Fraction | None:
        """Share of transformed records whose references exist; None when there is nothing to refer to."""
        return None if self.orphans is None else _share(self.transformed - self.orphans, self.transformed)

    @property
    def failure_rate(self) -> Fraction | None:
        """Share of collected records that are quarantined."""
        return _share(self.quarantined, self.collected)

    @property
    def lost(self) -> int:
        """Records that are nowhere: must be 0."""
        return abs(self.collected - self.published - self.quarantined - self.duplicates)


_COUNTS = tuple(count.name for count in fields(DayFigures))


def _share(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def read_figures(session: Session) -> dict[str, DayFigures]:
    """Read the day's figures by source from where dbt built them."""
    rows = session.query("select * from intermediate.int_day_figures")
    return {row["source"]: DayFigures(**{name: row[f"count_{name}"] for name in _COUNTS}) for row in rows}


def total_of(figures: Mapping[str, DayFigures]) -> DayFigures:
    """Add up the sources."""

    def add(name: str) -> int | None:
        values = [getattr(one, name) for one in figures.values()]
        return None if any(value is None for value in values) else sum(values)

    return DayFigures(**{name: add(name) for name in _COUNTS})  # type: ignore[arg-type]


def measurements(
    figures: Mapping[str, DayFigures], outcomes: Mapping[str, LoadOutcome], configured: Sequence[str]
) -> dict[str, int | Fraction | None]:
    """What the goal's criteria are held against, by metric; see goal_metrics for what each one means."""
    total = total_of(figures)
    failed = [name for name in configured if name not in outcomes or not outcomes[name].loaded]
    unexplained = [name for name in failed if name not in outcomes or not outcomes[name].reason]
    return {
        "sources_accounted": _share(len(configured) - len(unexplained), len(configured)),
        "sources_loaded": len(configured) - len(failed),
        "sources_failed": len(failed),
        "unhandled_source_failures": len(unexplained),
        "failure_rate": total.failure_rate,
        "default_rate": _share(total.defaulted, total.transformed),
        "completeness": total.completeness,
        "accuracy": total.accuracy,
        "consistency": total.consistency,
        "anomaly_rate": _share(total.anomalies, total.transformed),
        "duplicate_rate": _share(total.duplicates, total.transformed),
        "records_lost": sum(one.lost for one in figures.values()),
        "records_published": total.published,
    }


def figures_of_summary(
    figures: Mapping[str, DayFigures], outcomes: Mapping[str, LoadOutcome], run_ids: Mapping[str, str]
) -> dict[str, Any]:
    """The keys of `summary.json` that come from the day's figures; run_ids says which run collected each source."""
    total = total_of(figures)
    sources = {}
    for name, outcome in outcomes.items():
        one = figures.get(name, DayFigures())
        sources[name] = {
            "status": outcome.status,
            "collected": one.collected,
            "quarantined": one.quarantined,
            "duplicates": one.duplicates,
            "published": one.published,
            "tries": outcome.tries,
            "reason": outcome.reason,
            "duration_s": round(outcome.duration_s, 3),
            "run_id": run_ids.get(name),
            "title": outcome.detail.get("title", name),
            "location": outcome.location,
            "fallback": bool(outcome.detail.get("fallback")),
        }
    return {
        "sources": sources,
        "collected": total.collected,
        "transformed": total.transformed,
        "quarantined": total.quarantined,
        "defaults_applied": total.defaulted,
        "missing_required": total.missing_required,
        "out_of_range": total.out_of_range,
        "corrected": total.corrected,
        "flagged": total.flagged,
        "duplicates": total.duplicates,
        "anomalies": total.anomalies,
        "late": total.late,
        "published": total.published,
        "completeness": _float(total.completeness),
        "accuracy": _float(total.accuracy),
        "consistency": _float(total.consistency),
        "failure_rate": _float(total.failure_rate),
    }


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
