"""A run's state without a run: nothing is collected, built or published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from supervisor.common.request import Request
from supervisor.goal.compile import load_goal
from supervisor.record.events import Emit, Event
from supervisor.record.ledger import LoadOutcome
from supervisor.run.clock import PhaseClock
from supervisor.run.meter import ResourceMeter
from supervisor.run.state import RunState

PROJECT = Path(__file__).resolve().parents[3]


def nobody(event: Event) -> None:
    """Nobody listens."""


def make_request(work_dir: Path, sources: Sequence[str] = ("s3",)) -> Request:
    """A request for the golden day, with an archive."""
    return Request(
        date=date(2025, 11, 16), target="duckdb", source_filter=None, force=False, project_dir=PROJECT,
        work_dir=work_dir, archive=str(work_dir / "archive"), goal_path=PROJECT / "goal.md",
        sandbox=lambda day: pytest.fail("not reached"), sources=tuple(sources),
    )  # fmt: skip


def make_state(work_dir: Path, *, deadline_s: int = 1_800, emit: Emit = nobody) -> RunState:
    """The state of a run that has just begun."""
    meter = ResourceMeter()
    meter.stop()
    request = make_request(work_dir)
    clock = PhaseClock(deadline_s, emit)
    state = RunState(request, load_goal(request.goal_path), "r1", clock, meter, emit)
    state.run_dir.mkdir(parents=True)
    return state


def loaded(source: str, collected: int = 100, *, tries: int = 1) -> LoadOutcome:
    """A source that was loaded."""
    return LoadOutcome(
        source, "loaded", "r1", f"{source}/day", collected, 0, tries, None, 1.5, {"title": source.upper()}
    )


def failed(source: str, reason: str = "no answer") -> LoadOutcome:
    """A source that failed after three tries."""
    return LoadOutcome(source, "failed", None, "", 0, 0, 3, reason, 9.0, {"title": source.upper()})
