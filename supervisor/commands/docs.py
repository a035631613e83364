"""The dbt docs site, with lineage, as one static page."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from supervisor.commands.answer import Place, answer
from supervisor.common.errors import UsageError
from supervisor.common.files import replaced
from supervisor.show.terminal import Terminal


def build_docs(project_dir: Path, target: str, output: Path) -> Path:
    """Generate the docs and write them to `output`; models that were never built are there without their columns' types.

    Raises:
        UsageError: dbt can't generate them; says what dbt said.
    """
    from dbt.cli.main import dbtRunner

    with tempfile.TemporaryDirectory(prefix="goalkeeper-docs-") as folder:
        result = dbtRunner().invoke(
            [
                *("docs", "generate", "--static", "--quiet"),
                *("--project-dir", str(project_dir), "--profiles-dir", str(project_dir / "profiles")),
                *("--target", target, "--target-path", folder, "--log-path", folder),
            ]
        )
        page = Path(folder) / "static_index.html"
        if not result.success or not page.exists():
            raise UsageError(
                f"dbt docs can't be generated: {result.exception}. Look with: dbt docs generate --target {target}"
            )
        with replaced(output) as partial:
            shutil.copyfile(page, partial)
    return output


def docs(place: Place, output: Path) -> int:
    """Write the page, and say where it is."""

    def work(out: Terminal) -> int:
        out.line(str(build_docs(place.project_dir, place.target, output)))
        return 0

    return answer(work)
