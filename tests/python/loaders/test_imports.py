"""Libraries are imported by one thread at a time: two at once see half of a library, or fail over what it only tries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from loader_helpers import ROOT

SHARED = {
    "urllib3",
    "requests",
    "boto3",
    "botocore",
    "s3transfer",
    "dlt",
    "tenacity",
    "pyarrow",
    "numpy",
    "dateutil",
    "six",
}
WATCH = """
import json, sys, threading, time
from importlib.machinery import PathFinder
import loaders.__main__, loaders.imports, loaders.run

found = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if PathFinder.find_spec(name, path) is not None:
            if name == "boto3":
                # the first page comes at once: its thread wants dlt while the kinds after it are still being imported
                time.sleep(0.5)
            alone = loaders.imports.LOCK._is_owned()
            found.append((name, threading.current_thread().name, alone))

def run(*arguments):
    sys.meta_path.insert(0, Watch())
    loaders.run.run(*arguments)

loaders.__main__.run = run
with open(sys.argv[1], "w") as events:
    code = loaders.__main__.main(sys.argv[2:], events)
print(json.dumps(found))
"""


@pytest.mark.parametrize("target", ["duckdb", "postgres"])
def test_no_library_is_imported_by_two_threads_at_once(configured: dict[str, str], tmp_path: Path, target: str):
    arguments = ["--date", "2025-11-16", "--run-id", "r", "--target", target, "--workdir", str(tmp_path / "work")]
    command = [sys.executable, "-c", WATCH, str(tmp_path / "events"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    finished = [event["status"] for event in events if event["event"] == "source_finished"]
    assert finished == ["loaded"] * 3
    threads: dict[str, set[tuple[str, bool]]] = {}
    imported = json.loads(done.stdout)
    for name, thread, alone in imported:
        threads.setdefault(name.partition(".")[0], set()).add((thread, alone))
    assert {"dlt", "boto3", "botocore"} <= threads.keys()
    for package in SHARED & threads.keys():
        unguarded = {thread for thread, alone in threads[package] if not alone}
        assert not unguarded or len({thread for thread, _ in threads[package]}) == 1, (package, threads[package])
    # a kind of source that is slow to import is imported before any thread imports more
    order = [name for name, _, _ in imported]
    assert order.index("boto3.s3.inject") < order.index("dlt")
