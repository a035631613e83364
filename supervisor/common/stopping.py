"""Being told to stop: SIGTERM and SIGINT end a run in order, at the next point where it can."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequested(BaseException):
    """Raised in the main thread when the process was told to stop.

    Not an `Exception`, so that nothing that deals with failures takes it for one.

    Attributes:
        exit_code: 128 and the signal's number, as shells have it: 130 for SIGINT, 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM within the block into `StopRequested`; a second one ends the process at once.

    Its children end with it: they watch their parent. Outside the main thread, where no handler can be set, nothing
    changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if told:
            os._exit(128 + number)
        told = True
        raise StopRequested(number)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
