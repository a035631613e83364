"""The commands around the main one: each gathers its answer, writes it for people or as JSON, and returns an exit code.

What was asked for goes to standard output; hints, notes and errors go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.run.outcome import Result, guarded
from supervisor.show.terminal import Terminal
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.engines import open_warehouse


@dataclass(frozen=True)
class Place:
    """Where a command works.

    Attributes:
        project_dir: Where dbt_project.yml is.
        work_dir: Where runs/, reports/ and the warehouse file are.
        target: Target of profiles.yml.
    """

    project_dir: Path
    work_dir: Path
    target: str

    def warehouse(self) -> Warehouse:
        """The warehouse of the target."""
        return open_warehouse(self.target)


class _Errors:
    """Says on standard error what went wrong."""

    def message(self, text: str, *, error: bool = False) -> None:
        """Say something."""
        for number, line in enumerate(text.splitlines()):
            Terminal(sys.stderr).line(f"Error: {line}" if error and number == 0 else line)


def answer(work: Callable[[Terminal], int]) -> int:
    """Do a command's work on standard output, and return its exit code; errors are said in words."""

    def write() -> Result:
        try:
            code = work(Terminal())
            sys.stdout.flush()
            return Result(code)
        except BrokenPipeError:
            # who reads has seen enough, as `head` does; what is left to write goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Result(0)

    return guarded(_Errors(), write).exit_code


def say_note(text: str) -> None:
    """Say something beside the answer, on standard error."""
    if text:
        Terminal(sys.stderr).line(text, "yellow")


def print_json(content: Any) -> None:
    """Print the answer as JSON."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")
