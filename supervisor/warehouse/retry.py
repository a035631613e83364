"""Patience with the warehouse: the supervisor's own work on it is tried again when it fails for a passing reason."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from supervisor.warehouse.base import WarehouseError

MAX_TRIES = 3
# waits before the second and the third try, in seconds
PAUSES_S = (2.0, 4.0)

# what a second try can help, in the words of DuckDB, PostgreSQL and their drivers
_TRANSIENT = re.compile(
    r"connection (refused|reset|timed out|is lost)|closed the connection|connection[^:.]{0,40} closed"
    r"|could not receive data from server"
    r"|terminating connection|deadlock detected|could not serialize|lock timeout|timeout expired"
    r"|could not set lock on file|conflict on (tuple|update|append)|temporarily unavailable|temporary failure in name"
    r"|the database system is (starting up|shutting down|in recovery mode)|too many (connections|clients)"
    r"|remaining connection slots",
    re.IGNORECASE,
)

T = TypeVar("T")
JITTER_S = 0.25
_DRIVERS = ("duckdb", "_duckdb", "psycopg2")


def pause_s(tries: int) -> float:
    """Return how long to wait after so many tries: 2 s, 4 s, and a little jitter so that rivals part."""
    return PAUSES_S[min(tries, len(PAUSES_S)) - 1] + random.uniform(0, JITTER_S)


def insist(
    work: Callable[[], T],
    *,
    seconds: float,
    on_retry: Callable[[str, float], None],
    tries: int = MAX_TRIES,
) -> T:
    """Do a piece of work on the warehouse, again when it failed for a passing reason.

    Args:
        work: Leaves nothing behind when it fails: a query, or a transaction.
        seconds: No wait goes beyond so many from now on.
        on_retry: Told of a failure and the seconds until the next try.
        tries: At most.

    Raises:
        WarehouseError: The last failure.
    """
    deadline = time.monotonic() + seconds
    for number in range(1, tries + 1):
        try:
            return work()
        except Exception as error:
            if not is_warehouse_error(error):
                raise
            wait = pause_s(number)
            if number == tries or not is_transient(str(error)) or time.monotonic() + wait > deadline:
                if isinstance(error, WarehouseError):
                    raise
                raise WarehouseError(" ".join(str(error).split())) from error
            on_retry(" ".join(str(error).split()), wait)
            time.sleep(wait)
    raise AssertionError("a last try returns or raises")


def is_warehouse_error(error: BaseException) -> bool:
    """Whether an exception is the warehouse's: its driver's, or one that says so."""
    return isinstance(error, WarehouseError) or any(
        kind.__module__.split(".")[0] in _DRIVERS for kind in type(error).__mro__
    )


def is_transient(message: str) -> bool:
    """Whether a failure that is told in these words may pass by itself."""
    return bool(_TRANSIENT.search(message))
