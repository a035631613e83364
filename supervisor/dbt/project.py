"""The vars of the dbt project, as its file has them."""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped]

from supervisor.common.errors import UsageError


def read_project_vars(project_dir: Path) -> dict[str, object]:
    """Return the vars of `dbt_project.yml`.

    Raises:
        UsageError: The file can't be read.
    """
    path = project_dir / "dbt_project.yml"
    try:
        project = yaml.safe_load(path.read_text(encoding="utf-8"))
        return dict(project.get("vars") or {})
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise UsageError(f"{path} can't be read: {error}. Correct it, then look with: dbt parse") from error
