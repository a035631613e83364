"""What the quality report is made from: the summary, and rows that the caller has queried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from supervisor.warehouse.base import Session

if TYPE_CHECKING:
    from supervisor.record.summary import Entity, Summary

_EXAMPLES = 3


@dataclass(frozen=True)
class Score:
    """One measurement: a dimension of an entity on one source in one iteration (0 is before any remedy).

    `score` and `threshold` are fractions; `threshold` and `passed` are None for one that is
    only watched. `attempted` and `failed` count records.
    """

    entity: str
    source: str
    dimension: str
    attempted: int
    failed: int
    score: float | Decimal | None
    threshold: float | Decimal | None
    passed: bool | None
    iteration: int = 0


@dataclass(frozen=True)
class Example:
    """A rejected record: where it was, and its payload as it was received."""

    source_object: str
    source_row: int | None
    payload: str


@dataclass(frozen=True)
class Rejection:
    """How many records of a source were rejected for a reason (a record may have several)."""

    source: str
    reason: str
    count: int
    examples: Sequence[Example] = ()


@dataclass(frozen=True)
class CorrectionExample:
    """One corrected field of one record; None is a missing value."""

    record_key: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class CorrectionGroup:
    """How many values of a field a rule has corrected."""

    rule_id: str
    field: str
    count: int
    examples: Sequence[CorrectionExample] = ()


@dataclass(frozen=True)
class AnomalyExample:
    """An outlier; `distance_sd` is how many standard deviations it lies from the mean."""

    source: str
    value: float | Decimal | str | None
    distance_sd: float | Decimal | None = None


@dataclass(frozen=True)
class AnomalyGroup:
    """The statistical outliers of a field within one group of its values, with the mean and deviation they left."""

    field: str
    group: str
    count: int
    mean: float | Decimal | None = None
    stddev: float | Decimal | None = None
    examples: Sequence[AnomalyExample] = ()


@dataclass(frozen=True)
class LineagePath:
    """The way of a source's records from where they were to where they are published."""

    source: str
    steps: Sequence[str]
    records: int | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows; only the summary is required."""

    summary: Summary
    scores: Sequence[Score] = ()
    rejections: Sequence[Rejection] = ()
    corrections: Sequence[CorrectionGroup] = ()
    anomalies: Sequence[AnomalyGroup] = ()
    lineage: Sequence[LineagePath] = ()


def read_report_data(session: Session, summary: Summary, *, published: bool = True) -> ReportData:
    """Gather the rows behind a summary; aggregated by the warehouse, with a few examples of each group.

    Args:
        published: False for a day that was built and held back: its rows are then read from the views that dbt made.
    """
    reader = _Reader(session, summary.date, published)
    return ReportData(
        summary=summary,
        scores=reader.scores(summary.run_id),
        rejections=reader.rejections(),
        corrections=reader.corrections(),
        anomalies=[
            group
            for entity in summary.entities.values()
            for field, by in entity.outliers.items()
            for group in reader.anomalies(entity, field, by)
        ],
        lineage=reader.lineage(),
    )


@dataclass(frozen=True)
class _Reader:
    session: Session
    day: date
    published: bool

    def place(self, table: str) -> str:
        return table if self.published else f"intermediate.{table.split('.')[1]}__day"

    def scores(self, run_id: str) -> list[Score]:
        rows = self.session.query(
            "select entity, source, dimension, attempted, failed, score, threshold, passed, iteration "
            f"from {self.place('quality.quality_scores')} where load_date = ? and run_id = ? order by entity, dimension, source, iteration",
            (self.day, run_id),
        )
        return [Score(**row) for row in rows]

    def rejections(self) -> list[Rejection]:
        rows = self.session.query(
            "select source, reasons, source_object, source_row, payload, group_size from ("
            "select *, count(*) over (partition by source, reasons) as group_size, "
            "row_number() over (partition by source, reasons order by source_object, source_row) as place "
            f"from {self.place('quarantine.quarantined_records')} where load_date = ? and status = 'open') "
            "as ranked where place <= ? order by source, reasons, place",
            (self.day, _EXAMPLES),
        )
        # a record may have several reasons and counts for each of them
        counts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        examples: dict[tuple[str, str], list[Example]] = defaultdict(list)
        for row in rows:
            for reason in row["reasons"].split(","):
                key = (row["source"], reason)
                counts[key][row["reasons"]] = row["group_size"]
                if len(examples[key]) < _EXAMPLES:
                    examples[key].append(Example(row["source_object"], row["source_row"], row["payload"] or ""))
        ranked = sorted(counts, key=lambda key: (-sum(counts[key].values()), key))
        return [Rejection(*key, sum(counts[key].values()), tuple(examples[key])) for key in ranked]

    def corrections(self) -> list[CorrectionGroup]:
        rows = self.session.query(
            "select rule_id, field, record_key, value_before, value_after, group_size from ("
            "select *, count(*) over (partition by rule_id, field) as group_size, "
            "row_number() over (partition by rule_id, field order by source, source_object, source_row) as place "
            f"from {self.place('quality.corrections')} where load_date = ?) as ranked where place <= ? order by "
            "group_size desc, rule_id, place",
            (self.day, _EXAMPLES),
        )
        groups: dict[tuple[str, str, int], list[CorrectionExample]] = defaultdict(list)
        for row in rows:
            example = CorrectionExample(row["record_key"], row["value_before"], row["value_after"])
            groups[row["rule_id"], row["field"], row["group_size"]].append(example)
        return [CorrectionGroup(*key, tuple(examples)) for key, examples in groups.items()]

    def anomalies(self, entity: Entity, field: str, by: str | None) -> list[AnomalyGroup]:
        mart, group = self.place(entity.table), f'"{by}"' if by else "''"
        held = f" and {entity.holds['accuracy']}" if "accuracy" in entity.holds else ""
        statistics = {
            row["group_value"]: row
            for row in self.session.query(
                f'select {group} as group_value, avg(cast("{field}" as double precision)) as mean, '
                f'stddev_samp(cast("{field}" as double precision)) as stddev, '
                "sum(case when is_anomaly then 1 else 0 end) as outliers "
                f"from {mart} where load_date = ?{held} and {group} is not null group by {group}",
                (self.day,),
            )
        }
        examples: dict[str, list[AnomalyExample]] = defaultdict(list)
        for row in self.session.query(
            f'select * from (select {group} as group_value, source, "{field}" as value, row_number() over ('
            f'partition by {group} order by abs("{field}") desc, source, source_object, source_row) as place '
            f"from {mart} where load_date = ? and is_anomaly) as ranked where place <= ? order by group_value, place",
            (self.day, _EXAMPLES),
        ):
            usual = statistics[row["group_value"]]
            distance = (float(row["value"]) - usual["mean"]) / usual["stddev"] if usual["stddev"] else None
            examples[row["group_value"]].append(AnomalyExample(row["source"], row["value"], distance))
        found = [(name, one) for name, one in statistics.items() if one["outliers"]]
        return [
            AnomalyGroup(field, str(name), int(one["outliers"]), one["mean"], one["stddev"], tuple(examples[name]))
            for name, one in sorted(found, key=lambda item: -item[1]["outliers"])
        ]

    def lineage(self) -> list[LineagePath]:
        rows = self.session.query(
            "select source, source_location, raw_schema, load_id, target_table, count_published "
            f"from {self.place('metadata.lineage')} where load_date = ? order by source",
            (self.day,),
        )
        return [
            LineagePath(
                row["source"],
                (
                    row["source_location"] or row["source"],
                    f"{row['raw_schema']} (load {row['load_id']})",
                    row["target_table"],
                ),
                row["count_published"],
            )
            for row in rows
        ]
