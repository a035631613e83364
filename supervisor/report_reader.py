"""Reads what the quality report shows from the published tables of a day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from supervisor.report_data import (
    AnomalyExample,
    AnomalyGroup,
    CorrectionExample,
    CorrectionGroup,
    Example,
    LineagePath,
    Rejection,
    ReportData,
    Score,
)
from supervisor.warehouse import Session

_EXAMPLES = 3


def read_report_data(session: Session, summary: Mapping[str, Any]) -> ReportData:
    """Gather the rows behind a summary; aggregated by the warehouse, with a few examples of each group."""
    day = date.fromisoformat(summary["date"])
    return ReportData(
        summary=summary,
        scores=_scores(session, day, summary["run_id"]),
        rejections=_rejections(session, day),
        corrections=_corrections(session, day),
        anomalies=_anomalies(session, day),
        lineage=_lineage(session, day),
    )


def _scores(session: Session, day: date, run_id: str) -> list[Score]:
    rows = session.query(
        "select source, dimension, check_name, attempted, failed, score, threshold, passed, iteration "
        "from quality.quality_scores where load_date = ? and run_id = ? order by dimension, source, iteration",
        (day, run_id),
    )
    return [Score(**row) for row in rows]


def _rejections(session: Session, day: date) -> list[Rejection]:
    rows = session.query(
        "select source, reasons, source_object, source_row, payload, group_size from ("
        "select *, count(*) over (partition by source, reasons) as group_size, "
        "row_number() over (partition by source, reasons order by source_object, source_row) as place "
        "from quarantine.quarantined_events where load_date = ?) as ranked where place <= ? order by source, reasons, place",
        (day, _EXAMPLES),
    )
    # a record may have several reasons and counts for each of them
    counts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    examples: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for row in rows:
        for reason in row["reasons"].split(","):
            key = (row["source"], reason)
            counts[key][row["reasons"]] = row["group_size"]
            if len(examples[key]) < _EXAMPLES:
                examples[key].append(
                    Example(row["source_object"], row["source_row"], row["payload"] or "")
                )
    ranked = sorted(counts, key=lambda key: (-sum(counts[key].values()), key))
    return [Rejection(*key, sum(counts[key].values()), tuple(examples[key])) for key in ranked]


def _corrections(session: Session, day: date) -> list[CorrectionGroup]:
    rows = session.query(
        "select rule_id, field, event_id, value_before, value_after, group_size from ("
        "select *, count(*) over (partition by rule_id, field) as group_size, "
        "row_number() over (partition by rule_id, field order by source, source_object, source_row) as place "
        "from quality.corrections where load_date = ?) as ranked where place <= ? order by group_size desc, rule_id, place",
        (day, _EXAMPLES),
    )
    groups: dict[tuple[str, str, int], list[CorrectionExample]] = defaultdict(list)
    for row in rows:
        example = CorrectionExample(row["event_id"], row["value_before"], row["value_after"])
        groups[row["rule_id"], row["field"], row["group_size"]].append(example)
    return [CorrectionGroup(*key, tuple(examples)) for key, examples in groups.items()]


def _anomalies(session: Session, day: date) -> list[AnomalyGroup]:
    statistics = {
        row["event_type"]: row
        for row in session.query(
            "select event_type, avg(cast(amount as double precision)) as mean, "
            "stddev_samp(cast(amount as double precision)) as stddev, "
            "sum(case when is_anomaly then 1 else 0 end) as outliers "
            "from analytics.events where load_date = ? and is_in_range and event_type is not null group by event_type",
            (day,),
        )
    }
    examples: dict[str, list[AnomalyExample]] = defaultdict(list)
    for row in session.query(
        "select * from (select event_type, event_id, source, amount, row_number() over (partition by event_type "
        "order by abs(amount) desc, event_id) as place from analytics.events where load_date = ? and is_anomaly) as ranked "
        "where place <= ? order by event_type, place",
        (day, _EXAMPLES),
    ):
        mean, stddev = (
            statistics[row["event_type"]]["mean"],
            statistics[row["event_type"]]["stddev"],
        )
        distance = (float(row["amount"]) - mean) / stddev if stddev else None
        examples[row["event_type"]].append(
            AnomalyExample(row["event_id"], row["source"], row["amount"], distance)
        )
    found = [(name, one) for name, one in statistics.items() if one["outliers"]]
    return [
        AnomalyGroup(name, int(one["outliers"]), one["mean"], one["stddev"], tuple(examples[name]))
        for name, one in sorted(found, key=lambda item: -item[1]["outliers"])
    ]


def _lineage(session: Session, day: date) -> list[LineagePath]:
    rows = session.query(
        "select source, source_location, raw_schema, load_id, target_table, count_published "
        "from metadata.lineage where load_date = ? order by source",
        (day,),
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
