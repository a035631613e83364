"""The phases of a run as they pass: when each began and ended, and what the deadline leaves to each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from loaders.retry import MAX_TRIES, PAUSES_S
from supervisor.plan.budgets import PhaseBudgets
from supervisor.record.events import Emit, PhaseFinished, PhaseStarted


class PhaseClock:
    """Measures the phases against the budgets that share out the deadline. Times in seconds.

    Args:
        deadline_s: For the whole run, from now on.
    """

    def __init__(self, deadline_s: int, emit: Emit) -> None:
        self._emit = emit
        self._began = time.monotonic()
        self._budgets = PhaseBudgets.for_deadline(deadline_s)
        self._phases: dict[str, dict[str, Any]] = {}
        self._running: tuple[str, float] | None = None

    @property
    def running(self) -> str | None:
        """The phase that is going on."""
        return None if self._running is None else self._running[0]

    @property
    def elapsed_s(self) -> float:
        """Time since the run began."""
        return time.monotonic() - self._began

    def phases(self) -> dict[str, dict[str, Any]]:
        """The phases so far, as `summary.json` has them."""
        return {name: dict(phase) for name, phase in self._phases.items()}

    def elapsed(self, phase: str) -> float:
        """Time that the phase has taken, so far or in all; 0 when it has not begun."""
        if self._running is not None and self._running[0] == phase:
            return round(time.monotonic() - self._running[1], 3)
        return float(self._phases.get(phase, {}).get("duration_s", 0.0))

    def start(self, phase: str, title: str) -> None:
        """Begin a phase and say so."""
        self._phases[phase] = {"status": "RUNNING"}
        self._running = (phase, time.monotonic())
        self._emit(PhaseStarted(phase, title))

    def finish(self, phase: str, status: str, reason: str | None = None) -> None:
        """End the running phase and say how."""
        duration_s = self.elapsed(phase)
        self._phases[phase] = {"status": status, "duration_s": duration_s}
        self._running = None
        self._budgets = self._budgets.spend(phase, duration_s)
        self._emit(PhaseFinished(phase, status, duration_s, reason))

    def remaining(self, phase: str) -> float:
        """Time that the phase may still take; nothing once the run is past its deadline."""
        return self._now(phase).remaining(phase)

    def retries(self, phase: str, tries: int, attempt_s: float) -> int:
        """How many more tries fit into what is left of the phase, after so many.

        Args:
            phase: The phase.
            tries: How many there have been.
            attempt_s: What one try is expected to take.
        """
        return self._now(phase).retries(phase, attempt_s, PAUSES_S[tries - 1 : MAX_TRIES - 1])

    def dropped(self, phase: str, required_s: float, optional_s: Mapping[str, float]) -> tuple[str, ...]:
        """Which optional work must be left out so that what the phase must do still fits."""
        return self._now(phase).dropped(phase, required_s, optional_s)

    def _now(self, phase: str) -> PhaseBudgets:
        return self._budgets.spend(phase, self.elapsed(phase)) if self.running == phase else self._budgets
