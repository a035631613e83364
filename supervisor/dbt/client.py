"""dbt as the supervisor uses it: a resident worker, a fresh folder for each invocation, results from artifacts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.common.processes import Child, ChildDiedError, ChildTimeoutError
from supervisor.dbt.artifacts import Invocation, read_invocation
from supervisor.warehouse.engines import engine


class DbtError(Exception):
    """Raised when an invocation did not come to an end that can be believed: it hung, died or wrote no artifacts.

    Attributes:
        hung: It was stopped at its budget.
        died: Its process ended by itself.
    """

    def __init__(self, message: str, *, hung: bool = False, died: bool = False) -> None:
        super().__init__(message)
        self.hung, self.died = hung, died


class Dbt:
    """The worker process and its invocations, numbered in the order in which they were made.

    Args:
        project_dir: Where dbt_project.yml is.
        run_dir: The run's folder; artifacts go to `dbt/<number>-<name>/` in it.
        target: Target of profiles.yml.

    Attributes:
        folder: Where the artifacts of all invocations are.
        count: Invocations so far.
    """

    def __init__(self, project_dir: Path, run_dir: Path, target: str) -> None:
        self._project_dir = project_dir
        self.folder = run_dir / "dbt"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0
        self._target = target
        self._worker: Child | None = self._start_worker()

    def _common(self, target_path: Path) -> list[str]:
        return [
            "--project-dir", str(self._project_dir),
            "--profiles-dir", str(self._project_dir / "profiles"),
            "--target", self._target,
            "--target-path", str(target_path),
            "--log-path", str(self.folder),
            "--quiet",
        ]  # fmt: skip

    def _start_worker(self) -> Child:
        worker = Child("supervisor.dbt.worker", [], self.folder / "worker.log", engine(self._target).dbt_environment())
        # the parsed project is kept between runs, for each target its own: dbt's partial parsing tells what changed
        worker.send({"args": ["parse", *self._common(self._project_dir / "target" / self._target)]})
        self._is_parsed = False
        return worker

    @staticmethod
    def _await(
        worker: Child, timeout_s: float, on_node: Callable[[Mapping[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        for message in worker.messages(timeout_s):
            if message["event"] == "done":
                return message
            if on_node is not None:
                on_node(message)
        raise ChildDiedError(worker.last_words())

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
        deadline = time.monotonic() + timeout_s
        # after one that hung or died, the next invocation begins with a new process
        worker = self._worker or self._start_worker()
        self._worker = None
        try:
            if not self._is_parsed:
                parsed = self._await(worker, timeout_s)
                if not parsed["success"]:
                    raise DbtError(f"the dbt project can't be parsed: {parsed['exception'] or worker.last_words()}")
                self._is_parsed = True
            worker.send({"args": [*arguments, *self._common(target_path), "--vars", json.dumps(dict(variables))]})
            done = self._await(worker, deadline - time.monotonic(), on_node)
        except ChildTimeoutError as error:
            raise DbtError(
                f"dbt {arguments[0]} was stopped after {timeout_s:.0f} s: it used up its budget", hung=True
            ) from error
        except ChildDiedError as error:
            worker.stop()
            raise DbtError(f"dbt {arguments[0]} died: {error}", died=True) from error
        except BaseException:
            worker.stop()
            raise
        self._worker = worker
        invocation = read_invocation(target_path)
        if invocation is None:
            raise DbtError(f"dbt {arguments[0]} wrote no results: {done['exception'] or worker.last_words()}")
        if done["exception"]:
            raise DbtError(f"dbt {arguments[0]} broke off: {done['exception']}")
        return invocation

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.stop()
