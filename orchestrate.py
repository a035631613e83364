"""Goalkeeper: loads a day from all sources, measures it, repairs what it may, and publishes all or nothing.

\b
  python orchestrate.py --date 2025-11-16                        the day, end to end
  python orchestrate.py --date 2025-11-16 --source-filter api    collect one source, rebuild the day
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

PROJECT_DIR = Path(__file__).resolve().parent
EXIT_CODES = """
\b
Exit codes:
  0  goal met, or nothing to do
  1  unexpected error
  2  usage or configuration
  3  published, but partial: a source is missing
  4  escalated: nothing was published
  5  another run holds the lock
"""


class Date(click.ParamType):
    """A day as YYYY-MM-DD."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day; fails with an example when it is none."""
        if isinstance(value, date):
            return value
        try:
            if len(value) != 10:
                raise ValueError(value)
            return datetime.strptime(value, "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is not a day of the calendar. Try: python orchestrate.py --date 2025-11-16", param, ctx)


@contextlib.contextmanager
def sandbox_if_needed(day: date) -> Iterator[tuple[str, ...]]:
    """Start the sandbox when no sources are configured; yields a line that says so."""
    from loaders.config import configured_source_names

    if configured_source_names():
        yield ()
        return
    from sandbox.faults import FaultsError, parse_faults
    from sandbox.process import running_sandbox
    from supervisor.settings import UsageError

    faults = os.environ.get("SANDBOX_FAULTS") or "api=timeout:1"
    try:
        parse_faults(faults)
        scale = float(os.environ.get("SANDBOX_SCALE") or 1)
    except (FaultsError, ValueError) as error:
        raise UsageError(str(error)) from error
    with running_sandbox(day, scale=scale, faults=faults) as env:
        os.environ.update(env)
        try:
            yield ("No sources are configured: using the sandbox (S3, PostgreSQL and an API on this machine)",)
        finally:
            for name in env:
                os.environ.pop(name, None)


@click.group(invoke_without_command=True, epilog=EXIT_CODES, context_settings={"max_content_width": 100})
@click.option("--date", "day", type=Date(), help="The day to load.")
@click.option("--source-filter", metavar="NAME", help="Collect only this source, then rebuild the day from all.")
@click.option("--force", is_flag=True, help="Run a complete day again, collecting everything anew.")
@click.option("--target", default=lambda: os.environ.get("GOALKEEPER_TARGET", "duckdb"), show_default="duckdb",
              help="Warehouse: a target of profiles/profiles.yml.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json on standard output.")
@click.option("--console", type=click.Choice(["auto", "live", "plain", "quiet"]), default="auto", show_default=True,
              help="How progress is shown, on standard error.")
@click.option("--archive", default=lambda: os.environ.get("GOALKEEPER_ARCHIVE", "archive"), show_default="archive",
              help="Folder or s3://bucket/prefix for the raw data; empty for none.")
@click.option("--goal", "goal_path", type=click.Path(path_type=Path), default=PROJECT_DIR / "goal.md", show_default="goal.md",
              help="The goal file.")
@click.pass_context
def main(
    context: click.Context,
    day: date | None,
    source_filter: str | None,
    force: bool,
    target: str,
    as_json: bool,
    console: str,
    archive: str,
    goal_path: Path,
) -> None:  # fmt: skip
    """Load a day from all sources, measure it, repair what may be repaired, publish all or nothing."""
    if context.invoked_subcommand is not None:
        return
    if day is None:
        raise click.UsageError("Which day? Try: python orchestrate.py --date 2025-11-16")
    from supervisor.command import Request, run_command

    result = run_command(
        Request(
            project_dir=PROJECT_DIR,
            work_dir=Path.cwd(),
            date=day,
            target=target,
            source_filter=source_filter,
            force=force,
            archive=archive,
            goal_path=goal_path,
            console_mode=console,
            sandbox=sandbox_if_needed,
        )
    )
    if as_json and result.summary is not None:
        click.echo(json.dumps(result.summary, indent=2, ensure_ascii=False, default=str))
    sys.exit(result.exit_code)


@main.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("reports/dbt_docs.html"), show_default=True)
@click.option("--target", default=lambda: os.environ.get("GOALKEEPER_TARGET", "duckdb"), show_default="duckdb")
def docs(output: Path, target: str) -> None:
    """Build the dbt docs, with lineage, as one static page."""
    from supervisor.docs import build_docs

    path = build_docs(PROJECT_DIR, target, output)
    click.echo(f"{path}")


if __name__ == "__main__":
    main(prog_name="python orchestrate.py")
