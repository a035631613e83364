"""Ends the process when nothing else would: loading hangs, or the parent is gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from loaders.events import Events

_CHECK_S = 0.5
GRACE_FACTOR = 1.25
GRACE_S = 15.0


def watch(deadline_s: float, events: Events, sources: Sequence[str]) -> None:
    """Watch from a thread.

    After the deadline loading may take a quarter of it and 15 s more; then what has not finished
    is reported as failed and the process ends. When the parent dies it ends at once, so that it
    does not hold the warehouse.

    Args:
        deadline_s: Seconds that collecting may take.
        events: Where unfinished sources are reported.
        sources: Names of all sources of the run.
    """
    limit = deadline_s * GRACE_FACTOR + GRACE_S
    started = time.monotonic()
    parent = os.getppid()

    def work() -> None:
        while time.monotonic() - started < limit:
            time.sleep(_CHECK_S)
            if os.getppid() != parent:
                os._exit(1)
        for name in sources:
            events.emit(
                "source_finished",
                source=name,
                status="failed",
                collected=0,
                rejected=0,
                tries=1,
                duration_s=round(limit, 3),
                reason=f"source {name!r}: not loaded within {limit:g} s, left behind",
                transient=True,
                detail={},
            )
        os._exit(0)

    threading.Thread(target=work, name="watchdog", daemon=True).start()
