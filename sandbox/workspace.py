"""The sandbox's temporary folder, and a watchdog that removes it even after a SIGKILL."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# reads process groups until the sandbox is gone; when the folder is still there then, the sandbox
# had no time to clean up
_WATCHDOG = """
trap '' INT TERM HUP
pids=
while read -r pid; do pids="$pids $pid"; done
[ -d "$1" ] || exit 0
for pid in $pids; do kill -s QUIT -- "-$pid" 2>/dev/null; done
n=0
while [ "$n" -lt 30 ]; do
    alive=
    for pid in $pids; do kill -s 0 -- "-$pid" 2>/dev/null && alive=1; done
    [ -z "$alive" ] && rm -rf "$1" 2>/dev/null && exit 0
    sleep 0.1
    n=$((n + 1))
done
for pid in $pids; do kill -s KILL -- "-$pid" 2>/dev/null; done
rm -rf "$1"
"""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A temporary folder that goes away with the sandbox.

    Attributes:
        path: The folder; other users may pass through it but not list it.
    """

    path: Path
    _watchdog: IO[bytes]

    def watch(self, pid: int) -> None:
        """Have process group `pid` ended when the sandbox dies without cleaning up."""
        self._watchdog.write(b"%d\n" % pid)
        self._watchdog.flush()


@contextlib.contextmanager
def open_workspace() -> Iterator[Workspace]:
    """Create the folder and its watchdog; remove both in the end."""
    path = Path(tempfile.mkdtemp(prefix="goalkeeper-sandbox-", dir=_parent()))
    path.chmod(0o711)
    # a session of its own, so that neither Ctrl-C nor a killed process group reaches it
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "sandbox-watchdog", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )
    assert watchdog.stdin is not None
    try:
        yield Workspace(path, watchdog.stdin)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        watchdog.stdin.close()
        watchdog.wait()


def open_to_others(path: Path) -> bool:
    """Tell whether every user can reach `path`, and use it if it is there."""
    real = path.resolve()
    used = [real] if real.exists() else []
    return all(each.stat().st_mode & stat.S_IXOTH for each in (*used, *real.parents))


def _parent() -> str:
    chosen = tempfile.gettempdir()
    # PostgreSQL then runs as another user, who must be able to reach the folder
    if os.geteuid() == 0 and not open_to_others(Path(chosen) / "x"):
        return "/tmp"
    return chosen
