"""What a run says while it works. It emits events and knows no listener: consoles, the log and files take what they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.dbt.entities import Entity
from supervisor.goal.criteria import CriterionResult
from supervisor.record.figures import DayFigures
from supervisor.record.ledger import LoadOutcome

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


@dataclass(frozen=True)
class Event:
    """Something that happened. Texts may hold data of a source; secrets are not cleared from them yet."""


@dataclass(frozen=True)
class RunStarted(Event):
    """A run begins; its folder is there."""

    run_id: str
    run_dir: Path
    date: date
    target: str
    notes: Sequence[str]


@dataclass(frozen=True)
class RunFinished(Event):
    """A run is over, or none was needed; the summary is the content of `summary.json`."""

    summary: Summary


@dataclass(frozen=True)
class PhaseStarted(Event):
    """A phase begins: collect, transform, validate or publish."""

    phase: str
    title: str


@dataclass(frozen=True)
class PhaseFinished(Event):
    """A phase is over: COMPLETED, COMPLETED WITH WARNINGS or FAILED, the last with its reason unless that was told."""

    phase: str
    status: str
    duration_s: float
    reason: str | None = None


@dataclass(frozen=True)
class DecisionTaken(Event):
    """What was seen, what was chosen and why, and what came of it; cleared of secrets. `at` is an ISO time, UTC."""

    phase: str
    observed: str
    decision: str
    outcome: str
    at: str


@dataclass(frozen=True)
class Said(Event):
    """Something that belongs to no step."""

    text: str
    is_error: bool = False


# ---------------------------------------------------------------- collect


@dataclass(frozen=True)
class SourceStarted(Event):
    """A source is being asked. `place` is what its kind calls a location."""

    source: str
    title: str
    place: str
    location: str


@dataclass(frozen=True)
class AttemptFailed(Event):
    """A try at a source failed; `retry_in_s` is None when it was the last."""

    source: str
    attempt: int
    error: str
    retry_in_s: float | None


@dataclass(frozen=True)
class FellBack(Event):
    """A source's fallback endpoint is asked."""

    source: str
    endpoint: str


@dataclass(frozen=True)
class SourceProgress(Event):
    """What a source has to say while it is read."""

    source: str
    text: str


@dataclass(frozen=True)
class SourceFinished(Event):
    """What came of a source; `is_told` is False when the loaders ended without a word of it."""

    outcome: LoadOutcome
    is_told: bool = True


@dataclass(frozen=True)
class ReferencesRequested(Event):
    """The reference tables of these sources are read anew."""

    sources: Sequence[str]


@dataclass(frozen=True)
class ReferencesRead(Event):
    """They were read, or could not be."""

    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Collected(Event):
    """What the day is built from, by source."""

    outcomes: Mapping[str, LoadOutcome]


@dataclass(frozen=True)
class RawRecordsKept(Event):
    """The day is built from raw records that are there; notes say what was done besides."""

    outcomes: Mapping[str, LoadOutcome]
    records: int
    notes: Sequence[str]


# ---------------------------------------------------------------- build


@dataclass(frozen=True)
class Transformed(Event):
    """The day is built; `conversions` are fields that were given another type than they came in."""

    figures: Mapping[str, DayFigures]
    conversions: int


@dataclass(frozen=True)
class CleansingStarted(Event):
    """A tier of correction rules is applied."""

    tier: int
    reason: str


@dataclass(frozen=True)
class CleansingUndone(Event):
    """A tier made something worse and is taken back."""

    tier: int
    outcome: str


@dataclass(frozen=True)
class DbtRetried(Event):
    """dbt failed for a passing reason and is asked again; `selected` None is everything."""

    selected: str | None
    observed: str


@dataclass(frozen=True)
class WarehouseAwaited(Event):
    """The warehouse can't be used for the moment."""

    problem: str
    wait_s: float


@dataclass(frozen=True)
class Measured(Event):
    """The day's figures as they will be judged, and the criteria held against them."""

    figures: Mapping[str, DayFigures]
    criteria: Sequence[CriterionResult]
    entities: Sequence[Entity]


# ---------------------------------------------------------------- publish


@dataclass(frozen=True)
class PublishStarted(Event):
    """The day goes into the published tables of a warehouse; `marts` are those of the entities, as `schema.table`."""

    warehouse: str
    marts: Sequence[str]


@dataclass(frozen=True)
class Published(Event):
    """The transaction was committed."""

    run_id: str


@dataclass(frozen=True)
class ReportWritten(Event):
    """The report is there; its path is below the working directory."""

    path: str


@dataclass(frozen=True)
class ReportFailed(Event):
    """The report can't be written."""

    problem: str


@dataclass(frozen=True)
class Archived(Event):
    """The raw data is in the archive."""

    location: str


@dataclass(frozen=True)
class ArchiveSkipped(Event):
    """The raw data is not in the archive."""

    reason: str


Emit = Callable[[Event], None]
"""Takes an event to whoever listens, in the thread that has it; must not raise."""


def to_all(*listeners: Emit) -> Emit:
    """Return what hands an event to every listener, in their order."""

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit
