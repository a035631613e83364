"""Situations: what is seen, what is decided, what comes out; and how one of them is made to happen for real."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from end_to_end.helpers import ENGINE, GOLDEN_DAY, PROJECT, SCALE, YESTERDAY, Run, events_csv, rows

from sandbox.faults import parse_faults
from sandbox.figures import Expected
from sandbox.generator import generate_day
from sandbox.process import running_sandbox
from supervisor.commands.init import init_project

Decisions = tuple[tuple[str, str], ...]
# what a day is decided to be when its only flaw are amounts that rules of tier 1 can correct
CLEANSED: Decisions = (("validate", "cleanse: rules of tier 1"), ("validate", "publish"))


@dataclass
class Outcome:
    """How a situation came out.

    Attributes:
        before: The published events of each day before the run, where there were any.
    """

    run: Run
    folder: Path
    before: dict[str, bytes] = field(default_factory=dict)

    def days(self) -> dict[str, bytes]:
        """The published events of each day as they are now."""
        return {day: events_csv(self.folder, f"load_date = date '{day}'") for day in self.before}

    @property
    def run_dir(self) -> Path:
        """The run's folder."""
        return self.folder / "runs" / self.run.summary["run_id"]


@dataclass(frozen=True)
class Situation:
    """One row of the table.

    Attributes:
        decided: (phase, beginning of the decision) of every decision, in order; None where time decides their number.
        faults: As in SANDBOX_FAULTS.
        missing: Sources that are not there, for the oracle.
        lost_files: Numbers of the S3 objects that can't be read, for the oracle.
        unmet: Metrics of the goal that are measured and not met.
        goal: Changes the text of `goal.md`.
        project: Changes a copy of the dbt project.
        after_publishing: Yesterday and today were published before; today is run again.
        wrapper: A command that starts the run.
        meanwhile: Done to the folder while the run works.
        out: What else must hold.
    """

    decided: Decisions | None
    exit_code: int = 0
    status: str = "SUCCESS"
    faults: str = "none"
    missing: tuple[str, ...] = ()
    lost_files: tuple[int, ...] = ()
    unmet: tuple[str, ...] = ()
    goal: Callable[[str], str] | None = None
    project: Callable[[Path], None] | None = None
    after_publishing: bool = False
    wrapper: tuple[str, ...] = ()
    meanwhile: Callable[[Path, subprocess.Popen[str]], None] | None = None
    out: Callable[[Outcome], None] = lambda outcome: None

    def oracle(self) -> Expected:
        """What must be found, from what was planted and not from the pipeline."""
        return _oracle(self.faults, self.missing, self.lost_files)


@cache
def _oracle(faults: str, missing: tuple[str, ...], lost_files: tuple[int, ...]) -> Expected:
    day = generate_day(dt.date.fromisoformat(GOLDEN_DAY), SCALE, parse_faults(faults).extra_defects())
    return day.expected(missing, lost_files=lost_files)


class Sandboxes:
    """Sandboxes by their faults: those whose faults are the same for every request serve several runs."""

    def __init__(self, without_faults: dict[str, str]) -> None:
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._running = {"none": without_faults}

    @contextmanager
    def serve(self, faults: str) -> Iterator[dict[str, str]]:
        """Yield the environment of a sandbox with these faults."""
        if faults != "none" and not faults.startswith("data="):
            with running_sandbox(GOLDEN_DAY, SCALE, faults) as environment:
                yield environment
            return
        with self._lock:
            if faults not in self._running:
                self._running[faults] = self._stack.enter_context(running_sandbox(GOLDEN_DAY, SCALE, faults))
        yield self._running[faults]

    def close(self) -> None:
        """Stop those that are left."""
        self._stack.close()


def bring_about(situation: Situation, folder: Path, published: Path | None, sandboxes: Sandboxes) -> Outcome:
    """Make a situation happen in an empty folder, and run the day in it.

    Args:
        published: A folder with yesterday and today published, to start from.
    """
    before: dict[str, bytes] = {}
    if published is not None:
        shutil.copytree(published, folder, dirs_exist_ok=True)
        before = {day: events_csv(folder, f"load_date = date '{day}'") for day in (YESTERDAY, GOLDEN_DAY)}
    if situation.project is not None:
        copy_project(folder)
        situation.project(folder)
    arguments = ["--date", GOLDEN_DAY, "--json", *(["--force"] if published is not None else [])]
    if situation.goal is not None:
        (folder / "the_goal.md").write_text(situation.goal((PROJECT / "goal.md").read_text()), encoding="utf-8")
        arguments += ["--goal", "the_goal.md"]
    with sandboxes.serve(situation.faults) as servers:
        # a goal of one's own sets the engine's limits
        engine = ENGINE if situation.goal is None else {}
        environment = {name: value for name, value in servers.items() if name not in ENGINE} | engine
        return Outcome(_run(situation, folder, arguments, environment), folder, before)


def clean_environment() -> dict[str, str]:
    """The environment without what would change the run."""
    prefixes = ("SANDBOX_", "SOURCES__", "DUCKDB_", "GOALKEEPER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def _run(situation: Situation, folder: Path, arguments: list[str], environment: Mapping[str, str]) -> Run:
    process = subprocess.Popen(
        [*situation.wrapper, sys.executable, str(PROJECT / "orchestrate.py"), *arguments],
        cwd=folder,
        env={**clean_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if situation.meanwhile is not None:
            situation.meanwhile(folder, process)
        output, errors = process.communicate(timeout=180)
    finally:
        process.kill()
    return Run(process.returncode, output, errors, folder)


def copy_project(folder: Path) -> None:
    """Make the folder a project of its own, parsed already as far as this one is."""
    init_project(PROJECT, folder, demo=True)
    parsed = Path("target", "duckdb", "partial_parse.msgpack")
    if (PROJECT / parsed).exists():
        (folder / parsed).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / parsed, folder / parsed)


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text in a file that must hold it."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def goal_line(pattern: str, line: str) -> Callable[[str], str]:
    """Change one line of the goal."""

    def change(text: str) -> str:
        changed, count = re.subn(pattern, line, text)
        assert count == 1, pattern
        return changed

    return change


def within(seconds: int) -> Callable[[str], str]:
    """Change the goal's deadline."""
    return goal_line("within 30 minutes", f"within {seconds} seconds")


def goal_of_the_docs(number: int) -> Callable[[str], str]:
    """One of the goals that docs/goal.md shows besides the origin's: 0 is the strict one, 1 the lenient one."""
    blocks = re.findall(
        r"```markdown\n(## Success Criteria.*?)```", (PROJECT / "docs" / "goal.md").read_text(), re.DOTALL
    )
    return lambda text: blocks[number]


def decisions_of(outcome: Outcome) -> list[tuple[str, str]]:
    """The decisions as the summary has them."""
    return [(one["phase"], one["decision"]) for one in outcome.run.summary["decisions"]]


def raw_counts(folder: Path) -> dict[str, int]:
    """Raw records of the day by source, counted where they lie."""
    tables = rows(
        folder,
        "select table_schema, table_name from information_schema.columns where table_schema like 'raw\\_%' escape '\\' "
        "and column_name = 'source_row' and table_name <> 'users'",
    )
    return {
        schema.removeprefix("raw_"): rows(
            folder, f"select count(*) from {schema}.{name} where load_date = date '{GOLDEN_DAY}'"
        )[0][0]
        for schema, name in tables
    }


def published_counts(folder: Path, table: str) -> dict[str, int]:
    """Rows of the day in a published table by source."""
    found = rows(folder, f"select source, count(*) from {table} where load_date = date '{GOLDEN_DAY}' group by source")
    return dict(found)


def journal(outcome: Outcome) -> list[dict[str, str]]:
    """The decisions as they were written down while the run worked."""
    lines = (outcome.run_dir / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
