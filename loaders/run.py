"""Collect all chosen sources at once, load them one after the other, report each outcome."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from loaders.attempt import BATCH_BYTES, Attempt, Deadline, Extraction, Stamp
from loaders.batches import Batches
from loaders.contract import Columns, Contract, Watch
from loaders.engines import engine
from loaders.errors import SourceError, WarehouseError, no_data_error
from loaders.events import Events
from loaders.failures import classify
from loaders.imports import LOCK, import_alone
from loaders.redact import redact
from loaders.retry import BACKOFF_S, Retries
from loaders.sources import Source
from loaders.warehouse import Collected, Warehouse, collect, import_dlt

logger = logging.getLogger("loaders")


@dataclass(frozen=True)
class RunSettings:
    """What one load run is asked to do; times in seconds.

    With `references_only` the sources hold nothing but reference tables. `batch_bytes` says by source how much of it
    is held and handed over at once; a source that is not in it gets `BATCH_BYTES`. `contracts` and `known` say by source
    what its columns may do, and which those of its last good load were.
    """

    day: date
    run_id: str
    target: str
    workdir: Path
    deadline_s: float
    backoff_s: float = BACKOFF_S
    references_only: bool = False
    batch_bytes: Mapping[str, int] = field(default_factory=dict)
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    known: Mapping[str, Columns] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How the collecting of one source ended: with a package, or with an error."""

    source: Source
    collected: Collected | None
    error: SourceError | None
    tries: int
    started: float
    """Seconds on the monotonic clock."""
    endpoints: int = 1
    """2 when the fallback endpoint was asked too."""


def run(sources: Sequence[Source], settings: RunSettings, events: Events) -> None:
    """Attempt every source and load those that could be collected.

    A source that is still collecting at the deadline is left behind as failed; its thread is a
    daemon and ends with the process.
    """
    deadline = Deadline(settings.deadline_s)
    stamp = Stamp(settings.day, settings.run_id, datetime.now(UTC))
    target = engine(settings.target)
    warehouse = Warehouse(target(deadline))
    outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    started = time.monotonic()
    # what the threads import themselves waits until every kind's libraries are there
    with LOCK:
        for source in sources:
            events.emit(
                "source_started",
                source=source.name,
                kind=source.kind,
                title=source.title,
                place=source.place,
                location=source.location(settings.day),
            )
            import_alone(*source.libraries)
            collector = _Collector(source, settings, stamp, deadline, events)
            threading.Thread(
                target=lambda work=collector: outcomes.put(work.run()),
                name=f"collect-{source.name}",
                daemon=True,
            ).start()
    # the first requests are on their way: time for the slowest import
    import_dlt()
    import_alone(target.library)
    waiting = {source.name: source for source in sources}
    while waiting:
        try:
            outcome = outcomes.get(timeout=deadline.remaining() + 0.05)
        except queue.Empty:
            break
        del waiting[outcome.source.name]
        _finish(outcome, warehouse, stamp, settings, events, deadline)
    for source in waiting.values():
        error = SourceError(
            f"timeout, no end after {settings.deadline_s:g} s, left behind",
            code="Timeout",
            transient=True,
        )
        _report(Outcome(source, None, error, 1, started), events)
    warehouse.close()


class _Collector:
    """Collects one source in its own thread: open, read, write the load package."""

    def __init__(
        self,
        source: Source,
        settings: RunSettings,
        stamp: Stamp,
        deadline: Deadline,
        events: Events,
    ) -> None:
        self._source = source
        self._settings = settings
        self._events = events
        self._folder = settings.workdir / "dlt" / source.name
        self._packages = 0
        self._subject = source.subject(settings.day)
        self._retries = Retries(source.name, self._subject, deadline, events, backoff_s=settings.backoff_s)
        self._attempt = Attempt(
            stamp=stamp,
            landing=settings.workdir / "landing" / source.name,
            deadline=deadline,
            progress=lambda text: events.emit("source_progress", source=source.name, text=text),
            retry=self._retries,
            max_columns=engine(settings.target).max_columns,
            batch_bytes=settings.batch_bytes.get(source.name, BATCH_BYTES),
        )

    def run(self) -> Outcome:
        """Return the outcome; nothing that a source does gets out of here as an exception."""
        started = time.monotonic()
        collected, error = None, None
        endpoints = 1
        try:
            elsewhere = None
            try:
                collected = self._retries(lambda: self._collect(self._source.open(self._attempt)))
            except Exception as failure:
                elsewhere = self._source.fallback() if classify(failure, self._subject).transient else None
                if elsewhere is None:
                    raise
            # not within the handler: what fails here is no consequence of what failed there
            if elsewhere:
                endpoints = 2
                address, source = elsewhere
                self._events.emit("fallback", source=source.name, endpoint=address)
                collected = self._fallback(source)
            assert collected is not None
            # what holds nothing but reference tables has no records of the day
            has_days = collected.rows.keys() - self._source.reference_tables()
            if collected.collected == 0 and has_days and not self._source.allow_empty:
                where = self._source.location(self._settings.day)
                raise no_data_error(f"no data: {where} is empty")
        except Exception as failure:
            logger.warning("source %s failed", self._source.name, exc_info=True)
            collected, error = None, classify(failure, self._subject)
        return Outcome(self._source, collected, error, self._retries.tries, started, endpoints)

    def _fallback(self, source: Source) -> Collected:
        once = Retries(
            source.name, self._subject, self._attempt.deadline, self._events, tries=1, before=self._retries.tries
        )
        # a memory of its own: what the primary endpoint left there is of another endpoint
        return self._collect(source.open(replace(self._attempt, retry=once, memory={})))

    def _collect(self, extraction: Extraction) -> Collected:
        self._packages += 1
        folder = self._folder / f"try-{self._packages}"
        batches = Batches(self._attempt.batch_bytes)
        extraction.tables = batches.of(extraction.tables)
        name = self._source.name
        watch = Watch(self._settings.contracts.get(name, Contract()), self._settings.known.get(name, {}))
        watch.over(extraction)
        collected = collect(name, self._settings.target, extraction, folder)
        watch.check()
        collected.detail.update(columns=watch.columns(), drift=watch.drift(), schema_contract=watch.contract.mode)
        collected.detail["strategy"] = {
            "batch_bytes": batches.limit_bytes,
            "batches": batches.handed_over,
            "largest_batch_bytes": batches.largest_bytes,
        }
        return collected


def _finish(
    outcome: Outcome,
    warehouse: Warehouse,
    stamp: Stamp,
    settings: RunSettings,
    events: Events,
    deadline: Deadline,
) -> None:
    error = outcome.error
    collected = outcome.collected
    loading = f"loading raw_{outcome.source.name}"
    retries = Retries(outcome.source.name, loading, deadline, events, backoff_s=settings.backoff_s)
    if collected is not None:
        try:
            retries(lambda: warehouse.load(collected, stamp))
        except SourceError as failure:
            logger.warning("source %s was not loaded", outcome.source.name, exc_info=True)
            error = failure
    tries = retries.tries if isinstance(error, WarehouseError) else outcome.tries
    _report(replace(outcome, error=error, tries=tries), events)


def _report(outcome: Outcome, events: Events) -> None:
    error, collected = outcome.error, outcome.collected
    detail = {**collected.detail, "tables": collected.rows} if collected else {}
    fields: dict[str, object] = {
        "status": "loaded" if error is None else "failed",
        "collected": collected.collected if collected else 0,
        "rejected": collected.rejected if collected else 0,
        "tries": outcome.tries,
        "duration_s": round(time.monotonic() - outcome.started, 3),
        "reason": None if error is None else reason(outcome, error),
        "transient": error.transient if error else False,
        "detail": detail,
    }
    if error is not None and error.no_data:
        fields["no_data"] = True
    if isinstance(error, WarehouseError):
        fields["at_warehouse"] = True
    events.emit("source_finished", source=outcome.source.name, **fields)


def reason(outcome: Outcome, error: SourceError) -> str:
    """Return why a source failed, for people, naming it and what was tried."""
    source, tries = outcome.source, outcome.tries
    text = error.text if error.text[:2].isupper() else error.text[:1].lower() + error.text[1:]
    if error.transient:
        what = "not loaded" if isinstance(error, WarehouseError) else source.nothing_came
        times = f"{tries} tries" if tries != 1 else "1 try"
        if outcome.endpoints > 1 and not isinstance(error, WarehouseError):
            times += " and one at the fallback endpoint"
        return redact(f"source {source.name!r}: {what} after {times} ({text})")
    return redact(f"source {source.name!r}: {text}")
