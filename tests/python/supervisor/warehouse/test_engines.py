"""An engine is a file and a line in the registry: a third one is accepted by every command."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from supervisor.common.processes import python_path
from supervisor.warehouse.base import Warehouse, WarehouseError
from supervisor.warehouse.engines import ENGINES, engine, open_warehouse

ROOT = Path(__file__).resolve().parents[4]
THIRD_ENGINE = """
from supervisor.warehouse.duckdb import DuckDBWarehouse


class QuackWarehouse(DuckDBWarehouse):
    target = "quack"

    def version(self, session):
        return "Quack 1.0", "2.0 or later is needed"
"""
COMMAND = """
import sys
from supervisor.warehouse.engines import ENGINES
ENGINES["quack"] = "quack_engine:QuackWarehouse"
import orchestrate
sys.exit(orchestrate.run())
"""


def quack(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command where a third engine is registered."""
    (folder / "quack_engine.py").write_text(THIRD_ENGINE)
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments, "--target", "quack"],
        cwd=folder,
        env={"PYTHONPATH": f"{python_path()}:{folder}", "PATH": "/usr/bin:/bin", "DUCKDB_PATH": str(folder / "q.db")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_third_engine_is_checked_by_its_own_knowledge(tmp_path: Path) -> None:
    done = quack(tmp_path, "check", "--date", "2025-11-16", "--json")
    checks = {one["check"]: one for one in json.loads(done.stdout)["checks"] if one["what"] == "warehouse"}
    assert (checks["version"]["ok"], checks["version"]["detail"]) == (False, "Quack 1.0, 2.0 or later is needed")
    assert checks["create view"]["ok"]
    assert not (tmp_path / "q.db").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("status",), 0, "(target quack)"),
        (("plan",), 0, "collect"),
        (("explain", "20251116_020000"), 2, "status --target quack"),
        (("quarantine", "list", "--date", "2025-11-16"), 2, "q.db does not exist yet"),
        (("report",), 2, "q.db does not exist yet"),
    ],
)
def test_every_command_takes_a_third_engine(
    tmp_path: Path, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    done = quack(tmp_path, *arguments)
    assert done.returncode == exit_code, done.stderr
    assert said in done.stdout + done.stderr


def test_help_names_every_engine(tmp_path: Path) -> None:
    assert "[duckdb|postgres|quack]" in quack(tmp_path, "--help").stdout


def test_an_unknown_target_is_named_with_those_there_are() -> None:
    with pytest.raises(WarehouseError, match=r"'sqlite' is unknown; .* duckdb and postgres"):
        open_warehouse("sqlite")


@pytest.mark.parametrize("target", ENGINES)
def test_an_engine_says_which_target_it_is(target: str) -> None:
    assert engine(target).target == target


@pytest.mark.parametrize("target", ENGINES)
def test_an_engine_has_its_macros_and_its_profile(target: str) -> None:
    macros = (ROOT / "macros" / "engines" / f"{target}.sql").read_text(encoding="utf-8")
    assert f"macro {target}__" in macros
    profiles = yaml.safe_load((ROOT / "profiles" / "profiles.yml").read_text(encoding="utf-8"))
    assert target in profiles["goalkeeper"]["outputs"]
    elsewhere = [
        path.name for path in (ROOT / "macros").glob("*.sql") if f"{target}__" in path.read_text(encoding="utf-8")
    ]
    assert elsewhere == []


def test_an_engine_of_every_target_is_opened_from_the_environment(warehouse: Warehouse) -> None:
    with warehouse.session() as session:
        assert session.query("select n from scratch.numbers") == [{"n": 1}]
    with warehouse.transaction() as session:
        assert session.change("update scratch.numbers set n = n + ?", (1,)) == 1
    with pytest.raises(Exception, match="nowhere"), warehouse.transaction() as session:
        session.execute_many("update scratch.numbers set n = ?", [(0,), ("nowhere",)])
    with warehouse.session() as session:
        assert session.query("select n from scratch.numbers where n % 2 = ?", (0,)) == [{"n": 2}]


def test_nobody_asks_which_engine_it_is() -> None:
    """Only an engine's own file knows its name: everybody else asks the engine what it can do."""
    files = [ROOT / "orchestrate.py", *(ROOT / "supervisor").rglob("*.py")]
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Compare) and any(_names_engine(one) for one in (node.left, *node.comparators)))
        or (isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance" and "Warehouse)" in ast.unparse(node))
    ]
    assert asked == []


def _names_engine(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in ENGINES
