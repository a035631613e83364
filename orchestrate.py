"""Goalkeeper: loads a day from all sources, measures it, repairs what it may, and publishes all or nothing."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from supervisor.common.outcome import exit_code_lines
from supervisor.warehouse.engines import ENGINES

if TYPE_CHECKING:
    from supervisor.commands.answer import Place
    from supervisor.common.request import Request
    from supervisor.record.quarantine import Choice
    from supervisor.show.console import ConsoleMode

PROGRAM_DIR = Path(__file__).resolve().parent
SANDBOX_SOURCES = {"api": "rest_api", "postgres": "postgres", "s3": "s3"}
DAY_WORDS = re.compile(r"today|yesterday|(?P<ago>[0-9]{1,9}) days? ago")
EXAMPLE = "python orchestrate.py --date 2025-11-16"
EPILOG = f"""
A day is one of the calendar in UTC, whatever the time zone of this machine: 2025-11-16, today, yesterday, "7 days ago".

\b
Exit codes:
{chr(10).join(f"  {code}  {meaning}" for code, meaning in exit_code_lines())}

Ctrl-C ends with 130, SIGTERM with 143; run the same command again to continue; nothing needs cleaning up.

\b
Examples:
  python orchestrate.py --date 2025-11-16                      # end to end
  python orchestrate.py --date yesterday                       # from cron: the day that is over in UTC
  python orchestrate.py --date 2025-11-16 --source-filter api  # one source
  python orchestrate.py --from 2025-11-01 --to 2025-11-16      # several days
  python orchestrate.py status                                 # what is there
"""
F = TypeVar("F", bound=Callable[..., Any])


def today() -> date:
    """The day that it is in UTC, read once a command: all its options mean the same."""
    found: date = click.get_current_context().meta.setdefault(f"{__name__}.today", datetime.now(UTC).date())
    return found


class Day(click.ParamType[date]):
    """A day as YYYY-MM-DD, or in words: `today`, `yesterday`, `7 days ago`."""

    name = "YYYY-MM-DD|today|yesterday"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Return the day; fails with an example when it is none."""
        if isinstance(value, date):
            return value
        if (words := DAY_WORDS.fullmatch(value.strip().lower())) is not None:
            days = {"today": 0, "yesterday": 1}.get(words[0])
            try:
                return today() - timedelta(days=int(words["ago"]) if days is None else days)
            except OverflowError:
                self.fail(f"{value!r} is before the calendar. Try: {EXAMPLE}", param, ctx)
        try:
            if len(value) != 10:
                raise ValueError(value)
            return datetime.strptime(value, "%Y-%m-%d").date()
        except ValueError:
            self.fail(f"{value!r} is not a day of the calendar. Try: {EXAMPLE}", param, ctx)


@contextlib.contextmanager
def sandbox_if_needed(
    day: date, default_faults: str = "api=timeout:1", *, warehouse: bool = False
) -> Iterator[tuple[str, ...]]:
    """Start the sandbox when no sources are configured; yields a line that says so."""
    from loaders.config import configured_source_names

    if configured_source_names():
        yield ()
        return
    from sandbox.faults import FaultsError, parse_faults
    from sandbox.process import running_sandbox
    from supervisor.common.errors import UsageError

    faults = os.environ.get("SANDBOX_FAULTS") or default_faults
    try:
        parse_faults(faults)
        scale = float(os.environ.get("SANDBOX_SCALE") or 1)
    except (FaultsError, ValueError) as error:
        raise UsageError(str(error)) from error
    with running_sandbox(day, scale=scale, faults=faults, warehouse=warehouse) as env:
        os.environ.update(env)
        try:
            yield ("No sources are configured: using the sandbox (S3, PostgreSQL and an API on this machine)",)
        finally:
            for name in env:
                os.environ.pop(name, None)


@contextlib.contextmanager
def warehouse_if_needed(request: Request) -> Iterator[Request]:
    """Start the sandbox before the run when neither the warehouse nor a source is configured: it lends a database."""
    from loaders.config import configured_source_names
    from supervisor.common.errors import UsageError
    from supervisor.warehouse.engines import engine

    if engine(request.target).is_configured() or configured_source_names():
        yield request
        return
    try:
        with sandbox_if_needed(request.date, warehouse=True) as notes:
            note = (
                "The warehouse is the sandbox's own database: it ends with the run, "
                "what stays is in runs/, reports/ and archive/"
            )
            yield replace(request, sandbox=lambda day: contextlib.nullcontext((*notes, note)))
    except UsageError as error:
        raise click.UsageError(str(error)) from error


def target_option(command: F) -> F:
    """Add `--target`."""
    return click.option(
        "--target",
        type=click.Choice(tuple(ENGINES)),
        default=lambda: os.environ.get("GOALKEEPER_TARGET") or "duckdb",
        show_default="duckdb",
        help="Warehouse: a target of profiles/profiles.yml.",
    )(command)


def goal_option(command: F) -> F:
    """Add `--goal`."""
    return click.option(
        "--goal", "goal_path", type=click.Path(path_type=Path), help="The goal file.  [default: goal.md]"
    )(command)


def console_option(command: F) -> F:
    """Add `--console`."""
    return click.option(
        "--console",
        type=click.Choice(["auto", "live", "plain", "quiet"]),
        default="auto",
        show_default=True,
        help="How progress is shown, on standard error.",
    )(command)


def archive_option(command: F) -> F:
    """Add `--archive`."""
    return click.option(
        "--archive",
        default=lambda: os.environ.get("GOALKEEPER_ARCHIVE", "archive"),
        show_default="archive",
        help="Folder or s3://bucket/prefix for the raw data; empty for none.",
    )(command)


def json_option(what: str) -> Callable[[F], F]:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} on standard output.")


def day_option(text: str, *, required: bool = False) -> Callable[[F], F]:
    """Add `--date`."""
    return click.option("--date", "day", type=Day(), required=required, help=text)


def span_options(command: F) -> F:
    """Add `--from` and `--to`."""
    last = click.option("--to", "last", type=Day(), help="The last of several days.")
    first = click.option("--from", "first", type=Day(), help="The first of several days.")
    return first(last(command))


def make_place(target: str) -> Place:
    """Where a command works: the dbt project is that of the working directory if it is one."""
    from supervisor.commands.answer import Place
    from supervisor.commands.init import choose_project

    return Place(project_dir=choose_project(Path.cwd(), PROGRAM_DIR), work_dir=Path.cwd(), target=target)


def make_request(place: Place, day: date, goal_path: Path | None, **options: Any) -> Request:
    """What a run is asked to do."""
    from loaders.kinds import MODULES
    from supervisor.commands.init import prepare_project
    from supervisor.common.errors import UsageError
    from supervisor.common.request import Request

    try:
        prepare_project(PROGRAM_DIR, place.project_dir)
    except UsageError as error:
        raise click.UsageError(str(error)) from error
    return Request(
        project_dir=place.project_dir,
        work_dir=place.work_dir,
        date=day,
        target=place.target,
        goal_path=goal_path or place.project_dir / "goal.md",
        sandbox=sandbox_if_needed,
        sandbox_sources=tuple(sorted(SANDBOX_SOURCES, key=lambda name: [*MODULES].index(SANDBOX_SOURCES[name]))),
        options=given_options(),
        **options,
    )


def given_options() -> dict[str, str]:
    """Return the options on the command line that a command printed by the run must repeat, with their values."""
    from supervisor.common.command_line import REPEATED

    context = click.get_current_context()
    return {
        parameter.opts[0]: str(context.params[parameter.name])
        for parameter in context.command.params
        if parameter.name
        and parameter.opts[0] in REPEATED
        and context.get_parameter_source(parameter.name) is click.core.ParameterSource.COMMANDLINE
    }


def make_span(day: date | None, first: date | None, last: date | None) -> tuple[date, date] | None:
    """The days that are meant by `--date`, or by `--from` and `--to`; None when none is named."""
    if day is not None and (first or last):
        raise click.UsageError("--date is one day, --from and --to are several: give one or the other.")
    if (first is None) != (last is None):
        raise click.UsageError(f"--from and --to belong together. Try: --from {first or last} --to {last or first}")
    if first is not None and last is not None:
        return first, last
    return None if day is None else (day, day)


@click.group(invoke_without_command=True, epilog=EPILOG, context_settings={"max_content_width": 100})
@day_option("The day to load.")
@span_options
@click.option("--keep-going", is_flag=True, help="With --from: go on after a day that was escalated or failed.")
@click.option("--source-filter", metavar="NAME", help="Collect only this source, then rebuild the day from all.")
@click.option("--force", is_flag=True, help="Run a complete day again, collecting everything anew.")
@target_option
@json_option("summary.json")
@console_option
@archive_option
@goal_option
@click.pass_context
def main(
    context: click.Context,
    day: date | None,
    first: date | None,
    last: date | None,
    keep_going: bool,
    source_filter: str | None,
    force: bool,
    target: str,
    as_json: bool,
    console: ConsoleMode,
    archive: str,
    goal_path: Path | None,
) -> None:
    """Load a day from all sources, measure it, repair what may be repaired, publish all or nothing."""
    if context.invoked_subcommand is not None:
        refuse_misplaced_options(context)
        return
    span = make_span(day, first, last)
    if span is None:
        raise click.UsageError(f"Which day? Try: {EXAMPLE}")
    from supervisor.commands.run import backfill, run

    request = make_request(
        make_place(target), span[0], goal_path, source_filter=source_filter, force=force, archive=archive
    )
    if day is None:
        sys.exit(backfill(request, span, console, keep_going=keep_going, as_json=as_json))
    if keep_going:
        raise click.UsageError(f"--keep-going needs several days. Try: --from {day} --to {day} --keep-going")
    with warehouse_if_needed(request) as prepared:
        code = run(prepared, console, as_json=as_json)
    sys.exit(code)


def refuse_misplaced_options(context: click.Context) -> None:
    """Refuse options that stand before a subcommand: it would never see them."""
    for name in context.params:
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            option = next(one.opts[0] for one in context.command.params if one.name == name)
            command = context.invoked_subcommand
            raise click.UsageError(f"{option} belongs behind the command: python orchestrate.py {command} ... {option}")


@main.command()
@day_option("Only this day.")
@span_options
@target_option
@json_option("the days")
def status(day: date | None, first: date | None, last: date | None, target: str, as_json: bool) -> None:
    """Show the days and what they lack.

    Complete, partial, escalated, never run or running now, with the command that comes next. Starts nothing.
    """
    from supervisor.commands.status import status as answer

    sys.exit(answer(make_place(target), make_span(day, first, last), as_json))


@main.command()
@day_option("Only days before this one count for the estimates.  [default: today]")
@target_option
@goal_option
@json_option("the plan")
def plan(day: date | None, target: str, goal_path: Path | None, as_json: bool) -> None:
    """Show how a day will be run.

    The phases with dependencies, budgets, success indicators and risks, the strategy with the volumes that it is chosen
    from, and where the goal and dbt_project.yml differ. Changes nothing.
    """
    from supervisor.commands.plan import plan as answer

    place = make_place(target)
    goal = goal_path or place.project_dir / "goal.md"
    sys.exit(answer(place, day or today(), goal, SANDBOX_SOURCES, as_json))


@main.command()
@day_option("The day whose data should be there.  [default: today]")
@target_option
@json_option("the checks")
def check(day: date | None, target: str, as_json: bool) -> None:
    """Try each source and the warehouse.

    Says what can be reached and with what rights, and names each right that is missing. Exit code 1 when one is.
    """
    from supervisor.commands.check import check as answer

    # what is tried once can't pass by itself, as the golden day's timeout does
    sandbox = functools.partial(sandbox_if_needed, default_faults="none")
    sys.exit(answer(make_place(target), day or today(), sandbox, as_json))


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@target_option
@archive_option
@json_option("what was removed")
def prune(dry_run: bool, target: str, archive: str, as_json: bool) -> None:
    """Remove what has passed its retention.

    Raw records, the archive, folders of runs and reports, each after the days that [retention] in .dlt/config.toml gives
    it. Of a day that is open nothing is removed. A day without its raw records stays as it is published: it can't be
    replayed, nor repaired from one source.
    """
    from supervisor.commands.prune import prune as answer

    sys.exit(answer(make_place(target), archive, today(), dry_run=dry_run, as_json=as_json))


@main.command()
@click.argument("run_id", required=False)
@target_option
@json_option("what is left of the run")
def explain(run_id: str | None, target: str, as_json: bool) -> None:
    """Tell what a run saw, decided and changed.

    In order, with the evidence, from runs/RUN_ID/ or, when that is gone, from the warehouse. Without RUN_ID it is the
    newest run.
    """
    from supervisor.commands.explain import explain as answer

    sys.exit(answer(make_place(target), run_id, as_json))


@main.command()
@click.argument("run_id", required=False)
@day_option("The newest run of this day.")
@click.option("--output", type=click.Path(path_type=Path), help="The file.  [default: reports/quality_<run_id>.html]")
@target_option
def report(run_id: str | None, day: date | None, output: Path | None, target: str) -> None:
    """Write a run's HTML report again.

    That of RUN_ID, or of the newest run; prints where it is.
    """
    from supervisor.commands.report import report as answer

    if run_id is not None and day is not None:
        raise click.UsageError(f"RUN_ID and --date name a run each: give one. Try: report {run_id}")
    sys.exit(answer(make_place(target), run_id, day, output))


@main.group()
def quarantine() -> None:
    """List, show or export rejected records."""


def quarantine_options(command: F) -> F:
    """Add the options that say which records are meant."""
    options = (
        day_option("The day.", required=True),
        click.option("--source", help="Only records of this source."),
        click.option("--reason", help="Only records with this reason."),
        click.option("--held-back", is_flag=True, help="What the last build rejected that was not published."),
        target_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def make_choice(source: str | None, reason: str | None, history: bool) -> Choice:
    """Which records are meant."""
    from supervisor.record.quarantine import Choice

    return Choice(source, reason, history)


history_option = click.option("--all", "history", is_flag=True, help="Those that were replayed as well.")


@quarantine.command("list")
@quarantine_options
@json_option("the groups")
def quarantine_list(
    day: date, source: str | None, reason: str | None, held_back: bool, target: str, as_json: bool
) -> None:
    """Count the records of a day by source and reason, with an example of each."""
    from supervisor.commands.quarantine import quarantine_list as answer

    choice = make_choice(source, reason, False)
    sys.exit(answer(make_place(target), day, choice, held_back, as_json))


@quarantine.command("show")
@quarantine_options
@history_option
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Maximum number of records; 0 for all."
)
@json_option("the records, one a line,")
def quarantine_show(
    day: date,
    source: str | None,
    reason: str | None,
    held_back: bool,
    target: str,
    history: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Print records whole, as they were received, with every reason."""
    from supervisor.commands.quarantine import quarantine_show as answer

    choice = make_choice(source, reason, history)
    sys.exit(answer(make_place(target), day, choice, held_back, limit, as_json))


@quarantine.command("export")
@quarantine_options
@history_option
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True,
    help="JSON lines, or CSV that is safe to open in a spreadsheet.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("failed_records.log"), show_default=True,
    help="The file; - for standard output.",
)  # fmt: skip
def quarantine_export(
    day: date,
    source: str | None,
    reason: str | None,
    held_back: bool,
    target: str,
    history: bool,
    form: Any,
    output: Path,
) -> None:
    """Write records to a file, one after the other."""
    from supervisor.commands.quarantine import quarantine_export as answer

    choice = make_choice(source, reason, history)
    sys.exit(answer(make_place(target), day, choice, held_back, form, output))


@main.command()
@day_option("The day.", required=True)
@click.option("--source", metavar="NAME", help="Read only this source's reference tables anew.")
@click.option("--keep-references", is_flag=True, help="Read no reference table: no source is needed.")
@target_option
@goal_option
@console_option
@json_option("summary.json")
def replay(
    day: date,
    source: str | None,
    keep_references: bool,
    target: str,
    goal_path: Path | None,
    console: ConsoleMode,
    as_json: bool,
) -> None:
    """Build a day again from its raw records.

    For when a rule, a mapping or a missing user has been fixed. No record is collected again, only the reference
    tables (reference = true) are; the day passes the same gates as in any run. What passes now is published, once,
    and stays in the quarantine as history.
    """
    from supervisor.commands.run import replay as answer

    if source is not None and keep_references:
        raise click.UsageError("--source says whose reference tables are read, --keep-references that none is.")
    request = make_request(make_place(target), day, goal_path, source_filter=source, force=True, archive="")
    sys.exit(answer(request, console, read_references=not keep_references, as_json=as_json))


@main.command()
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("reports/dbt_docs.html"), show_default=True,
    help="The page.",
)  # fmt: skip
@target_option
def docs(output: Path, target: str) -> None:
    """Build the dbt docs as one static page."""
    from supervisor.commands.docs import docs as answer

    sys.exit(answer(make_place(target), output))


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--entity", metavar="NAME", help="Add an entity with a first column and no feed yet.")
@click.option("--demo", is_flag=True, help="With the demo's entity, feeds and rules.")
def init(directory: Path, entity: str | None, demo: bool) -> None:
    """Make a folder a project of your own.

    Empty of entities, types, rules and defaults: `map` makes the first ones from what a source holds. Nothing that is
    there is overwritten.
    """
    from supervisor.commands.init import init as answer

    sys.exit(answer(PROGRAM_DIR, directory, demo=demo, entity=entity))


@main.command("map")
@click.argument("source")
@click.option("--table", metavar="NAME", help="Only this table of the source.")
@click.option("--entity", metavar="NAME", help="The entity that it feeds.  [default: called as the table]")
@click.option("--reference", "is_reference", is_flag=True, help="What others refer to, and no entity.")
@day_option("The day that is looked at.  [default: yesterday]")
def map_source(source: str, table: str | None, entity: str | None, is_reference: bool, day: date | None) -> None:
    """Look at a source and write the files that map it.

    Its columns, types, keys and shares of nulls, guessed from the first records of a day: staging models, and a first
    contract of the entity, ready to edit. Nothing that is there is overwritten.
    """
    from supervisor.commands.map import Asked
    from supervisor.commands.map import map_command as answer

    if entity is not None and is_reference:
        raise click.UsageError(f"a reference is no entity: give --reference or --entity {entity}.")
    asked = Asked(source, table, entity, is_reference, day or datetime.now(UTC).date() - timedelta(days=1))
    sandbox = functools.partial(sandbox_if_needed, default_faults="none")
    sys.exit(answer(make_place("duckdb"), asked, sandbox))


def run() -> int:
    """Run the command line and return the exit code; what is interrupted ends as shells expect it."""
    from supervisor.common.stopping import StopRequested

    try:
        code = main(prog_name="python orchestrate.py", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Run the same command again to continue; nothing needs cleaning up.", err=True)
        return 130
    except StopRequested as stop:
        click.echo(f"{stop}. Run the same command again to continue; nothing needs cleaning up.".capitalize(), err=True)
        return stop.exit_code
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(run())
