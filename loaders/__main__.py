"""`python -m loaders`: one load run as a child process; JSON lines on stdout, exit 0 or 2."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NoReturn, TextIO

from loaders.config import read_contracts, read_sources
from loaders.engines import ENGINES
from loaders.errors import ConfigurationError
from loaders.events import Events
from loaders.redact import log_to_file, redact
from loaders.retry import BACKOFF_S
from loaders.run import RunSettings, run
from loaders.sources import Source, references_of
from loaders.watchdog import watch

DEADLINE_S = 900.0
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Turn a usage error into a configuration error."""
        raise ConfigurationError(f"{message}. See python -m loaders --help.")


def parse_arguments(arguments: Sequence[str]) -> tuple[RunSettings, list[str]]:
    """Return the run's settings and the names of the chosen sources.

    Raises:
        ConfigurationError: Naming the argument and its value.
    """
    parser = _Parser(prog="python -m loaders", description=__doc__)
    parser.add_argument("--date", required=True, help="the day to load, YYYY-MM-DD")
    parser.add_argument("--run-id", required=True, help="becomes the load_id of every row")
    parser.add_argument("--target", required=True, choices=ENGINES)
    parser.add_argument("--workdir", required=True, type=Path, help="a new folder for this run")
    parser.add_argument("--source", action="append", default=[], help="only this source")
    parser.add_argument(
        "--references-only",
        action="store_true",
        help="only reference tables, and no records of the day",
    )
    parser.add_argument(
        "--deadline-s",
        type=float,
        default=DEADLINE_S,
        help="seconds after which a source still collecting is left behind; loading what was "
        "collected may take a quarter of it and 15 s more (default: %(default)s)",
    )
    parser.add_argument(
        "--backoff-s",
        type=float,
        default=BACKOFF_S,
        help="first wait before another try, doubled each time (default: %(default)s)",
    )
    parser.add_argument(
        "--batch-bytes",
        action="append",
        default=[],
        metavar="SOURCE=N",
        help="most bytes of this source that are handed over at once (default: 16 MiB)",
    )
    parser.add_argument(
        "--known-columns",
        type=Path,
        metavar="FILE",
        help="JSON: by source and table the columns of the last good load, each with its type and share",
    )
    given = parser.parse_args(arguments)
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", given.date):
            raise ValueError
        day = date.fromisoformat(given.date)
    except ValueError as error:
        raise ConfigurationError(f"--date {given.date!r} is not a day. Write it as YYYY-MM-DD.") from error
    if not _RUN_ID.fullmatch(given.run_id):
        raise ConfigurationError(f"--run-id {given.run_id!r} must be letters, digits, _ . or -.")
    for name in ("deadline_s", "backoff_s"):
        if not 0 < getattr(given, name) < float("inf"):
            option = "--" + name.replace("_", "-")
            raise ConfigurationError(f"{option} {getattr(given, name)} must be above zero.")
    settings = RunSettings(
        day,
        given.run_id,
        given.target,
        given.workdir,
        given.deadline_s,
        given.backoff_s,
        references_only=given.references_only,
        batch_bytes=dict(map(_batch_bytes, given.batch_bytes)),
        known=json.loads(given.known_columns.read_text(encoding="utf-8")) if given.known_columns else {},
    )
    return settings, given.source


def _batch_bytes(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isascii() or not number.isdigit() or int(number) == 0:
        raise ConfigurationError(f"--batch-bytes {text!r} must be SOURCE=N, a whole number of bytes above zero.")
    return name, int(number)


def main(arguments: Sequence[str], stream: TextIO) -> int:
    """Run one load; return 0 when every source was attempted, 2 for a configuration error."""
    try:
        settings, names = parse_arguments(arguments)
        settings.workdir.mkdir(parents=True, exist_ok=True)
        log_to_file(settings.workdir / "loaders.log")
        sources: tuple[Source, ...] = read_sources(names)
        contracts = read_contracts(source.name for source in sources)
        if settings.references_only:
            sources = references_of(sources)
        events = Events(stream)
        watch(settings.deadline_s, events, [source.name for source in sources])
        run(sources, replace(settings, contracts=contracts), events)
    except ConfigurationError as error:
        line = {"event": "configuration_error", "message": redact(str(error))}
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        stream.flush()
        return 2
    return 0


def work(arguments: Sequence[str]) -> NoReturn:
    """Run one load as this process' only task, events on its standard output, and end the process."""
    # imports make a million objects that stay: collecting among them costs a tenth of the run
    gc.set_threshold(100_000, 50, 100)
    # Ctrl-C reaches the whole process group, and only the supervisor has something to say
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # nothing but events may reach stdout, whatever a library prints
    events_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # keeps a fifth of the memory that Arrow's own pool would, at the same speed
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    code = 1
    try:
        code = main(arguments, events_stream)
    except SystemExit as ended:
        # --help
        code = 0 if ended.code is None else int(ended.code)
    except Exception as unexpected:
        logging.getLogger("loaders").exception("unexpected error")
        sys.stderr.write(redact(f"loaders: {type(unexpected).__name__}: {unexpected}\n"))
    finally:
        # threads that were left behind must not keep the process alive
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    work(sys.argv[1:])
