"""Try again what fails for a passing reason: the one place of tries and pauses, and the one that counts them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying

from loaders.attempt import Deadline
from loaders.errors import SourceError
from loaders.events import Events
from loaders.failures import classify

MAX_TRIES = 3
BACKOFF_S = 2.0
"""First pause before another try, in seconds; each next one is twice as long."""
PAUSES_S = tuple(BACKOFF_S * 2**pause for pause in range(MAX_TRIES - 1))
"""All pauses between the tries of one step; these are the only tries and pauses of the project."""
JITTER_S = 0.25
T = TypeVar("T")


class Retries:
    """Runs the steps of one source, each up to `tries` times, and reports every failed try.

    Steps may lie within one another: what the inner one gave up, the outer one does not try again.

    Args:
        source: Name of the source, for the events.
        subject: What is done, for errors that don't say so themselves.
        deadline: No wait goes beyond it.
        events: Where failed tries are reported.
        backoff_s: First wait in seconds; it doubles.
        tries: Most tries of one step.
        before: Tries already counted elsewhere, so that numbers in the events go on from them.
    """

    def __init__(
        self,
        source: str,
        subject: str,
        deadline: Deadline,
        events: Events,
        *,
        backoff_s: float = BACKOFF_S,
        tries: int = MAX_TRIES,
        before: int = 0,
    ) -> None:
        self._source = source
        self._subject = subject
        self._deadline = deadline
        self._events = events
        self._backoff_s = backoff_s
        self._limit = tries
        self._before = before
        self.tries = 1
        """Most tries that any step needed."""

    def __call__(self, step: Callable[[], T], within: Deadline | None = None) -> T:
        """Return the step's result.

        Args:
            step: What to do.
            within: A second deadline that no wait goes beyond.

        Raises:
            SourceError: The last one, when it is deterministic, the tries are used up or the next
                wait would pass the deadline.
        """

        def attempt() -> T:
            try:
                return step()
            except Exception as error:
                raise classify(error, self._subject) from error

        def failure(state: RetryCallState) -> SourceError:
            error = state.outcome.exception() if state.outcome else None
            assert isinstance(error, SourceError)
            return error

        def wait(state: RetryCallState) -> float:
            backoff: float = self._backoff_s * 2 ** (state.attempt_number - 1)
            jitter = random.uniform(0, min(JITTER_S, backoff))
            return max(backoff + jitter, failure(state).retry_after_s or 0)

        def stop(state: RetryCallState) -> bool:
            self.tries = max(self.tries, state.attempt_number)
            error = failure(state)
            if error.tried:
                # a step within this one has done all that can be done
                return True
            left = min(limit.remaining() for limit in (self._deadline, within) if limit)
            if error.transient and state.attempt_number < self._limit:
                if state.upcoming_sleep < left:
                    return False
                error.text += f"; the next try would be in {state.upcoming_sleep:.0f} s"
                error.text += f" and {left:.0f} s are left"
            error.tried = True
            self._report(error, state.attempt_number, None)
            return True

        def before_sleep(state: RetryCallState) -> None:
            self.tries = max(self.tries, state.attempt_number + 1)
            self._report(failure(state), state.attempt_number, state.upcoming_sleep)

        retrying = Retrying(wait=wait, stop=stop, before_sleep=before_sleep, reraise=True)
        return retrying(attempt)

    def _report(self, error: SourceError, number: int, wait_s: float | None) -> None:
        self._events.emit(
            "attempt_failed",
            source=self._source,
            attempt=self._before + number,
            error=error.code,
            detail=error.detail,
            retry_in_s=None if wait_s is None else round(wait_s, 2),
            transient=error.transient,
        )
