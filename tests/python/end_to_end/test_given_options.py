"""A command that a run prints repeats the goal file and the archive that the run was given."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from end_to_end.helpers import PROJECT, load_day, orchestrate

from supervisor.common.command_line import PROGRAM


def test_the_printed_repair_goes_on_with_the_same_goal_and_archive(folder: Path) -> None:
    shutil.copy(PROJECT / "goal.md", folder / "my goal.md")
    given = ("--goal", "my goal.md", "--archive", "kept here")
    run = load_day(folder, *given, faults="api=down", scale="0.01")
    assert run.exit_code == 3, run.errors
    repair = run.summary["repair_command"]
    assert repair == f"{PROGRAM} --date 2025-11-16 {shlex.join(given)} --source-filter api"
    assert repair in run.errors
    assert repair in orchestrate(folder, "status").output
    listed = orchestrate(folder, "quarantine", "list", "--date", "2025-11-16").output
    assert f"{PROGRAM} replay --date 2025-11-16 --goal 'my goal.md'" in listed
    again = orchestrate(folder, *shlex.split(repair)[2:], env={"SANDBOX_FAULTS": "none", "SANDBOX_SCALE": "0.01"})
    assert again.exit_code == 0, again.errors
    assert (folder / "kept here").is_dir()
    assert not (folder / "archive").exists()
