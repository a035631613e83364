"""What the quality report is made from: the summary, and rows that the caller has queried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Score:
    """One measurement: a check on one source in one iteration (0 is before any remedy).

    `score` and `threshold` are fractions; `threshold` and `passed` are None for a check that is
    only watched. `attempted` and `failed` count records.
    """

    source: str
    dimension: str
    check_name: str
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
    """One corrected field of one event; None is a missing value."""

    event_id: str
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

    event_id: str
    source: str
    amount: float | Decimal | str | None
    distance_sd: float | Decimal | None = None


@dataclass(frozen=True)
class AnomalyGroup:
    """The statistical outliers of one event type, with the mean and deviation they left."""

    event_type: str
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
    """Everything that the report shows; only `summary` (as in `summary.json`) is required."""

    summary: Mapping[str, Any]
    scores: Sequence[Score] = ()
    rejections: Sequence[Rejection] = ()
    corrections: Sequence[CorrectionGroup] = ()
    anomalies: Sequence[AnomalyGroup] = ()
    lineage: Sequence[LineagePath] = ()
