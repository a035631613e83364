"""`python -m sandbox`: serves one day until standard input is closed or the parent is gone."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import signal
import stat
import sys
import threading
from types import FrameType

from sandbox.faults import Faults, known_faults, parse_faults
from sandbox.figures import MAX_SCALE, MIN_SCALE
from sandbox.stack import Request, Stack
from sandbox.workspace import open_workspace

_PARENT_CHECK_S = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Run the sandbox and return its exit code: 0 when told to stop, 1 on failure, 2 on misuse."""
    options = _parser().parse_args(arguments)
    try:
        faults = parse_faults(options.faults)
        scale = _scale(options.scale)
    except ValueError as error:
        sys.stderr.write(f"sandbox: {error}\n")
        return 2
    return _Run(options.date, scale, faults, options.warehouse).until_told()


class _Run:
    """One life of the sandbox: started in a thread, so that it can be stopped at any moment."""

    def __init__(self, date: dt.date, scale: float, faults: Faults, warehouse: bool) -> None:
        self._date, self._scale, self._faults, self._warehouse = date, scale, faults, warehouse
        self._stop = threading.Event()
        self._code = 0

    def until_told(self) -> int:
        """Serve until told to stop; everything is removed on return."""
        parent = os.getppid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        if _ends_with_input():
            threading.Thread(target=self._await_end_of_input, daemon=True).start()

        request = Request(self._date, self._scale, self._faults, self._warehouse)
        with open_workspace() as workspace:
            stack = Stack(request, workspace)
            try:
                threading.Thread(target=self._serve, args=(stack,), daemon=True).start()
                while not self._stop.wait(_PARENT_CHECK_S) and os.getppid() == parent:
                    pass
            finally:
                self._stop.set()
                stack.stop()
        return self._code

    def _serve(self, stack: Stack) -> None:
        try:
            env = stack.start()
            sys.stdout.write(json.dumps({"env": env}) + "\n")
            sys.stdout.flush()
            stack.wait_for_postgres()
            self._fail("PostgreSQL has ended")
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, message: str) -> None:
        # what breaks because it is being stopped is no failure
        if not self._stop.is_set():
            sys.stderr.write(f"sandbox: {message}\n")
            self._code = 1
            self._stop.set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _await_end_of_input(self) -> None:
        # in the background of a terminal reading is an error: only signals and the parent count
        with contextlib.suppress(OSError):
            while os.read(0, 4_096):
                pass
            self._stop.set()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="Serve one day of S3, PostgreSQL and API data on loopback. Prints one JSON "
        "line with the environment for a pipeline, then serves until standard input is closed.",
        epilog=known_faults(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--date", type=_date, required=True, help="the day, YYYY-MM-DD")
    parser.add_argument(
        "--scale",
        default=os.environ.get("SANDBOX_SCALE") or "1",
        help="multiplies the day, 0.01 to 100 (default: SANDBOX_SCALE or 1)",
    )
    parser.add_argument(
        "--faults",
        default=os.environ.get("SANDBOX_FAULTS"),
        help="a comma-separated list, see below (default: SANDBOX_FAULTS)",
    )
    parser.add_argument("--warehouse", action="store_true", help="serve an empty warehouse database as well")
    return parser


def _date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2025-11-16") from None


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = -1.0
    if not MIN_SCALE <= scale <= MAX_SCALE:
        raise ValueError(f"scale {text!r}: must be a number from {MIN_SCALE:g} to {MAX_SCALE:g}")
    return scale


def _ends_with_input() -> bool:
    # /dev/null is at its end from the start; then only signals and the parent count
    try:
        kind = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(0)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # threads that still serve or start would hold up a normal exit
    os._exit(code)
