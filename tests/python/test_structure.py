"""The rooms and their directions, by the imports that stand in the files, those within functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("supervisor", "loaders", "sandbox", "benchmarks", "tests/python")
    for path in sorted((ROOT / folder).rglob("*.py"))
} | {"orchestrate": ROOT / "orchestrate.py"}
PRODUCT = {name: path for name, path in FILES.items() if name.split(".")[0] in ("supervisor", "loaders", "sandbox")}

FLOORS = (
    {"commands"},
    {"run", "show"},
    {"record", "judge"},
    {"dbt"},
    {"warehouse", "plan", "scaffold"},
    {"goal", "common"},
)
"""Rooms of the supervisor, the highest first: a room stands on its own floor and on those below."""
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}
FORBIDDEN = [("run", "show"), ("show", "run"), ("judge", "record"), ("warehouse", "plan"), ("plan", "warehouse")]
"""Neighbours on a floor that don't know each other, and in which direction."""


def imported_modules(name: str, path: Path, known: Iterable[str]) -> set[str]:
    """Return the modules of ours that a file imports, wherever the import stands in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(
                    [*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])]
                )
            # what is imported from a package may be a module of it
            found.update(f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names)
    return {module for module in found if module in known}


IMPORTS = {name: imported_modules(name, path, FILES) for name, path in FILES.items()}
EDGES = sorted((one, other) for one in PRODUCT for other in IMPORTS[one])


def room_of(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def offenders(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{one} imports {other}" for one, other in pairs]


def circle_in(graph: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_reading_of_imports_sees_every_form(tmp_path: Path) -> None:
    path = tmp_path / "there.py"
    path.write_text(
        "import a.b\nfrom a import c\nfrom a.d import name\ndef f():\n    from . import e\n    from .g import name\n"
    )
    known = {"a", "a.b", "a.c", "a.d", "p.e", "p.g", "p"}
    assert imported_modules("p.there", path, known) == {"a.b", "a.c", "a.d", "p.e", "p.g"}


def test_every_room_of_the_supervisor_has_its_floor() -> None:
    assert {room_of(name) for name in PRODUCT if name.startswith("supervisor.")} == set(FLOOR_OF)


@pytest.mark.parametrize("room", sorted(FLOOR_OF))
def test_a_room_stands_on_the_floors_below(room: str) -> None:
    inside = [(one, other) for one, other in EDGES if one.startswith("supervisor.") and room_of(one) == room]
    upwards = [
        (one, other)
        for one, other in inside
        if other.startswith("supervisor.") and FLOOR_OF.get(room_of(other), 0) < FLOOR_OF[room]
    ]
    assert offenders(upwards) == []


@pytest.mark.parametrize(("room", "stranger"), FORBIDDEN)
def test_neighbours_on_a_floor_keep_apart(room: str, stranger: str) -> None:
    found = [
        (one, other)
        for one, other in EDGES
        if one.startswith(f"supervisor.{room}.") and other.startswith(f"supervisor.{stranger}.")
    ]
    assert offenders(found) == []


def test_no_rooms_stand_on_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for one, other in EDGES:
        if one.startswith("supervisor.") and other.startswith("supervisor.") and room_of(one) != room_of(other):
            graph.setdefault(room_of(one), set()).add(room_of(other))
    assert circle_in(graph) == []


def test_no_modules_stand_on_each_other() -> None:
    # a package's own file stands for its name only
    assert circle_in({name: IMPORTS[name] for name in PRODUCT}) == []


def test_the_loaders_know_nobody_else() -> None:
    strangers = [(one, other) for one, other in EDGES if one.startswith("loaders") and not other.startswith("loaders")]
    assert offenders(strangers) == []


@pytest.mark.parametrize(
    ("room", "above"),
    [("loaders.formats", ("loaders.formats", "loaders.kinds")), ("loaders.kinds", ("loaders.kinds",))],
)
def test_formats_stand_below_kinds_and_kinds_below_the_rest(room: str, above: tuple[str, ...]) -> None:
    """What a room takes from outside itself must know neither it nor what stands above."""
    taken = [(one, other) for one, other in EDGES if one.startswith(room) and not other.startswith(room)]
    assert offenders((one, other) for one, other in taken if any(m.startswith(above) for m in reach(other))) == []


def reach(module: str) -> set[str]:
    """Return a module and all that it imports, directly or not."""
    found, open_ones = set(), {module}
    while open_ones:
        one = open_ones.pop()
        found.add(one)
        open_ones |= IMPORTS[one] - found
    return found


def test_the_sandbox_knows_nobody() -> None:
    assert (
        offenders((one, other) for one, other in EDGES if one.startswith("sandbox") and not other.startswith("sandbox"))
        == []
    )


def test_nobody_but_the_shell_and_the_tests_knows_the_sandbox() -> None:
    knowing = {
        one.split(".")[0] for one, others in IMPORTS.items() if any(other.startswith("sandbox") for other in others)
    }
    assert knowing == {"orchestrate", "sandbox", "benchmarks", "tests"}
