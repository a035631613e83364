"""The supervisor's own work on the warehouse is tried again when it fails for a passing reason."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from loaders.retry import JITTER_S, MAX_TRIES, PAUSES_S
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.engines import ENGINES, engine

T = TypeVar("T")


def pause_s(tries: int) -> float:
    """Return how long to wait after so many tries: 2 s, 4 s, and a little jitter so that rivals part."""
    pause: float = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
    return pause + random.uniform(0, JITTER_S)


def retry(work: Callable[[], T], *, seconds: float, on_retry: Callable[[str, float], None]) -> T:
    """Do a piece of work on the warehouse, again when it failed for a passing reason.

    Args:
        work: Leaves nothing behind when it fails: a query, or a transaction.
        seconds: No wait goes beyond so many from now on.
        on_retry: Told of a failure and the seconds until the next try.

    Raises:
        WarehouseError: The last failure.
    """
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

    def tell(state: RetryCallState) -> None:
        assert state.outcome is not None
        on_retry(_in_one_line(state.outcome.exception()), state.upcoming_sleep)

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        wait=lambda state: pause_s(state.attempt_number),
        stop=stop_after_attempt(MAX_TRIES) | stop_before_delay(seconds),
        before_sleep=tell,
        reraise=True,
    )
    try:
        return retrying(work)
    except Exception as error:
        if isinstance(error, WarehouseError) or not is_warehouse_error(error):
            raise
        raise WarehouseError(_in_one_line(error), is_transient=is_transient(error)) from error


def is_warehouse_error(error: BaseException) -> bool:
    """Whether an exception is the warehouse's: its driver's, or one that says so."""
    return isinstance(error, WarehouseError) or _engine_of(error) is not None


def is_transient(failure: BaseException | str) -> bool:
    """Whether a failure may pass by itself: the engine knows whose it is. dbt tells only words, of whichever engine."""
    if isinstance(failure, str):
        return any(engine(target).transient_words.search(failure) for target in ENGINES)
    if isinstance(failure, WarehouseError):
        return failure.is_transient
    raised_by = _engine_of(failure)
    return raised_by is not None and isinstance(failure, Exception) and raised_by.is_transient(failure)


def _engine_of(error: BaseException) -> type[Warehouse] | None:
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return next((found for found in map(engine, ENGINES) if packages & set(found.drivers)), None)


def _in_one_line(error: BaseException | None) -> str:
    return " ".join(str(error).split())
