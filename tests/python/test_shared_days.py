"""A day that several workers ask for at the same time is run once, and each has a copy of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# what a worker does: it says whether it was the one that ran the day, and where its copy is
WORKER = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from end_to_end.helpers import Run
from shared_days import shared_run

class Factory:
    def __init__(self, base):
        self.base = base
    def getbasetemp(self):
        return self.base
    def mktemp(self, name):
        folder = self.base / name
        folder.mkdir(parents=True)
        return folder

def run(folder):
    sys.stdin.readline()
    (folder / "warehouse").write_text(str(os.getpid()))
    return Run(0, "{}", "", folder)

print("asks", flush=True)
found = shared_run(Factory(Path(sys.argv[1])), "day", run)
print(os.getpid(), (found.folder / "warehouse").read_text(), found.folder, found.exit_code)
"""


def test_a_day_is_run_by_one_worker_and_copied_by_each(tmp_path: Path) -> None:
    workers = []
    for name in ("gw0", "gw1", "gw2"):
        (tmp_path / name).mkdir()
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(tmp_path / name), str(HERE), str(HERE.parents[1])],
                env={"PYTEST_XDIST_WORKER": name},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "asks\n"
    # whichever was the first waits for this in the middle of the day, and the others wait for it
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [worker.communicate()[0].split() for worker in workers]
    assert {exit_code for *_, exit_code in answers} == {"0"}
    ran = {runner for _, runner, *_ in answers}
    assert len(ran) == 1
    assert ran < {pid for pid, *_ in answers}
    folders = [Path(folder) for _, _, folder, _ in answers]
    assert [folder.parents[1] for folder in folders] == [tmp_path / name for name in ("gw0", "gw1", "gw2")]
