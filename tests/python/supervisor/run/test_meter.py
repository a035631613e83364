"""What a run uses: the memory of its processes together, and their processor time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from supervisor.run.meter import Pids, ResourceMeter

MB = 10**6
HOG = "import sys; kept = b'x' * int(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"


@contextmanager
def hog(megabytes: int) -> Iterator[None]:
    """A child that holds so much memory until the end of the block."""
    command = [sys.executable, "-c", HOG, str(megabytes * MB)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield
        child.communicate()


@contextmanager
def metered(workers: Pids = frozenset, forking: Pids = frozenset) -> Iterator[ResourceMeter]:
    meter = ResourceMeter(workers, forking)
    try:
        yield meter
    finally:
        meter.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(6_000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never did")


def test_the_peak_holds_what_a_child_used_after_it_has_ended() -> None:
    with metered() as meter:
        wait_until(lambda: meter.peak_mb > 0)
        alone = meter.peak_mb
        with hog(200):
            wait_until(lambda: meter.peak_mb > alone + 190)
        assert meter.peak_mb > alone + 190


def test_children_that_were_there_before_do_not_count() -> None:
    with hog(400), metered() as meter:
        wait_until(lambda: meter.peak_mb > 0)
        own = psutil.Process()
        with_children = sum(one.memory_info().rss for one in (own, *own.children(recursive=True))) / MB
        assert meter.peak_mb < with_children - 390


def test_a_worker_that_was_there_before_counts_with_its_processor_time_from_then_on() -> None:
    busy = "import sys, time\nfor line in sys.stdin:\n end = time.process_time() + 0.3\n while time.process_time() < end: pass\n print()"
    with subprocess.Popen(
        [sys.executable, "-uc", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None

        def work() -> None:
            print(file=worker.stdin)
            worker.stdout.readline()

        work()
        with metered(lambda: frozenset({worker.pid})) as meter:
            before = meter.cpu_seconds()
            wait_until(lambda: meter.peak_mb > 0)
            own = psutil.Process().memory_info().rss / MB
            wait_until(lambda: meter.peak_mb > own + 0.5 * psutil.Process(worker.pid).memory_info().rss / MB)
            work()
            after = meter.cpu_seconds()
            worker.stdin.close()
            worker.wait()
            # that it has ended by now makes nothing of what it did before this run's own
            ended = meter.cpu_seconds()
    assert before + 0.28 <= after
    assert after - 0.02 <= ended <= after + 0.3


def test_memory_that_a_worker_shares_with_its_forked_children_counts_once() -> None:
    program = "import os, sys; kept = b'x' * 200_000_000; os.fork(); os.write(1, b'ready\\n'); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as fork:
        assert fork.stdout is not None
        assert [fork.stdout.readline(), fork.stdout.readline()] == ["ready\n"] * 2
        pids = lambda: frozenset({fork.pid})  # noqa: E731
        with metered(pids, pids) as meter:
            wait_until(lambda: meter.peak_mb > 0)
            own = psutil.Process().memory_info().rss / MB
            wait_until(lambda: meter.peak_mb > own + 190)
            assert meter.peak_mb < own + 390
        fork.communicate()


def test_processor_time_has_that_of_children_that_have_ended() -> None:
    meter = ResourceMeter()
    meter.stop()
    before = meter.cpu_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert meter.cpu_seconds() >= before + 0.3


def test_a_meter_that_was_stopped_measures_nothing_more() -> None:
    meter = ResourceMeter()
    wait_until(lambda: meter.peak_mb > 0)
    meter.stop()
    peak = meter.peak_mb
    with hog(200):
        assert meter.peak_mb == peak
