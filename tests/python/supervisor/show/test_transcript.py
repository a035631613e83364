"""The transcript: every event of a run as people read it, and a listener more touches nothing."""

from __future__ import annotations

import io
import typing
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from run_helpers import failed, loaded, make_state

from supervisor.dbt.entities import Entity
from supervisor.record import events
from supervisor.record.events import Event, to_all
from supervisor.record.figures import DayFigures, Measured
from supervisor.record.journal import Journal
from supervisor.show.console_plain import PlainConsole
from supervisor.show.run_log import RunLog
from supervisor.show.transcript import Transcript

FIGURES = {
    "s3": DayFigures(
        collected=250_000, quarantined=3_800, transformed=246_200, defaulted=1_500,
        corrected=800, duplicates=1_200, anomalies=180, published=245_000,
        dimensions={"completeness": Measured(246_200, 2_300, 2_300), "accuracy": Measured(246_200, 200, 1_000)},
    )
}  # fmt: skip


def entity(name: str, *required: str) -> Entity:
    return Entity(name, f"analytics.{name}", ("id",), 30, {}, {}, required, {})


STARTED = events.RunStarted("r1", Path("runs/r1"), date(2025, 11, 16), "duckdb", ("using the sandbox",))


def shown(*happened: Event) -> list[str]:
    """The lines without their times."""
    stream = io.StringIO()
    transcript = Transcript(PlainConsole(stream))
    for event in happened:
        transcript(event)
    return [line.partition("Z  ")[2] for line in stream.getvalue().splitlines()]


def test_a_run_begins_with_its_id_its_day_and_its_notes() -> None:
    assert shown(STARTED) == [
        "run  start  Multi-Source Data Pipeline: Starting (run_id: r1)",
        "run  start  Date: 2025-11-16",
        "run  start  Target: duckdb",
        "run  note  using the sandbox",
    ]


def test_a_source_that_fails_once_is_told_try_by_try() -> None:
    assert shown(
        events.PhaseStarted("collect", "Data Collection"),
        events.SourceStarted("api", "API", "Endpoint", "http://host/events"),
        events.AttemptFailed("api", 1, "Timeout", 2.2),
        events.SourceFinished(loaded("api", 15_000, tries=2)),
        events.Collected({"api": loaded("api", 15_000, tries=2)}),
        events.PhaseFinished("collect", "COMPLETED", 5.6),
    ) == [
        "collect  phase  Phase 1: Data Collection [In Progress]",
        "collect  api  API Collection (parallel)...",
        "collect  api  Endpoint: http://host/events",
        "collect  api  Attempt 1: [x] Timeout",
        "collect  api  Retry in 2s...",
        "collect  api  Attempt 2: [ok] Success",
        "collect  api  Records: 15,000",
        "collect  api  API Collection (parallel): COMPLETED in 1.5 s  [ok]",
        "collect  phase  Phase 1: COMPLETED",
        "collect  phase  Total records: 15,000",
        "collect  phase  Sources: 1/1 successful (1 retry)",
        "collect  phase  Duration: 5.6 s",
    ]


def test_a_source_that_is_down_is_named_with_its_reason() -> None:
    outcomes = {"s3": loaded("s3"), "api": failed("api", "connection refused")}
    lines = shown(
        events.PhaseStarted("collect", "Data Collection"),
        events.SourceFinished(outcomes["api"]),
        events.Collected(outcomes),
        events.PhaseFinished("collect", "COMPLETED WITH WARNINGS", 1),
    )
    assert "collect  api  [x] connection refused" in lines
    assert any("api Collection: FAILED after 3 tries" in line for line in lines)
    assert "collect  phase  Failed sources: api (connection refused)" in lines


def test_the_figures_of_the_day_are_shown_in_their_phases(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    state.update_figures({("events", source): one for source, one in FIGURES.items()})
    lines = shown(
        events.Collected({"s3": loaded("s3", 250_000)}),
        events.PhaseStarted("transform", "Data Transformation"),
        events.Transformed(FIGURES, 12),
        events.PhaseFinished("transform", "COMPLETED", 4),
        events.PhaseStarted("validate", "Quality Validation"),
        events.Measured(FIGURES, state.criteria(), [entity("events", "user_id", "timestamp")]),
        events.PhaseFinished("validate", "COMPLETED", 2),
        events.PhaseStarted("publish", "Data Publishing"),
        events.PublishStarted("warehouse.duckdb", ["analytics.events"]),
        events.Published("r1"),
        events.ReportWritten("reports/r1.html"),
        events.Archived("archive/2025/11/16/"),
        events.PhaseFinished("publish", "COMPLETED", 0.6),
    )
    for line in (
        "transform  schema  Type conversion: 12 fields converted  [ok]",
        "transform  schema  Default values: applied to 1,500 records (0.61%)  [ok]",
        "transform  phase  Failed transformations: 3,800 (quarantined)",
        "validate  completeness  Required fields: user_id, timestamp",
        "validate  completeness  Missing fields: 2,300 records (0.94%)",
        "validate  accuracy  Accuracy: 99.91% (threshold: 98%)  [ok]",
        "validate  phase  Final record count: 245,000 (after deduplication)",
        "publish  load  Target: warehouse.duckdb, analytics.events",
        "publish  load  Records: 245,000",
        "publish  phase  Published: 245,000 records",
    ):
        assert line in lines


def test_several_entities_are_told_apart(tmp_path: Path) -> None:
    lines = shown(
        events.PhaseStarted("validate", "Quality Validation"),
        events.Measured(FIGURES, make_state(tmp_path).criteria(), [entity("events", "user_id"), entity("orders")]),
        events.PhaseFinished("validate", "COMPLETED", 2),
        events.PhaseStarted("publish", "Data Publishing"),
        events.PublishStarted("warehouse.duckdb", ["analytics.events", "analytics.orders"]),
        events.PhaseFinished("publish", "COMPLETED", 1),
    )
    for line in (
        "validate  completeness  Required fields of events: user_id",
        "validate  completeness  Required fields of orders: none",
        "publish  load  Target: warehouse.duckdb, analytics.events, analytics.orders",
    ):
        assert line in lines


def test_a_phase_that_fails_says_why() -> None:
    lines = shown(
        events.PhaseStarted("validate", "Quality Validation"),
        events.PhaseFinished("validate", "FAILED", 3, "no correction is left"),
    )
    assert lines[-3:] == [
        "validate  phase  Phase 3: FAILED",
        "validate  phase  no correction is left",
        "validate  phase  Duration: 3.0 s",
    ]


def test_every_event_is_shown_or_kept() -> None:
    """An event that no listener takes is one that nobody needs."""
    handled = typing.cast(str, Transcript.__call__.__code__.co_names)
    kinds = {name for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, Event)}
    assert kinds - {"Event", "DecisionTaken"} <= set(handled)


def test_the_log_is_one_for_each_run_and_holds_no_secret(tmp_path: Path) -> None:
    from loaders.redact import register_secrets

    register_secrets(["canary-7f31"])
    listener = to_all(RunLog())
    for run_id in ("r1", "r2"):
        folder = tmp_path / run_id
        folder.mkdir()
        listener(events.RunStarted(run_id, folder, date(2025, 11, 16), "duckdb", ()))
        listener(events.Said(f"{run_id} says canary-7f31"))
    texts = [(tmp_path / run_id / "run.log").read_text() for run_id in ("r1", "r2")]
    assert ["r1 says ***" in texts[0], "r2 says ***" in texts[1]] == [True, True]
    assert "r2" not in texts[0]


def test_one_listener_more_hears_everything_and_changes_nothing(tmp_path: Path) -> None:
    heard: list[Event] = []
    before: list[Event] = []
    state = make_state(tmp_path, emit=to_all(Journal(tmp_path / "decisions.jsonl"), before.append, heard.append))
    happened: Sequence[type[Event]] = (events.PhaseStarted, events.DecisionTaken, events.PhaseFinished)
    state.clock.start("collect", "Data Collection")
    state.decide("collect", "seen", "done", "well")
    state.clock.finish("collect", "COMPLETED")
    assert [type(event) for event in heard] == list(happened)
    assert heard == before
    assert (tmp_path / "decisions.jsonl").read_text().count("\n") == 1
