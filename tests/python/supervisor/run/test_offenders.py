"""The worst offenders of a criterion: what its bad records have in common, the largest groups first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from supervisor.record.figures import DayFigures
from supervisor.run.offenders import offending_sources, worst_offenders
from supervisor.warehouse.base import Session
from supervisor.warehouse.duckdb import DuckDBWarehouse

FIGURES = {
    "api": DayFigures(collected=100, quarantined=1),
    "s3": DayFigures(collected=2_000, quarantined=5, missing_required=3, out_of_range=4, corrected=2),
}
# record, source, object, type, user, amount is in range, reasons
RECORDS = [
    (1, "s3", "b.parquet", "refund", 7, True, "user_id_unparsable"),
    (2, "s3", "a.parquet", "refund", 7, True, "user_id_unparsable"),
    (3, "api", "page 1", "refund", 7, True, "orphan_user"),
    (4, "s3", "a.parquet", None, None, True, None),
    (5, "api", "page 2", "refund", None, True, None),
    (6, "s3", "a.parquet", "refund", 7, False, None),
    # corrected
    (7, "s3", "a.parquet", "deposit", 7, False, None),
    (8, "api", "page 3", None, 7, False, None),
    # rejected: counts for the failure rate only
    (9, "s3", "c.parquet", None, None, False, "orphan_user"),
]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A warehouse with the records above as the day was built."""
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb").session() as session:
        session.execute("create schema intermediate")
        session.execute(
            "create table intermediate.int_events_parsed (record_id integer, source varchar, source_object varchar, "
            "event_type varchar, user_id bigint, occurred_at timestamptz, amount decimal(18, 2), is_complete boolean, "
            "is_out_of_range boolean, failure_reasons varchar)"
        )
        for record, source, source_object, kind, user, in_range, reasons in RECORDS:
            session.execute(
                "insert into intermediate.int_events_parsed values (?, ?, ?, ?, ?, now(), 1, ?, ?, ?)",
                (
                    record,
                    source,
                    source_object,
                    kind,
                    user,
                    kind is not None and user is not None,
                    not in_range,
                    reasons,
                ),
            )
        session.execute("create table intermediate.int_corrected_amounts as select 7 as record_id")
        yield session


@pytest.mark.parametrize(
    ("metric", "lines"),
    [
        (
            "failure_rate",
            ["s3: 2 records, user_id_unparsable (the first in a.parquet)",
             "api: 1 record, orphan_user (the first in page 1)",
             "s3: 1 record, orphan_user (the first in c.parquet)"],
        ),
        (
            "completeness",
            ["api: 1 record, without event_type (the first in page 3)",
             "api: 1 record, without user_id (the first in page 2)",
             "s3: 1 record, without user_id event_type (the first in a.parquet)"],
        ),
        (
            "accuracy",
            ["api: 1 record, amount out of range for no type (the first in page 3)",
             "s3: 1 record, amount out of range for refund (the first in a.parquet)"],
        ),
    ],
)  # fmt: skip
def test_records_are_grouped_by_what_is_wrong_with_them(session: Session, metric: str, lines: Sequence[str]) -> None:
    assert worst_offenders(session, [metric], FIGURES) == lines


def test_several_metrics_are_told_one_after_the_other(session: Session) -> None:
    both = worst_offenders(session, ["accuracy", "failure_rate"], FIGURES)
    assert both == [line for metric in ("accuracy", "failure_rate") for line in worst_offenders(session, [metric], {})]


def test_only_the_largest_groups_are_told(session: Session) -> None:
    for number in range(8):
        session.execute(
            "insert into intermediate.int_events_parsed (record_id, source, source_object, failure_reasons) "
            "select 100 + range, 's3', 'z.parquet', ? from range(?)",
            (f"reason_{number}", 10 + number),
        )
    told = worst_offenders(session, ["failure_rate"], FIGURES)
    assert [line.split(", ")[1].split(" ")[0] for line in told] == [f"reason_{number}" for number in (7, 6, 5, 4, 3)]


def test_a_metric_without_records_of_its_own_gets_the_sources_worst_first(session: Session) -> None:
    sources = [
        "s3: 5 of 2,000 quarantined, 3 incomplete, 2 out of range",
        "api: 1 of 100 quarantined, 0 incomplete, 0 out of range",
    ]
    assert offending_sources(FIGURES) == sources
    assert worst_offenders(session, ["records_lost"], FIGURES) == sources


def test_a_test_that_belongs_to_no_metric_is_told_by_its_name(session: Session) -> None:
    assert worst_offenders(session, [], FIGURES, ["not_null_x"])[-1] == "test not_null_x"
    assert "test not_null_x" not in worst_offenders(session, ["accuracy"], FIGURES, ["not_null_x"])
