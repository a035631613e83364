"""`python -m loaders.resident TARGET`: load runs one after the other, without importing everything for each of them.

A small day costs less than the imports before it, so the supervisor keeps this process over the days of a backfill. It imports, and
then does nothing itself: each load runs in a process of its own, forked from this one, so that no thread, connection, setting or
memory of a day reaches the next. One JSON object a line: in {"args", "environment", "log"}, out the load's events and then
{"event": "done", "code"}.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from loaders.__main__ import work
from loaders.config import read_sources
from loaders.engines import engine
from loaders.errors import ConfigurationError
from loaders.imports import import_alone
from loaders.warehouse import import_dlt

_END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG, which only Linux has; elsewhere the end of standard input ends this process."""


def main(target: str) -> None:
    """Serve until standard input ends, which it does with the supervisor."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    _end_with_parent()
    import_dlt()
    import_alone(engine(target).library, "duckdb")
    while line := sys.stdin.buffer.readline():
        command = json.loads(line)
        _take_over(command["environment"], command["log"])
        _import_libraries()
        # what is there stays: a collector that marks it would copy every page of it in the child
        gc.freeze()
        code = _run(command["args"])
        if code is None:
            return
        # on a line of its own, whatever a child that was killed had begun to say
        os.write(1, f"\n{json.dumps({'event': 'done', 'code': code})}\n".encode())


def _end_with_parent() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)


def _take_over(environment: dict[str, str], log: str) -> None:
    """Take a command's environment, and write to its log from now on."""
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    sys.stderr.flush()
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _import_libraries() -> None:
    """Import what the configured sources are read with; what is wrong with their settings the child says better."""
    with suppress(ConfigurationError):
        for source in read_sources():
            import_alone(*source.libraries)


def _run(arguments: list[str]) -> int | None:
    """Run one load in a child and return its exit code; None when the supervisor is gone, and the child with it."""
    ended, alive = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ended)
        _load(arguments)
    os.close(alive)
    # the pipe ends with the child; standard input says nothing meanwhile, except by its end
    ready, _, _ = select.select([ended, sys.stdin], [], [])
    if ended not in ready:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os.close(ended)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended in ready else None


def _load(arguments: list[str]) -> NoReturn:
    _end_with_parent()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    work(arguments)


if __name__ == "__main__":
    main(sys.argv[1])
