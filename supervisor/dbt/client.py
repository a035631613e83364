"""dbt as the supervisor uses it: a resident worker, a fresh folder for each invocation, results from artifacts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.common.processes import Child, ChildDiedError, ChildTimeoutError, worker_environment
from supervisor.dbt.artifacts import Invocation, read_invocation
from supervisor.dbt.project import FileState, project_files
from supervisor.warehouse.base import MEMORY, THREADS
from supervisor.warehouse.engines import engine

LOG = "worker.log"


class DbtError(Exception):
    """Raised when an invocation did not come to an end that can be believed: it hung, died or wrote no artifacts.

    Attributes:
        hung: It was stopped at its budget.
        died: Its process ended by itself.
    """

    def __init__(self, message: str, *, hung: bool = False, died: bool = False) -> None:
        super().__init__(message)
        self.hung, self.died = hung, died


class DbtWorker:
    """dbt's resident process: it parses the project once, and answers as long as it lives.

    One that hung or died is replaced when it is needed next, and so is what it has parsed when a file of the project has
    changed since.

    Args:
        project_dir: Where dbt_project.yml is.
        target: Target of profiles.yml.
    """

    def __init__(self, project_dir: Path, target: str) -> None:
        self._project_dir, self._target = project_dir, target
        self._child: Child | None = None
        self._parsed: frozenset[FileState] = frozenset()
        self._parses_under_way = 0

    @property
    def pids(self) -> frozenset[int]:
        """Process id, while there is a process."""
        return frozenset() if self._child is None else frozenset({self._child.pid})

    def prepare(self, folder: Path) -> None:
        """Have the project parsed, unless it is; nobody waits for it yet.

        Args:
            folder: For logs.
        """
        if self._child is not None and not self._child.is_running():
            self.stop()
        now = project_files(self._project_dir)
        if self._child is not None and now == self._parsed:
            return
        if self._child is None:
            self._child = Child("supervisor.dbt.worker", [], folder / LOG, engine(self._target).dbt_environment())
            self._parses_under_way = 0
        self._parsed = now
        self._parses_under_way += 1
        # what the engine may use is not the project's: dbt's partial parsing would read all of it anew for another limit
        environment = {name: value for name, value in self._environment().items() if name not in (MEMORY, THREADS)}
        # the parsed project is kept between runs, for each target its own: dbt's partial parsing tells what changed
        parse = ["parse", *self._common(self._project_dir / "target" / self._target, folder)]
        self._child.command({"args": parse}, folder / LOG, environment)

    def run(
        self,
        arguments: Sequence[str],
        target_path: Path,
        timeout_s: float,
        on_node: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Run a dbt command, and return what the process says of its end.

        Args:
            arguments: The command with its options, save those that every command has.
            target_path: For its artifacts, in a folder for logs.
            timeout_s: Seconds after which it is stopped.
            on_node: Told of each finished node.

        Raises:
            DbtError: It hung or died, or the project can't be parsed.
        """
        deadline, log = time.monotonic() + timeout_s, target_path.parent / LOG
        if self._child is None:
            self.prepare(target_path.parent)
        worker = self._child
        assert worker is not None
        try:
            while self._parses_under_way:
                parsed = self._await(worker, deadline)
                if not parsed["success"]:
                    raise DbtError(f"the dbt project can't be parsed: {parsed['exception'] or worker.last_words()}")
                self._parses_under_way -= 1
            worker.command({"args": [*arguments, *self._common(target_path, log.parent)]}, log, self._environment())
            return self._await(worker, deadline, on_node)
        except ChildTimeoutError as error:
            self.stop()
            raise DbtError(
                f"dbt {arguments[0]} was stopped after {timeout_s:.0f} s: it used up its budget", hung=True
            ) from error
        except ChildDiedError as error:
            self.stop()
            raise DbtError(f"dbt {arguments[0]} died: {error}", died=True) from error
        except BaseException:
            self.stop()
            raise

    def last_words(self) -> str:
        """The last lines of its log, for an error message."""
        return "" if self._child is None else self._child.last_words()

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            self._child.stop()
        self._child = None

    def _common(self, target_path: Path, log_folder: Path) -> list[str]:
        return [
            "--project-dir", str(self._project_dir),
            "--profiles-dir", str(self._project_dir / "profiles"),
            "--target", self._target,
            "--target-path", str(target_path),
            "--log-path", str(log_folder),
            "--quiet",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        # of this moment: limits, servers and the time that is left are not those that it was started with
        return {**worker_environment(), **engine(self._target).dbt_environment()}

    @staticmethod
    def _await(
        worker: Child, deadline: float, on_node: Callable[[Mapping[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        message: dict[str, Any] = {}
        for message in worker.replies(deadline - time.monotonic()):
            if message["event"] != "done" and on_node is not None:
                on_node(message)
        return message


class Dbt:
    """A run's invocations of dbt, numbered in the order in which they were made.

    Args:
        worker: Does them; while it is new it parses the project meanwhile.
        run_dir: The run's folder; artifacts go to `dbt/<number>-<name>/` in it.

    Attributes:
        folder: Where the artifacts of all invocations are.
        count: Invocations so far.
    """

    def __init__(self, worker: DbtWorker, run_dir: Path) -> None:
        self._worker = worker
        self.folder = run_dir / "dbt"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0
        worker.prepare(self.folder)

    def invoke(
        self,
        name: str,
        arguments: Sequence[str],
        variables: Mapping[str, Any],
        timeout_s: float,
        on_node: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Invocation:
        """Run one dbt command and read what it left.

        Args:
            name: Short name for the folder of its artifacts.
            arguments: The command and its selection, e.g. `["build", "--select", "tag:transform"]`.
            variables: dbt vars.
            timeout_s: Seconds after which it is stopped.
            on_node: Called with each finished node's name, resource_type and status.

        Raises:
            DbtError: It hung, died, could not parse the project, or its artifacts are missing or of another invocation.
        """
        self.count += 1
        target_path = self.folder / f"{self.count}-{name}"
        with_vars = [*arguments, "--vars", json.dumps(dict(variables))]
        done = self._worker.run(with_vars, target_path, timeout_s, on_node)
        invocation = read_invocation(target_path)
        if invocation is None:
            raise DbtError(f"dbt {arguments[0]} wrote no results: {done['exception'] or self._worker.last_words()}")
        if done["exception"]:
            raise DbtError(f"dbt {arguments[0]} broke off: {done['exception']}")
        return invocation
