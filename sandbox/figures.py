"""How many records of which sort a day holds: the golden day, and other dates by their seed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

SOURCES = ("s3", "postgres", "api")
"""The sources in the order in which they win a duplicate."""

GOLDEN_DATE = dt.date(2025, 11, 16)
MIN_SCALE = 0.01
MAX_SCALE = 100.0

# no drawn source may come near the goal's 2 % of failures
_MAX_FAILURE_RATE = 0.018
_STREAM_FIGURES = 1


@dataclass(frozen=True, slots=True)
class Planned:
    """What is planted in one source, in records.

    Attributes:
        collected: All records.
        quarantined: Records that fail the transformation.
        defaults_applied: Records with at least one optional field missing.
        missing_required: Records with at least one required field missing.
        corrected: Records out of range that a rule can correct.
        flagged: Records out of range that no rule can correct.
        duplicates: Losing duplicates by the source that holds the winner.
        anomalies: Outliers of their event type.
    """

    collected: int
    quarantined: int
    defaults_applied: int
    missing_required: int
    corrected: int
    flagged: int
    duplicates: Mapping[str, int]
    anomalies: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a pipeline must find in one source, or in all of them, in records."""

    collected: int = 0
    quarantined: int = 0
    transformed: int = 0
    defaults_applied: int = 0
    missing_required: int = 0
    out_of_range: int = 0
    corrected: int = 0
    flagged: int = 0
    duplicates: int = 0
    anomalies: int = 0
    published: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Figures) -> Figures:
        """Add every figure, and the records per reason of failure."""
        keys = sorted(self.reasons.keys() | other.reasons.keys())
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "reasons"}
        both = {key: self.reasons.get(key, 0) + other.reasons.get(key, 0) for key in keys}
        return Figures(**sums, reasons=both)


@dataclass(frozen=True, slots=True)
class Expected:
    """The figures per source that is present, and their sum."""

    sources: Mapping[str, Figures]

    @property
    def total(self) -> Figures:
        """The day's figures over all sources that are present."""
        return sum(self.sources.values(), Figures())


_GOLDEN: Mapping[str, Planned] = {
    "s3": Planned(250_000, 3_800, 1_500, 2_300, 800, 200, {"s3": 1_200}, 180),
    "postgres": Planned(75_000, 1_000, 800, 700, 280, 70, {"s3": 320, "postgres": 180}, 55),
    "api": Planned(15_000, 300, 200, 200, 120, 30, {"s3": 45, "postgres": 30, "api": 25}, 15),
}


def planned_figures(date: dt.date, scale: float = 1.0) -> dict[str, Planned]:
    """Return what is to be planted on `date`, per source.

    Args:
        date: The day; 2025-11-16 gives the golden figures, another one figures drawn from its seed.
        scale: Multiplies every figure; each product is rounded on its own.

    Raises:
        ValueError: When `scale` is outside 0.01 to 100.
    """
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise ValueError(f"scale {scale}: must be between {MIN_SCALE} and {MAX_SCALE:g}")
    base = _GOLDEN if date == GOLDEN_DATE else _draw(date)
    return {name: _scaled(planned, scale) for name, planned in base.items()}


def _draw(date: dt.date) -> dict[str, Planned]:
    rng = np.random.default_rng([date.toordinal(), _STREAM_FIGURES])

    def vary(count: int) -> int:
        return round(count * rng.uniform(0.75, 1.25))

    drawn = {}
    for name, golden in _GOLDEN.items():
        collected = vary(golden.collected)
        drawn[name] = Planned(
            collected=collected,
            quarantined=min(vary(golden.quarantined), int(collected * _MAX_FAILURE_RATE)),
            defaults_applied=vary(golden.defaults_applied),
            missing_required=vary(golden.missing_required),
            corrected=vary(golden.corrected),
            flagged=vary(golden.flagged),
            duplicates={winner: vary(count) for winner, count in golden.duplicates.items()},
            anomalies=vary(golden.anomalies),
        )
    return drawn


def _scaled(planned: Planned, scale: float) -> Planned:
    def times(count: int) -> int:
        return round(count * scale)

    return Planned(
        collected=times(planned.collected),
        quarantined=times(planned.quarantined),
        defaults_applied=times(planned.defaults_applied),
        missing_required=times(planned.missing_required),
        corrected=times(planned.corrected),
        flagged=times(planned.flagged),
        duplicates=shares(times(sum(planned.duplicates.values())), planned.duplicates),
        anomalies=times(planned.anomalies),
    )


def shares(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Split `total` by `weights` into whole numbers that add up to it (largest remainder)."""
    whole = sum(weights.values())
    exact = {key: total * weight / whole for key, weight in weights.items()}
    result = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(exact, key=lambda key: result[key] - exact[key])
    for key in by_remainder[: total - sum(result.values())]:
        result[key] += 1
    return result
