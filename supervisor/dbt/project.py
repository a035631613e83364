"""The dbt project as it lies on the disk: its vars, and which state its files are in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from supervisor.common.errors import UsageError

FileState = tuple[str, int, int]
"""Path, time of the last change in nanoseconds, size in bytes."""

# libyaml's, where PyYAML was built with it, is ten times as fast
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# what dbt reads without being told where, and its own defaults for what dbt_project.yml tells
_FIXED = ("dbt_project.yml", "packages.yml", "dependencies.yml", "profiles", "dbt_packages")
_PATHS = {
    "model-paths": ["models"],
    "macro-paths": ["macros"],
    "seed-paths": ["seeds"],
    "test-paths": ["tests"],
    "snapshot-paths": ["snapshots"],
    "analysis-paths": ["analyses"],
}


def read_project_vars(project_dir: Path) -> dict[str, object]:
    """Return the vars of `dbt_project.yml`.

    Raises:
        UsageError: The file can't be read.
    """
    return dict(_read_project(project_dir).get("vars") or {})


def project_files(project_dir: Path) -> frozenset[FileState]:
    """Return the state of every file that dbt parses: another answer than before means that it must parse again."""
    try:
        project = _read_project(project_dir)
    except UsageError:
        # what is wrong with it, dbt says when it parses
        project = {}
    folders = [folder for key, usual in _PATHS.items() for folder in project.get(key, usual)]
    return frozenset(_states(project_dir / name for name in (*_FIXED, *folders)))


def _states(paths: Iterator[Path]) -> Iterator[FileState]:
    for path in paths:
        for file in (path, *path.rglob("*")):
            if file.is_file():
                stat = file.stat()
                yield str(file), stat.st_mtime_ns, stat.st_size


def _read_project(project_dir: Path) -> dict[str, Any]:
    path = project_dir / "dbt_project.yml"
    try:
        return dict(yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER))
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}. Correct it, then look with: dbt parse") from error
