"""What a run uses: peak memory of all its processes together, sampled, and processor time."""

from __future__ import annotations

import contextlib
import resource
import threading
from collections.abc import Callable

import psutil

Pids = Callable[[], frozenset[int]]
_INTERVAL_S = 0.2


class ResourceMeter:
    """Samples the resident memory of this process and its descendants in a thread of its own.

    Children that were there before it are not part of the run (the sandbox's servers) and do not count, unless they work for it.

    Args:
        workers: Tells the ids of the children that work for the run, whenever they were started.
        forking: Tells which of them work in forked children: memory that both have is counted once.
    """

    def __init__(self, workers: Pids = frozenset, forking: Pids = frozenset) -> None:
        self._workers, self._forking = workers, forking
        self._excluded = frozenset(child.pid for child in psutil.Process().children())
        self._peak_bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def peak_mb(self) -> float:
        """Highest sum seen so far, in megabytes of 10^6 bytes."""
        return round(self._peak_bytes / 1e6, 1)

    def cpu_seconds(self) -> float:
        """Processor time of this process, of its children that have ended and of its workers that have not, in seconds."""
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        working = 0.0
        for pid in self._workers():
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                working += times.user + times.system + times.children_user + times.children_system
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime + working

    def stop(self) -> None:
        """End the sampling."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_INTERVAL_S):
            self._peak_bytes = max(self._peak_bytes, self._resident_bytes(psutil.Process()))

    def _resident_bytes(self, process: psutil.Process) -> int:
        total = 0
        with contextlib.suppress(psutil.Error):
            total = process.memory_info().rss
            excluded = self._excluded - self._workers()
            children = sum(self._resident_bytes(child) for child in process.children() if child.pid not in excluded)
            total = max(total, children) if process.pid in self._forking() else total + children
        return total
