"""`summary.json`: what a run leaves of itself, written and read back with one model.

Importing pydantic takes 70 ms, so whoever needs a summary at a run's end only imports this module there.
"""

from __future__ import annotations

from datetime import date as Date
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer

from loaders.contract import describe
from supervisor.common.outcome import PUBLISHED_STATUSES, Outcome
from supervisor.common.text import listed, measure, operator_sign, plain_text, plural, share
from supervisor.goal.metrics import METRICS

SCHEMA_VERSION = 1
_LONGEST_TEXT = 1_000

Number = int | float
Moment = Annotated[datetime, PlainSerializer(lambda moment: moment.isoformat(timespec="milliseconds"))]


class Part(BaseModel):
    """A part of a summary. Keys that another version has written and this one does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Phase(Part):
    """A phase; seconds are known once it has ended."""

    status: str
    duration_s: float | None = None

    @property
    def is_completed(self) -> bool:
        """Whether it did what it had to, with warnings or without."""
        return self.status.startswith("COMPLETED")


class Strategy(Part):
    """How a source was handed over to the warehouse: as planned, and measured; sizes are bytes."""

    name: str
    batch_bytes: int | None = None
    batches: int | None = None
    largest_batch_bytes: int | None = None


class Unread(Part):
    """An object, or another part of a source's day, that could not be read."""

    object: str
    reason: str

    def __str__(self) -> str:
        return f"{self.object} ({self.reason})"


class Change(Part):
    """A column that came, went or changed its type, with the day on which it did so; "" for no type."""

    table: str
    column: str
    change: str
    before: str = ""
    after: str = ""
    since: Date | None = None

    def __str__(self) -> str:
        return describe(self.model_dump()) + (f", since {self.since}" if self.since else "")


class Source(Part):
    """What came of a source: counts of records, and the run that collected them."""

    status: str
    collected: int = 0
    quarantined: int = 0
    duplicates: int = 0
    published: int = 0
    tries: int = 1
    reason: str | None = None
    duration_s: float | None = None
    run_id: str | None = None
    title: str = ""
    location: str = ""
    fallback: bool = False
    strategy: Strategy | None = None
    incomplete: tuple[Unread, ...] = ()
    drift: tuple[Change, ...] = ()

    @property
    def is_loaded(self) -> bool:
        """Whether its records of the day came in."""
        return self.status == "loaded"

    @property
    def is_whole(self) -> bool:
        """Whether all that it has of the day came in."""
        return self.is_loaded and not self.incomplete

    @property
    def unread(self) -> str:
        """What of it could not be read, for people."""
        return listed(list(map(str, self.incomplete)))

    @property
    def retries(self) -> int:
        """The tries after the first."""
        return max(self.tries - 1, 0)

    @property
    def cause(self) -> str:
        """Why it failed, or needed further tries."""
        return self.reason or "no reason recorded"


class Measurement(Part):
    """Records held against a dimension: how many, and how many have something open in it, now and as received."""

    attempted: int = 0
    failed: int = 0
    failed_before: int = 0


class Entity(Part):
    """What came of an entity: counts of records, where they are published, and what is said of them there.

    `holds` has, by dimension, the column that says whether nothing is open in it; `outliers` the fields whose outliers are
    marked, each with the field that they are compared within.
    """

    table: str
    key: tuple[str, ...] = ()
    lookback_days: int | None = None
    holds: dict[str, str] = {}
    outliers: dict[str, str | None] = {}
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
    dimensions: dict[str, Measurement] = {}


class Criterion(Part):
    """A line of the goal; `met` is None where it is not checked (without a metric) or not measured."""

    text: str
    metric: str | None = None
    subject: str | None = None
    operator: str | None = None
    threshold: Number | None = None
    measured: Number | None = None
    met: bool | None = None
    note: str | None = None

    @property
    def is_checked(self) -> bool:
        """Whether the line is a check at all."""
        return self.metric is not None

    @property
    def is_missed(self) -> bool:
        """Whether it was measured and is not met."""
        return self.met is False

    @property
    def unit(self) -> str:
        """Unit of its figures, as `measure` takes it."""
        return METRICS[self.metric].unit if self.metric in METRICS else "count"

    @property
    def figure(self) -> str:
        """What was measured, for people; never rounded across the threshold."""
        return "not measured" if self.measured is None else measure(self.measured, self.unit, against=self.threshold)

    @property
    def evidence(self) -> str:
        """The figure, with what it stands on where that is known."""
        return f"{self.figure} ({self.note})" if self.note else self.figure

    @property
    def limit(self) -> str:
        """The threshold with its operator, for people: "≥ 95%"."""
        known = "" if self.threshold is None else measure(self.threshold, self.unit)
        return f"{operator_sign(self.operator)} {known}".strip()

    @property
    def mark(self) -> str:
        """The sign of the verdict; "" where there is none."""
        return "" if self.met is None else "✓" if self.met else "✗"

    @property
    def title(self) -> str:
        """Its text as the beginning of a line."""
        return self.text[:1].upper() + self.text[1:]


class Decision(Part):
    """What was seen, what was chosen and why, what came of it."""

    phase: str
    observed: str
    decision: str
    outcome: str
    at: Moment | None = None


class Escalation(Part):
    """Why nothing was published, and what a person can do."""

    phase: str
    reason: str
    metric: str | None = None
    current: Number | None = None
    threshold: Number | None = None
    subjects: tuple[str, ...] = ()
    offenders: tuple[str, ...] = ()
    recommendation: str = ""


class AlertSent(Part):
    """What was told to people."""

    kind: str
    sent: bool
    problem: str | None = None


class RunError(Part):
    """What broke a run off in an unexpected way."""

    type: str
    message: str


class Summary(Part):
    """A run that came to an end, or as far as it is known; docs/summary.md describes each key.

    Shares are fractions, durations seconds, memory megabytes of 10^6 bytes, all else counts of the day's records.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    date: Date
    target: str
    options: dict[str, str] = {}
    status: str
    exit_code: int
    started_at: Moment
    finished_at: Moment
    duration_s: float
    peak_memory_mb: Number | None = None
    phases: dict[str, Phase] = {}
    sources: dict[str, Source] = {}
    entities: dict[str, Entity] = {}
    collected: int = 0
    transformed: int = 0
    quarantined: int = 0
    defaults_applied: int = 0
    missing_required: int = 0
    out_of_range: int = 0
    corrected: int = 0
    flagged: int = 0
    duplicates: int = 0
    versions: int = 0
    anomalies: int = 0
    late: int = 0
    published: int = 0
    completeness: float | None = None
    accuracy: float | None = None
    consistency: float | None = None
    failure_rate: float | None = None
    type_conversions: int = 0
    criteria: tuple[Criterion, ...] = ()
    decisions: tuple[Decision, ...] = ()
    repair_command: str | None = None
    report: str | None = None
    archive: str | None = None
    alert: AlertSent | None = None
    escalation: Escalation | None = None
    error: RunError | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, with the keys that it was made of and no other."""
        return self.model_dump(mode="json", exclude_unset=True)

    def with_phase(self, name: str, status: str, duration_s: float) -> Self:
        """Return it with a phase that is told as it will be."""
        phase = Phase(status=status, duration_s=duration_s)
        return self.model_copy(update={"phases": {**self.phases, name: phase}})

    def plain(self) -> Self:
        """Return it with every text fit to be shown: one line, no control characters, no secrets."""
        return self.model_validate(_plain(self.as_dict()))

    @property
    def outcome(self) -> Outcome:
        """How it ended, as the table of outcomes has it."""
        return Outcome.of(self.status, self.exit_code)

    @property
    def has_published(self) -> bool:
        """Whether readers saw the day as this run built it."""
        return self.status in PUBLISHED_STATUSES

    @property
    def made_visible(self) -> bool:
        """Whether it made the day visible to readers, even if it failed afterwards."""
        if self.outcome is Outcome.NOTHING_TO_DO:
            return False
        return self.has_published or ("publish" in self.phases and self.phases["publish"].is_completed)

    def where_not(self, dimension: str) -> str:
        """Where the records lie that have something open in a dimension, for people."""
        found = [f"{one.table}, not {one.holds[dimension]}" for one in self.entities.values() if dimension in one.holds]
        return "; ".join(found) or ", ".join(one.table for one in self.entities.values())

    @property
    def where_outliers(self) -> str:
        """Where the statistical outliers lie, for people."""
        return "; ".join(f"{one.table}, is_anomaly" for one in self.entities.values() if one.outliers)

    @property
    def missing(self) -> list[Source]:
        """The sources whose records of the day are not there."""
        return [source for source in self.sources.values() if not source.is_loaded]

    @property
    def incomplete(self) -> list[Source]:
        """The sources of whose day a part could not be read; what could be is there."""
        return [source for source in self.sources.values() if source.is_loaded and source.incomplete]

    @property
    def drift(self) -> list[str]:
        """The columns that changed since the last good loads, a line each, for people."""
        return [f"{source.title}: {change}" for source in self.sources.values() for change in source.drift]

    @property
    def missed(self) -> list[Criterion]:
        """The criteria that were measured and are not met."""
        return [one for one in self.criteria if one.is_missed]

    @property
    def unaccounted(self) -> int:
        """Collected records that are neither published nor quarantined nor duplicates; 0 where the sums add up."""
        return self.collected - self.published - self.quarantined - self.duplicates

    def share_of(self, metric: str) -> str:
        """A share of the day for people, the same wherever it is shown: never rounded across the goal's threshold."""
        limit = next((one.threshold for one in self.criteria if one.metric == metric and one.subject is None), None)
        return share(getattr(self, metric), against=limit)

    @property
    def goal_tally(self) -> str:
        """How the goal stands, as in "10 of 13 criteria met, 1 not met, 2 not measured"."""
        checked = [one for one in self.criteria if one.is_checked]
        met, missed = sum(one.met is True for one in checked), len(self.missed)
        unmeasured = len(checked) - met - missed
        parts = [f"{met} of {plural(len(checked), 'criterion', 'criteria')} met"]
        parts += [f"{missed} not met"] if missed else []
        parts += [f"{unmeasured} not measured"] if unmeasured else []
        return ", ".join(parts)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return plain_text(value, _LONGEST_TEXT) if isinstance(value, str) else value
