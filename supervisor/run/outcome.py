"""How a command ends: with a result, or with an error that is said in words."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from loaders.errors import ConfigurationError
from supervisor.common.errors import UsageError
from supervisor.common.outcome import Outcome
from supervisor.common.stopping import stop_signals
from supervisor.goal.compile import GoalError
from supervisor.warehouse.base import WarehouseError
from supervisor.warehouse.lock import LockHeldError

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


class EscalationError(Exception):
    """Raised when the goal can't be met: nothing is published. Carries what the person woken up needs.

    Attributes:
        phase: Where it happened.
        observed: The evidence.
        reason: Why nothing else is allowed, in a few words.
        recommendation: What a person can do about it.
        subjects: Names of what it is about (tests, models, sources, metrics), the same for the same cause.
    """

    def __init__(
        self, phase: str, observed: str, reason: str, recommendation: str, subjects: Sequence[str] = ()
    ) -> None:
        super().__init__(reason)
        self.phase, self.observed, self.reason, self.recommendation = phase, observed, reason, recommendation
        self.subjects = tuple(sorted(set(subjects)))


@dataclass(frozen=True)
class Result:
    """How a command ended; the summary is None when there was no run."""

    exit_code: int
    summary: Summary | None = None


class Speaker(Protocol):
    """Whoever tells people what went wrong."""

    def message(self, text: str, *, error: bool = False) -> None:
        """Say something."""


def guarded(speaker: Speaker, work: Callable[[], Result]) -> Result:
    """Do some work, and turn an error that comes out of it into words and an exit code."""
    try:
        with stop_signals():
            return work()
    except (UsageError, GoalError, ConfigurationError) as error:
        speaker.message(str(error), error=True)
        return Result(Outcome.USAGE.exit_code)
    except LockHeldError as error:
        speaker.message(str(error), error=True)
        return Result(Outcome.LOCKED.exit_code)
    except WarehouseError as error:
        speaker.message(str(error), error=True)
        return Result(Outcome.FAILED.exit_code)
    except Exception as error:
        speaker.message(f"unexpected error: {type(error).__name__}: {error}", error=True)
        speaker.message(traceback.format_exc(), error=True)
        return Result(Outcome.FAILED.exit_code)
