"""Puts the files of an entity into a project: what is there is never overwritten, a shared file gets what it lacks."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]

from supervisor.common.errors import UsageError
from supervisor.common.files import write_file
from supervisor.scaffold.edits import insert_item
from supervisor.scaffold.texts import Files, Item

State = Literal["written", "added", "kept", "same", "by hand"]


@dataclass(frozen=True)
class Outcome:
    """What came of one file.

    Attributes:
        state: Written anew, added to, kept though it differs, the same already, or left for a person to edit.
        hint: The difference, or what to add by hand and where.
    """

    path: str
    state: State
    hint: str = ""


def put_files(project: Path, files: Files) -> list[Outcome]:
    """Write what is missing.

    Raises:
        UsageError: A file can't be read or written.
    """
    try:
        outcomes = [_put_whole(project, path, text) for path, text in files.whole.items()]
        outcomes += [outcome for path, item in files.items for outcome in _put_item(project, path, item)]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{getattr(error, 'filename', None) or project}: {error}. Correct it and try again") from error
    return outcomes


def _put_whole(project: Path, path: str, text: str) -> Outcome:
    target = project / path
    if not target.exists():
        write_file(target, text)
        return Outcome(path, "written")
    there = target.read_text(encoding="utf-8")
    if there == text:
        return Outcome(path, "same")
    difference = difflib.unified_diff(
        there.splitlines(), text.splitlines(), path, "as it was guessed now", lineterm="", n=1
    )
    return Outcome(path, "kept", "\n".join(difference))


def _put_item(project: Path, path: str, item: Item) -> list[Outcome]:
    """Add an item to the list of a shared file, unless it is there or the list that it belongs to is not."""
    target = project / path
    if not target.exists():
        if len(item.path) > 1:
            # the item of the outer list, which follows, holds this one
            return []
        write_file(target, f"version: 2\n\n{item.path[0]}:\n{_as_item(item.text)}")
        return [Outcome(path, "written")]
    text = target.read_text(encoding="utf-8")
    where = _position(_loaded(path, text), item.path)
    if where is None:
        return []
    there, steps = where
    if item.name in [one["name"] if isinstance(one, dict) else one for one in there or ()]:
        return [Outcome(path, "same")]
    changed = insert_item(text, steps, item.text)
    if changed is None:
        return [Outcome(path, "by hand", f"Add to {' > '.join(item.path)}:\n{_as_item(item.text).rstrip()}")]
    write_file(target, changed)
    return [Outcome(path, "added", _as_item(item.text).rstrip())]


def _as_item(text: str) -> str:
    first, *rest = text.strip("\n").splitlines()
    return "\n".join([f"  - {first}", *(f"    {line}" for line in rest)]) + "\n"


def _loaded(path: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {error}. Correct it and try again") from error


def _position(content: Any, path: Sequence[str]) -> tuple[Any, tuple[str | int, ...]] | None:
    """Return the list that a path names, and the steps to it; in a list a name stands for the item called so.

    None when an item on the way is not there; a list itself that is missing is none, for the caller to say so.
    """
    steps: list[str | int] = []
    for name in path:
        if isinstance(content, list):
            place = next(
                (at for at, one in enumerate(content) if isinstance(one, dict) and one.get("name") == name), None
            )
            if place is None:
                return None
            content = content[place]
            steps.append(place)
        else:
            content = content.get(name) if isinstance(content, dict) else None
            steps.append(name)
    return content, tuple(steps)
