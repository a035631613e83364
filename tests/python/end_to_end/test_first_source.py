"""docs/first-source.md, as a reader follows it: every command runs, and after each step there is what the page promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from end_to_end.helpers import PROJECT, rows

PAGE = (PROJECT / "docs" / "first-source.md").read_text(encoding="utf-8")
MARK = "@@ step"


@dataclass
class Step:
    """A step of the page: what is typed, and the lines that are seen then."""

    title: str
    commands: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)


def steps() -> Iterator[Step]:
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        step = Step(section.splitlines()[0])
        for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL):
            if kind == "bash":
                step.commands.append(text)
            elif kind in ("", "yaml") and "* * *" not in text:
                step.seen += text.strip("\n").splitlines()
        yield step


STEPS = list(steps())


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Follow the page in one shell from the clone on; return the home folder and what each step said."""
    home = tmp_path_factory.mktemp("you")
    script = "".join(f"echo '{MARK}'\n{''.join(step.commands)}" for step in STEPS)
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("SANDBOX_", "SOURCES__", "DUCKDB_", "GOALKEEPER_"))
    }
    env = {**clean, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{clean['PATH']}", "DO_NOT_TRACK": "1"}
    done = subprocess.run(
        ["bash", "-e"], input=script, cwd=PROJECT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    return home, done.stdout.split(MARK)[1:]


def test_the_page_has_its_steps_in_order() -> None:
    assert [step.title.split(".")[0] for step in STEPS] == [str(number) for number in range(1, len(STEPS) + 1)]
    assert len(STEPS) == 8


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_after_each_step_there_is_what_the_page_says(followed: tuple[Path, list[str]], number: int) -> None:
    home, said = followed
    contract = (home / "shop" / "models" / "marts" / "_orders__models.yml").read_text(encoding="utf-8")
    output = said[number].replace(str(home), "/home/you")
    missing = [line for line in STEPS[number].seen if line.strip() not in output and line not in contract]
    assert missing == [], output[-3000:]


def test_an_entity_takes_five_commands(followed: tuple[Path, list[str]]) -> None:
    """From nothing to a published entity: make a project, go there, name the source, map it, run the day."""
    home, _ = followed
    assert rows(home / "shop", "select count(*), count(distinct order_id), sum(total) from analytics.orders") == [
        (100, 100, sum(i % 90 + 0.5 for i in range(1001, 1101)))
    ]
    # what makes the data, and the look at it, are not of it
    needed = [*STEPS[0].commands, *STEPS[1].commands[1:], *STEPS[3].commands, *STEPS[4].commands]
    assert len(re.sub(r"<<END\n.*?^END$", "", "".join(needed), flags=re.MULTILINE | re.DOTALL).splitlines()) == 5
