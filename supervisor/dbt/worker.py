"""A resident dbt: one process that parses the project once and then runs commands from its standard input.

A dbt process costs seconds before it does anything, so the supervisor starts this one while the sources are being
collected. It is a process and not a thread because only a process can be stopped when it hangs, and because the DuckDB
file must be let go between commands. One JSON object per line: in {"args", "environment", "log"}, out {"event": ...}.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from typing import Any, TextIO


def _die_with_parent() -> None:
    """Have the kernel end this process at the moment when the supervisor is gone; only Linux can."""
    import contextlib
    import ctypes
    import signal

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _quit_with_parent(parent: int) -> None:
    """End this process when the supervisor is gone, so that nobody is left holding the warehouse."""
    import time

    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _release_warehouse() -> None:
    """Let go of the DuckDB file, which dbt-duckdb may keep open after a command."""
    if "dbt.adapters.duckdb.connections" in sys.modules:
        from dbt.adapters.duckdb import connections

        manager: Any = connections.DuckDBConnectionManager
        manager.close_all_connections()


def _node_event(message: Any) -> dict[str, Any] | None:
    """What the supervisor shows of a dbt event: the end of a node."""
    if message.info.name != "NodeFinished":
        return None
    node = message.data.node_info
    return {
        "event": "node",
        "name": node.node_name,
        "resource_type": node.resource_type,
        "status": node.node_status,
        "unique_id": node.unique_id,
    }


def _take_over(environment: dict[str, str], log: str) -> None:
    """Take a command's environment, and write to its log from now on."""
    os.environ.clear()
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    sys.stderr.flush()
    os.dup2(descriptor, 2)
    os.dup2(descriptor, 1)
    os.close(descriptor)


def _dump(obj: Any, fp: Any, **kwds: Any) -> None:
    """Write JSON as `json.dump` does, which goes through a generator in Python for each token; this is C, ten times as fast."""
    fp.write(json.dumps(obj, **kwds))


def serve(commands: TextIO, replies: TextIO) -> None:
    """Parse the project, then answer commands until the input ends."""
    from dbt.cli.main import dbtRunner

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    def on_event(message: Any) -> None:
        event = _node_event(message)
        if event is not None:
            reply(event)

    manifest: Any = None
    for line in commands:
        command = json.loads(line)
        _take_over(command["environment"], command["log"])
        # with a manifest dbt would not look at the files again
        parses = command["args"][0] == "parse"
        runner = dbtRunner(manifest=None if parses else manifest, callbacks=[on_event])
        result = runner.invoke(command["args"])
        _release_warehouse()
        if parses and result.success:
            manifest = result.result
            # the project and the libraries stay: no collection needs to look at them again
            gc.freeze()
        reply(
            {
                "event": "done",
                "success": result.success,
                "exception": None if result.exception is None else str(result.exception),
            }
        )


def main() -> None:
    """Serve on the process' own standard streams; whatever dbt prints goes to standard error."""
    # imports and the project make a million objects that stay: collecting among them costs a fifth of a small day
    gc.set_threshold(100_000, 50, 100)
    # dbt writes its manifest, two megabytes, at every invocation
    json.dump = _dump
    parent = os.getppid()
    _die_with_parent()
    threading.Thread(target=_quit_with_parent, args=(parent,), daemon=True).start()
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
