"""`init`: a project of the user's own, with its own SQL, rules, goal and sources."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from supervisor.commands.answer import answer
from supervisor.common.errors import UsageError
from supervisor.common.files import write_file
from supervisor.show.terminal import Terminal

# what is the user's to change; the program itself stays where it is
_FILES = (
    ".dlt/config.toml",
    ".dlt/example.secrets.toml",
    "goal.md",
    "dbt_project.yml",
    "profiles/profiles.yml",
    ".dbtignore",
    ".gitignore",
)
_FOLDERS = ("models", "macros", "seeds", "tests/generic", "tests/singular")
_LAUNCHER = """\
# starts Goalkeeper on this project; GOALKEEPER_PROGRAM says where the program is when it has moved
import os
import sys

program = os.environ.get("GOALKEEPER_PROGRAM", {program!r})
if not os.path.isfile(program):
    sys.exit(f"{{program}} is not there: set GOALKEEPER_PROGRAM to the orchestrate.py of your clone of Goalkeeper")
os.execv(sys.executable, [sys.executable, program, *sys.argv[1:]])
"""
LAUNCHER = "orchestrate.py"
_PROFILE = re.compile(r"^profile:\s*[\"']?goalkeeper\b", re.MULTILINE)


@dataclass(frozen=True)
class NewProject:
    """What `init` did: files written, and files that were there and were left alone; paths in the folder."""

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def is_project(folder: Path) -> bool:
    """Whether a folder is a dbt project made for this program."""
    try:
        return bool(_PROFILE.search((folder / "dbt_project.yml").read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def choose_project(work_dir: Path, program_dir: Path) -> Path:
    """Return the dbt project of a working directory: its own if it is one, otherwise the program's."""
    return work_dir if is_project(work_dir) else program_dir


def init_project(program_dir: Path, folder: Path) -> NewProject:
    """Make a folder a project of its own; what is there already is never touched.

    The program itself stays where it is; the folder gets an `orchestrate.py` that starts it, so that every command is
    the same as in a clone.

    Raises:
        UsageError: The folder is the home directory, belongs to another dbt project, or can't be written.
    """
    if folder.resolve() in (Path.home(), Path(folder.resolve().anchor)):
        raise UsageError(f"{folder.resolve()} is no place for a project. Try: python orchestrate.py init my_pipeline")
    if (folder / "dbt_project.yml").exists() and not is_project(folder):
        raise UsageError(
            f"{folder} is another dbt project already, and two would mix. Choose another folder: "
            "python orchestrate.py init DIRECTORY"
        )
    written, kept = [], []
    try:
        for name in _templates(program_dir):
            target = folder / name
            if target.exists() or target.is_symlink():
                kept.append(name)
                continue
            # whole or not at all: a file that is there is taken for the user's own
            if name == LAUNCHER:
                write_file(target, _LAUNCHER.format(program=str(program_dir / LAUNCHER)))
            else:
                write_file(target, (program_dir / name).read_bytes())
            written.append(name)
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} can't be written: {error.strerror}. Choose another folder"
        ) from error
    return NewProject(folder, tuple(written), tuple(kept))


def _templates(program_dir: Path) -> Iterator[str]:
    yield LAUNCHER
    for name in _FILES:
        if (program_dir / name).is_file():
            yield name
    for folder in _FOLDERS:
        for path in sorted((program_dir / folder).rglob("*")):
            if path.is_file() and path.suffix in (".sql", ".yml", ".csv", ".md"):
                yield path.relative_to(program_dir).as_posix()


def show_project(project: NewProject, here: Path, out: Terminal) -> None:
    """Write what was made, and the three commands that come next; `here` is the working directory."""
    for name in (".dlt/config.toml", ".dlt/example.secrets.toml", "goal.md", LAUNCHER):
        out.line(f"{'written' if name in project.written else 'kept   '}  {project.folder / name}")
    for word, names in (("written", project.written), ("kept   ", project.kept)):
        models = [name for name in names if name.endswith((".sql", ".yml", ".csv"))]
        if models:
            out.line(f"{word}  {len(models)} files of the dbt project: models, macros, seeds, tests, profiles")
    out.line()
    out.line("Name your sources in .dlt/config.toml, their secrets in .dlt/secrets.toml.")
    out.line("A source that is called s3, postgres or api and has the sandbox's fields needs no more.")
    out.line("For any other one: copy a folder of models/staging/ and map its fields, declare its raw")
    out.line("table in models/staging/_staging__sources.yml, and name the model among the feeds of its entity")
    out.line("(models/intermediate/int_<entity>_checked.sql). As long as no source is named, the sandbox is used.")
    out.line()
    out.line("Next:")
    go = "" if project.folder.resolve() == here.resolve() else f"cd {shlex.quote(str(project.folder))} && "
    out.command(f"{go}python orchestrate.py check --date YYYY-MM-DD")
    out.command("python orchestrate.py plan")
    out.command("python orchestrate.py --date YYYY-MM-DD")


def init(program_dir: Path, folder: Path) -> int:
    """Make a folder a project of the user's own."""

    def work(out: Terminal) -> int:
        show_project(init_project(program_dir, folder), Path.cwd(), out)
        return 0

    return answer(work)
