"""Asks the command line in this process: as fast as a function call, and through the same options as a user."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from orchestrate import main


@dataclass(frozen=True)
class Answer:
    exit_code: int
    output: str
    errors: str

    @property
    def data(self) -> Any:
        return json.loads(self.output)


def ask(folder: Path, *arguments: str) -> Answer:
    """Run a command in a folder."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(main, arguments, prog_name="python orchestrate.py")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)
