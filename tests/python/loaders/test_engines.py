"""An engine is a file and a line in the registry, here as at the supervisor."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loader_helpers import ROOT, Bucket, load, query

from loaders.engines import ENGINES, Engine, engine
from supervisor.warehouse import engines as supervised

QUACK = """
from loaders.engines.duckdb import DuckDB


class Quack(DuckDB):
    max_columns = 12
    followed = []

    def after_load(self, client, tables):
        self.followed.append((tables, client.execute_sql("select count(*) from raw_lake.events")))
"""


@pytest.fixture
def quack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Engine]]:
    (tmp_path / "quack_engine.py").write_text(QUACK)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(ENGINES, "quack", "quack_engine:Quack")
    yield engine("quack")
    sys.modules.pop("quack_engine", None)


def test_a_third_engine_is_loaded_into_by_its_own_knowledge(quack: type[Engine], bucket: Bucket, tmp_path: Path):
    bucket.put("raw/2025/11/16/a.csv", b"x\n1\n2\n")
    bucket.put("raw/2025/11/16/wide.csv", b"a,b,c,d,e,f\n1,2,3,4,5,6\n")
    done = load([bucket.source()], tmp_path / "work", target="quack").finished("lake")
    assert (done["status"], done["rejected"]) == ("loaded", 1)
    assert quack.followed == [(["events"], [(3,)])]  # type: ignore[attr-defined]
    assert query(
        "select reject_reason from raw_lake.events where reject_reason is not null", os.environ["DUCKDB_PATH"]
    ) == [("too_many_columns",)]


def test_the_loaders_and_the_supervisor_know_the_same_engines():
    assert ENGINES.keys() == supervised.ENGINES.keys()


@pytest.mark.parametrize("target", ENGINES)
def test_an_engine_names_a_destination_of_dlt(target: str):
    import dlt

    assert hasattr(dlt.destinations, engine(target).dlt_name)


def test_nobody_asks_which_engine_it_is():
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "loaders").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        and any(isinstance(one, ast.Constant) and one.value in ENGINES for one in (node.left, *node.comparators))
    ]
    assert asked == []
