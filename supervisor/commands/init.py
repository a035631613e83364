"""`init`: a project of the user's own, with its own sources, entities and goal; or the skeleton of an entity in one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loaders.config import configured_source_names
from supervisor.commands.answer import answer, say_note
from supervisor.common.command_line import PROGRAM
from supervisor.common.errors import UsageError
from supervisor.common.files import write_file
from supervisor.dbt.project import read_project_vars
from supervisor.scaffold.texts import entity_files, require_entity_name, skeleton_yml
from supervisor.scaffold.write import Outcome, put_files
from supervisor.show.terminal import Terminal

PRODUCT = "goalkeeper"
"""Folder of a project with the program's own part of it."""
_PRODUCT_README = f"""\
The program's own part of this dbt project: macros, the models that measure and keep the books, generic tests. It is a copy, so that
plain dbt works here and anywhere the project is checked out, without a network and without the program. A run replaces it when the
program is another version: change nothing here, put what is yours into models/, macros/ and tests/ beside {PRODUCT}/.
"""
_FILES = (".dlt/config.toml", ".dlt/example.secrets.toml", "profiles/profiles.yml", ".gitignore")
_MEASURING = ("models/intermediate", "models/quarantine", "models/quality", "models/metadata")
"""Folders of models that know no entity; what is in folders below them, and beside them, is the demo's."""
_DEMO = ("models", "seeds")
_KINDS = (".sql", ".yml", ".csv", ".md")
_PATHS = ("model", "macro", "test")
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
    """What `init` did.

    Attributes:
        written: Files that were not there; paths in the folder.
        kept: Files that were there and were left alone.
        product: Files of the program's own part that were brought to its version.
    """

    folder: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]
    product: tuple[str, ...]


def is_project(folder: Path) -> bool:
    """Whether a folder is a dbt project made for this program."""
    try:
        return bool(_PROFILE.search((folder / "dbt_project.yml").read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def choose_project(work_dir: Path, program_dir: Path) -> Path:
    """Return the dbt project of a working directory: its own if it is one, otherwise the program's."""
    return work_dir if is_project(work_dir) else program_dir


def init_project(program_dir: Path, folder: Path, *, demo: bool = False) -> NewProject:
    """Make a folder a project of its own; what is there already is never touched, but for the program's part of it.

    The program itself stays where it is; the folder gets an `orchestrate.py` that starts it, so that every command is
    the same as in a clone.

    Args:
        demo: With the demo's entity, its feeds and its seeds; without them a project has no entity, type, rule or default.

    Raises:
        UsageError: The folder is the home directory, belongs to another dbt project, or can't be written.
    """
    if folder.resolve() in (Path.home(), Path(folder.resolve().anchor)):
        raise UsageError(f"{folder.resolve()} is no place for a project. Try: {PROGRAM} init my_pipeline")
    if (folder / "dbt_project.yml").exists() and not is_project(folder):
        raise UsageError(
            f"{folder} is another dbt project already, and two would mix. Choose another folder: {PROGRAM} init DIRECTORY"
        )
    written, kept = [], []
    try:
        for name, content in _templates(program_dir, demo):
            target = folder / name
            if target.exists() or target.is_symlink():
                kept.append(name)
                continue
            # whole or not at all: a file that is there is taken for the user's own
            write_file(target, content)
            written.append(name)
        product = bring_product(program_dir, folder) if _uses_product(folder) else []
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder} can't be written: {error.strerror}. Choose another folder"
        ) from error
    return NewProject(folder, tuple(written), tuple(kept), tuple(product))


def bring_product(program_dir: Path, project: Path) -> list[str]:
    """Bring the program's part of a project to the version of the program; return the paths that changed."""
    wanted = {
        f"{PRODUCT}/{path.relative_to(program_dir).as_posix()}": path.read_bytes()
        for path in _product_files(program_dir)
    }
    wanted[f"{PRODUCT}/README.md"] = _PRODUCT_README.encode()
    there = {
        path.relative_to(project).as_posix(): path for path in (project / PRODUCT).rglob("*") if path.suffix in _KINDS
    }
    changed = [name for name, content in wanted.items() if name not in there or there[name].read_bytes() != content]
    for name in changed:
        write_file(project / name, wanted[name])
    # a macro that has moved would be there twice
    gone = [name for name in there if name not in wanted]
    for name in gone:
        there[name].unlink()
    return sorted([*changed, *gone])


def _uses_product(project: Path) -> bool:
    """Whether a project has the copy among its paths, as all have that `init` makes; whether the copy is there or not."""
    return f"{PRODUCT}/macros" in (project / "dbt_project.yml").read_text(encoding="utf-8", errors="replace")


def prepare_project(program_dir: Path, project: Path) -> None:
    """Make sure that a project can be run: it has an entity, and its copy of the program's part is that of this version.

    Raises:
        UsageError: It has no entity, with the command that makes one; or the copy can't be written.
    """
    if project == program_dir or not _uses_product(project):
        return
    try:
        changed = bring_product(program_dir, project)
    except OSError as error:
        raise UsageError(f"{error.filename} can't be brought to the program's version: {error.strerror}") from error
    if changed:
        say_note(f"{PRODUCT}/ was brought to this version of the program: {len(changed)} files, {changed[0]} first")
    if not read_project_vars(project).get("entities"):
        sources = configured_source_names()
        first = (
            f"{PROGRAM} map {sources[0]}"
            if sources
            else f"name a source in .dlt/config.toml, then: {PROGRAM} map SOURCE"
        )
        raise UsageError(
            f"this project has no entity yet, so there is nothing to publish. Make one: {first}\n"
            f"(the demo runs in a folder that is no project, or in one made with: {PROGRAM} init DIRECTORY --demo)"
        )


def _product_files(program_dir: Path) -> Iterator[Path]:
    for folder in ("macros", "tests/generic", "tests/singular"):
        yield from sorted((program_dir / folder).rglob("*.sql"))
    for folder in _MEASURING:
        yield from sorted(path for path in (program_dir / folder).glob("*") if path.suffix in _KINDS)


def _templates(program_dir: Path, demo: bool) -> Iterator[tuple[str, bytes]]:
    yield LAUNCHER, _LAUNCHER.format(program=str(program_dir / LAUNCHER)).encode()
    for name in _FILES:
        yield name, (program_dir / name).read_bytes()
    project = (program_dir / "dbt_project.yml").read_text(encoding="utf-8")
    goal = (program_dir / "goal.md").read_text(encoding="utf-8")
    yield "dbt_project.yml", _project_yml(project, demo).encode()
    yield "goal.md", (goal if demo else _own_goal(goal)).encode()
    if demo:
        product = set(_product_files(program_dir))
        for folder in _DEMO:
            for path in sorted((program_dir / folder).rglob("*")):
                if path.suffix in _KINDS and path not in product:
                    yield path.relative_to(program_dir).as_posix(), path.read_bytes()


def _project_yml(program: str, demo: bool) -> str:
    """Return the project file: the program's, with the copy among its paths, and without the demo."""
    text = program
    for kind in _PATHS:
        text = _swap(text, rf"^{kind}-paths: \[(\w+)\]$", rf"{kind}-paths: [\1, {PRODUCT}/\1]")
    if demo:
        return text
    text = _swap(text, r"^  entities: .*$", "  entities: []")
    # the types of the demo's seeds
    return _swap(
        text, r"^seeds:\n(?:[ #].*\n|\n)*", "seeds:\n  goalkeeper:\n    +schema: seeds\n    +tags: [transform]\n\n"
    )


def _own_goal(program: str) -> str:
    """Return the goal without what it says of the demo."""
    text = _swap(program, r"^# Goal: .*$", "# Goal: Load every day, and publish only what can be trusted")
    text = _swap(text, r"(?<=## Objective\n\n)(?:.+\n)+", "Say here what the pipeline is for.\n")
    return _swap(text, r"^- (?:Scale|Sources): .*\n", "")


def _swap(text: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if not count:
        raise RuntimeError(f"the program's own project has no {pattern}")
    return changed


def show_project(project: NewProject, here: Path, out: Terminal) -> None:
    """Write what was made, and the commands that come next; `here` is the working directory."""
    shown = (".dlt/config.toml", ".dlt/example.secrets.toml", "goal.md", "dbt_project.yml", LAUNCHER)
    for name in shown:
        out.line(f"{'written' if name in project.written else 'kept   '}  {project.folder / name}")
    for word, names in (("written", project.written), ("kept   ", project.kept)):
        models = [name for name in names if name not in shown and name.endswith((".sql", ".yml", ".csv"))]
        if models:
            out.line(f"{word}  {len(models)} more files of the dbt project")
    if project.product:
        out.line(
            f"written  {project.folder / PRODUCT}/: {len(project.product)} files of the program's own, not to be changed"
        )
    out.line()
    go = "" if project.folder.resolve() == here.resolve() else f"cd {shlex.quote(str(project.folder))} && "
    day = "--date YYYY-MM-DD"
    if (project.folder / "models" / "staging").is_dir():
        out.line("Next:")
        out.command(f"{go}{PROGRAM} plan")
    else:
        out.line("Name a source in .dlt/config.toml, its secrets in .dlt/secrets.toml. Next:")
        out.command(f"{go}{PROGRAM} check {day}")
        out.command(f"{PROGRAM} map SOURCE {day}")
    out.command(f"{PROGRAM} {day}")


def show_entity(entity: str, outcomes: list[Outcome], out: Terminal) -> None:
    """Write what came of the skeleton's files, and what is to be done with them."""
    for one in outcomes:
        out.line(f"{one.state:8} {one.path}")
        if one.state in ("kept", "by hand"):
            for line in one.hint.splitlines():
                out.command(line)
    out.line()
    out.line(f"Declare its fields in models/marts/_{entity}__models.yml, then map its first feed:")
    out.command(f"{PROGRAM} map SOURCE --table TABLE --entity {entity}")


def init(program_dir: Path, folder: Path, *, demo: bool = False, entity: str | None = None) -> int:
    """Make a folder a project of the user's own, or add the skeleton of an entity to one."""

    def work(out: Terminal) -> int:
        if entity is not None:
            require_entity_name(entity)
        if entity is None or not is_project(folder):
            show_project(init_project(program_dir, folder, demo=demo), Path.cwd(), out)
        if entity is not None:
            show_entity(entity, put_files(folder, entity_files(entity, [], skeleton_yml(entity))), out)
        return 0

    return answer(work)
