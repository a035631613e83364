"""The worst offenders of a criterion: what its bad records have in common, the largest groups first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from supervisor.record.figures import DayFigures, Measured
from supervisor.run.offenders import offending_sources, worst_offenders
from supervisor.warehouse.base import Session
from supervisor.warehouse.duckdb import DuckDBWarehouse

FIGURES = {
    "api": DayFigures(collected=100, quarantined=1),
    "s3": DayFigures(
        collected=2_000,
        quarantined=5,
        dimensions={"completeness": Measured(1_995, 3, 3), "accuracy": Measured(1_995, 2, 4)},
    ),
}
# record, source, object, dimension, check, outcome
FINDINGS = [
    (1, "s3", "b.parquet", "transformation", "user_id_unparsable", "rejected"),
    (2, "s3", "a.parquet", "transformation", "user_id_unparsable", "rejected"),
    (3, "api", "page 1", "transformation", "orphan_user", "rejected"),
    (4, "s3", "a.parquet", "completeness", "event_type_missing", "flagged"),
    (4, "s3", "a.parquet", "completeness", "user_id_missing", "flagged"),
    (5, "api", "page 2", "completeness", "user_id_missing", "flagged"),
    (6, "s3", "a.parquet", "accuracy", "amount_out_of_range", "flagged"),
    (7, "s3", "a.parquet", "accuracy", "amount_out_of_range", "corrected"),
    (8, "api", "page 3", "completeness", "country_defaulted", "defaulted"),
    (9, "s3", "c.parquet", "transformation", "orphan_user", "rejected"),
]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A warehouse with the findings above as the day was built."""
    with DuckDBWarehouse(tmp_path / "warehouse.duckdb").session() as session:
        session.execute("create schema intermediate")
        session.execute(
            "create table intermediate.int_findings (record_id integer, source varchar, source_object varchar, "
            "dimension varchar, check_name varchar, outcome varchar, entity varchar default 'events')"
        )
        for finding in FINDINGS:
            session.execute(
                "insert into intermediate.int_findings (record_id, source, source_object, dimension, check_name, outcome) "
                "values (?, ?, ?, ?, ?, ?)",
                finding,
            )
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
            ["api: 1 record, user_id_missing (the first in page 2)",
             "s3: 1 record, event_type_missing, user_id_missing (the first in a.parquet)"],
        ),
        (
            "accuracy",
            ["s3: 1 record, amount_out_of_range (the first in a.parquet)"],
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
            "insert into intermediate.int_findings (record_id, source, source_object, check_name, outcome) "
            "select ? + range, 's3', 'z.parquet', ?, 'rejected' from range(?)",
            (1_000 * (number + 1), f"reason_{number}", 10 + number),
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
