"""The day in figures: what was measured, as `summary.json` and the goal's criteria want it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any

from supervisor.dbt.entities import Entity
from supervisor.goal.criteria import Goal
from supervisor.record.ledger import LoadOutcome
from supervisor.warehouse.base import Session


@dataclass(frozen=True)
class Measured:
    """Records held against a dimension: how many, and how many have something open in it, now and as received."""

    attempted: int = 0
    failed: int = 0
    failed_before: int = 0

    @property
    def share(self) -> Fraction | None:
        """Share that has nothing open; None without records."""
        return _share(self.attempted - self.failed, self.attempted)


_NOTHING = Measured()


@dataclass(frozen=True)
class DayFigures:
    """Counts of records, of one entity and source, or of several together.

    Attributes:
        defaulted: Records with at least one default value.
        versions: Duplicates that say something else than the record that won.
        dimensions: What was measured; a dimension of which nothing can be said is not there.
    """

    collected: int = 0
    quarantined: int = 0
    transformed: int = 0
    defaulted: int = 0
    corrected: int = 0
    duplicates: int = 0
    versions: int = 0
    anomalies: int = 0
    late: int = 0
    published: int = 0
    dimensions: Mapping[str, Measured] = field(default_factory=dict)

    @property
    def missing_required(self) -> int:
        """Transformed records without a required field."""
        return self.dimensions.get("completeness", _NOTHING).failed

    @property
    def out_of_range(self) -> int:
        """Transformed records with a value that is not right, as received."""
        return self.dimensions.get("accuracy", _NOTHING).failed_before

    @property
    def flagged(self) -> int:
        """Those of them that no rule could correct."""
        return self.dimensions.get("accuracy", _NOTHING).failed

    def score(self, dimension: str) -> Fraction | None:
        """Share of transformed records with nothing open in a dimension; None when it was not measured."""
        return self.dimensions.get(dimension, _NOTHING).share

    @property
    def failure_rate(self) -> Fraction | None:
        """Share of collected records that are quarantined."""
        return _share(self.quarantined, self.collected)

    @property
    def lost(self) -> int:
        """Records that are nowhere: must be 0."""
        return abs(self.collected - self.published - self.quarantined - self.duplicates)


_COUNTS = tuple(count.name for count in fields(DayFigures) if count.name != "dimensions")
# by entity and source
Cells = Mapping[tuple[str, str], DayFigures]


def _share(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def read_figures(session: Session) -> dict[tuple[str, str], DayFigures]:
    """Read the day's figures by entity and source from where dbt built them."""
    measured: dict[tuple[str, str], dict[str, Measured]] = defaultdict(dict)
    for row in session.query(
        "select entity, source, dimension, attempted, failed, failed_before_corrections from intermediate.int_quality_scores "
        "where iteration = (select max(iteration) from intermediate.int_quality_scores) and dimension <> 'transformation' "
        "order by entity, source, dimension"
    ):
        measured[row["entity"], row["source"]][row["dimension"]] = Measured(
            row["attempted"], row["failed"], row["failed_before_corrections"]
        )
    return {
        (row["entity"], row["source"]): DayFigures(
            **{name: row[f"count_{name}"] for name in _COUNTS}, dimensions=measured[row["entity"], row["source"]]
        )
        for row in session.query("select * from intermediate.int_day_figures order by entity, source")
    }


def by_source(cells: Cells) -> dict[str, DayFigures]:
    """Add up the entities of each source."""
    names = dict.fromkeys(source for _, source in cells)
    return {name: total_of({key: one for key, one in cells.items() if key[1] == name}) for name in names}


def by_entity(cells: Cells) -> dict[str, DayFigures]:
    """Add up the sources of each entity."""
    names = dict.fromkeys(entity for entity, _ in cells)
    return {name: total_of({key: one for key, one in cells.items() if key[0] == name}) for name in names}


def total_of(figures: Mapping[Any, DayFigures]) -> DayFigures:
    """Add up figures, whatever they are of."""
    dimensions = dict.fromkeys(name for one in figures.values() for name in one.dimensions)
    return DayFigures(
        **{name: sum(getattr(one, name) for one in figures.values()) for name in _COUNTS},
        dimensions={
            name: Measured(
                *(
                    sum(getattr(one.dimensions.get(name, _NOTHING), part.name) for one in figures.values())
                    for part in fields(Measured)
                )
            )
            for name in dimensions
        },
    )


def measurements(
    figures: Mapping[str, DayFigures], outcomes: Mapping[str, LoadOutcome], configured: Sequence[str]
) -> dict[str, int | Fraction | None]:
    """What the goal's criteria are held against, by metric; see goal/metrics.py for what each one means."""
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
        "completeness": total.score("completeness"),
        "accuracy": total.score("accuracy"),
        "consistency": total.score("consistency"),
        "anomaly_rate": _share(total.anomalies, total.transformed),
        "duplicate_rate": _share(total.duplicates, total.transformed),
        "records_lost": sum(one.lost for one in figures.values()),
        "records_published": total.published,
    }


def measurements_of_subjects(cells: Cells, goal: Goal) -> dict[str, int | Fraction | None]:
    """What the goal's criteria on single entities and on the project's own dimensions are held against, by their names."""
    figures, day = by_entity(cells), total_of(cells)
    found: dict[str, int | Fraction | None] = {}
    for one in goal.criteria:
        if one.dimension is not None and one.subject is not None:
            of = day if one.entity is None else figures.get(one.entity, DayFigures())
            found[one.name] = of.failure_rate if one.dimension == "transformation" else of.score(one.dimension)
        elif one.subject in figures and one.metric is not None:
            found |= {one.name: value} if (value := _counted(figures[one.subject], one.metric)) is not None else {}
    return found


def _counted(figures: DayFigures, metric: str) -> int | Fraction | None:
    return {
        "records_collected": figures.collected,
        "records_published": figures.published,
        "default_rate": _share(figures.defaulted, figures.transformed),
        "anomaly_rate": _share(figures.anomalies, figures.transformed),
        "duplicate_rate": _share(figures.duplicates, figures.transformed),
    }.get(metric)


def figures_of_summary(
    cells: Cells, entities: Mapping[str, Entity], outcomes: Mapping[str, LoadOutcome], run_ids: Mapping[str, str]
) -> dict[str, Any]:
    """The keys of `summary.json` that come from the day's figures; run_ids says which run collected each source."""
    figures, total = by_source(cells), total_of(cells)
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
            "strategy": outcome.detail.get("strategy"),
        }
    return {
        "sources": sources,
        "entities": {
            name: {
                "table": entities[name].table,
                "key": list(entities[name].key),
                "lookback_days": entities[name].lookback_days,
                "holds": dict(entities[name].holds),
                "outliers": dict(entities[name].outliers),
                **{count: getattr(one, count) for count in _COUNTS},
                "dimensions": {dimension: asdict(measured) for dimension, measured in one.dimensions.items()},
            }
            for name, one in by_entity(cells).items()
        },
        "collected": total.collected,
        "transformed": total.transformed,
        "quarantined": total.quarantined,
        "defaults_applied": total.defaulted,
        "missing_required": total.missing_required,
        "out_of_range": total.out_of_range,
        "corrected": total.corrected,
        "flagged": total.flagged,
        "duplicates": total.duplicates,
        "versions": total.versions,
        "anomalies": total.anomalies,
        "late": total.late,
        "published": total.published,
        "completeness": _float(total.score("completeness")),
        "accuracy": _float(total.score("accuracy")),
        "consistency": _float(total.score("consistency")),
        "failure_rate": _float(total.failure_rate),
    }


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
