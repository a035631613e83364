"""The processes that do a run's work: the loaders and dbt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from supervisor.common.processes import Child, Errand, worker_environment
from supervisor.dbt.client import Dbt, DbtWorker


class Workers:
    """Makes the processes when they are needed.

    Args:
        project_dir: Where dbt_project.yml is.
        target: Target of profiles.yml.
        stay: Whether they stay from run to run, as for the days of a backfill: starting them costs more than a small day.
            One that hung or died is replaced in any case.
    """

    def __init__(self, project_dir: Path, target: str, *, stay: bool = False) -> None:
        self._target, self._stay = target, stay
        self._dbt = DbtWorker(project_dir, target)
        self._loaders: Child | None = None

    @property
    def pids(self) -> frozenset[int]:
        """Ids of the processes that are there now."""
        return self._dbt.pids | self.forking

    @property
    def forking(self) -> frozenset[int]:
        """Ids of those that do their work in forked children, whose memory is also theirs."""
        return frozenset() if self._loaders is None else frozenset({self._loaders.pid})

    def loaders(self, arguments: Sequence[str], log_path: Path) -> Child | Errand:
        """Start a load run.

        Args:
            arguments: Those of `python -m loaders`.
            log_path: Where its standard error goes.
        """
        if not self._stay:
            return Child("loaders", arguments, log_path)
        if self._loaders is None or not self._loaders.is_running():
            self._loaders = Child("loaders.resident", [self._target], log_path)
        self._loaders.command({"args": list(arguments)}, log_path, worker_environment())
        return Errand(self._loaders)

    @contextmanager
    def dbt(self, run_dir: Path) -> Iterator[Dbt]:
        """Give a run its dbt, for the time of the block."""
        try:
            yield Dbt(self._dbt, run_dir)
        finally:
            if not self._stay:
                self._dbt.stop()

    def close(self) -> None:
        """End all of them."""
        self._dbt.stop()
        if self._loaders is not None:
            self._loaders.stop()

    def __enter__(self) -> Self:
        """Return itself; `close` at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all of them."""
        self.close()
