"""What a goal may bound: the figures of a run, their units and their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operator = Literal["<", "<=", ">", ">=", "=="]
Unit = Literal["fraction", "s", "MB", "cores", "count"]
Better = Literal["high", "low", "any"]
Subject = Literal["source", "entity"]
Stage = Literal["collect", "transform", "validate", "publish", "run"]


@dataclass(frozen=True, slots=True)
class Past:
    """The days that a figure is held against: the last so many before the day, all or those of its weekday."""

    days: int
    same_weekday: bool

    def __str__(self) -> str:
        noun = "same weekday" if self.same_weekday else "day"
        return f"last {self.days} {noun}s" if self.days > 1 else f"last {noun}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a run that a goal may bound.

    Attributes:
        name: As in `summary.json` where the figure is there too.
        unit: "fraction" (0 to 1), "s", "MB" (10^6 bytes), "cores" or "count".
        better: "high" or "low", which rules out bounds in the senseless direction; "any".
        stage: The phase that decides it, or "run" for the whole run.
        gate: Whether it must hold before anything is published.
        meaning: What exactly is measured, denominators included.
        aliases: What it is called in a goal file; the first is the canonical one.
        tested: A dbt test holds it against the project's `<name>_threshold` and `<name>_strict`.
        guarded: No remedy may make it worse, whatever it gains elsewhere.
        of: What a goal may bound it for, beside the day.
        sample: An accepted clause, where it has a form of its own.
    """

    name: str
    unit: Unit
    better: Better
    stage: Stage
    gate: bool
    meaning: str
    aliases: tuple[str, ...]
    tested: bool = False
    guarded: bool = False
    of: tuple[Subject, ...] = ()
    sample: str = ""

    @property
    def example(self) -> str:
        """Return an accepted clause for this metric."""
        if self.sample:
            return self.sample
        low = self.better == "low"
        if self.unit == "count":
            bound = "= 0" if low else ">= 1"
        elif self.unit == "fraction":
            bound = "<= 2 %" if low else ">= 95 %"
        else:
            sample = {"s": "30 minutes", "MB": "8 GB", "cores": "4"}
            bound = f"<= {sample[self.unit]}"
        return f"{self.aliases[0]} {bound}"


_ALL = (
    Metric("sources_accounted", "fraction", "high", "collect", True,
           "sources that were loaded or have a recorded failure / configured sources",
           ("sources accounted", "sources accounted for")),
    Metric("sources_loaded", "count", "high", "collect", True,
           "sources whose records of the day are loaded", ("sources loaded", "source loaded")),
    Metric("sources_failed", "count", "low", "collect", True,
           "configured sources whose records of the day are not loaded",
           ("sources failed", "failed sources")),
    Metric("unhandled_source_failures", "count", "low", "collect", True,
           "failed sources without a recorded reason, or that kept another from loading",
           ("unhandled source failures",)),
    Metric("records_collected", "count", "any", "collect", True,
           "collected records of the day, or of one source; not measured of a source that failed",
           ("records collected", "collected records", "records"),
           of=("source", "entity"), sample="records of s3 >= 1,000"),
    Metric("volume", "fraction", "low", "collect", True,
           "per source |collected records - median of its own past| / that median; not measured with too little past",
           ("change in volume", "volume"),
           of=("source",), sample="volume within 50 % of the last 4 same weekdays"),
    Metric("failure_rate", "fraction", "low", "transform", True,
           "quarantined records / collected records",
           ("failure rate", "transformation failure rate", "transformation failures"),
           tested=True, guarded=True, of=("entity",)),
    Metric("default_rate", "fraction", "low", "transform", True,
           "records with a default value applied / transformed records",
           ("default rate", "default values applied"), of=("entity",)),
    Metric("completeness", "fraction", "high", "validate", True,
           "transformed records with all required fields / transformed records",
           ("completeness",),
           tested=True, guarded=True, of=("entity",)),
    Metric("accuracy", "fraction", "high", "validate", True,
           "transformed records in range, corrected ones too / transformed records",
           ("accuracy",),
           tested=True, guarded=True, of=("entity",)),
    Metric("consistency", "fraction", "high", "validate", True,
           "transformed records whose references exist / transformed records",
           ("consistency",),
           tested=True, guarded=True, of=("entity",)),
    Metric("score", "fraction", "high", "validate", True,
           "of a dimension that the project declares: transformed records with nothing open in it / transformed records",
           ("score",), of=("entity",), sample="timeliness >= 95 %"),
    Metric("anomaly_rate", "fraction", "low", "validate", True,
           "records flagged as statistical outliers / transformed records",
           ("anomaly rate", "anomalies"), of=("entity",)),
    Metric("duplicate_rate", "fraction", "low", "validate", True,
           "duplicates removed / transformed records", ("duplicate rate",), of=("entity",)),
    Metric("records_lost", "count", "low", "validate", True,
           "conservation: per source |collected - published - quarantined - duplicates|, summed",
           ("records lost",),
           guarded=True),
    Metric("records_published", "count", "any", "publish", True,
           "records of the day that are published", ("records published", "published records"), of=("entity",)),
    Metric("duplicates_published", "count", "low", "publish", True,
           "records to publish whose key is there already, in the day or the look-back",
           ("duplicates published", "published duplicates")),
    Metric("rerun_leftovers", "count", "low", "publish", False,
           "idempotency: rows of the day's published partition that this publish did not write",
           ("rerun leftovers",)),
    Metric("lineage_gaps", "count", "low", "publish", False,
           "lineage: sources with published records but without a lineage row of this run",
           ("lineage gaps",)),
    Metric("duration_s", "s", "low", "run", False, "wall time of the whole run",
           ("duration", "deadline", "pipeline completes", "pipeline finishes", "run completes",
            "run finishes")),
    Metric("peak_memory_mb", "MB", "low", "run", False,
           "highest resident memory of all processes of the run together, in 10^6 bytes",
           ("peak memory", "memory", "RAM")),
    Metric("cores_used", "cores", "low", "run", False,
           "processor time of all processes of the run / its wall time",
           ("cores", "CPU cores", "CPUs")),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
# also under the name in summary.json, whose underscores count as spaces
ALIASES: dict[str, Metric] = {
    alias.lower(): metric for metric in _ALL for alias in (*metric.aliases, metric.name.replace("_", " "))
}
