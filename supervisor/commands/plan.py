"""The plan of a day from what is configured here: the goal file, the sources, the volumes of the last days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from loaders.errors import ConfigurationError
from loaders.providers import read_merged_sources
from supervisor.commands.answer import Place, answer, print_json, say_note
from supervisor.dbt.declarations import read_declarations
from supervisor.dbt.project import read_project_vars
from supervisor.goal.compile import load_goal
from supervisor.plan.budgets import HISTORY_DAYS
from supervisor.plan.plan import Plan, make_plan, render_plan
from supervisor.record.history import read_volumes
from supervisor.run.limits import available_cores, engine_environment, overruled
from supervisor.show.terminal import Terminal
from supervisor.warehouse.base import Warehouse
from supervisor.warehouse.reading import reading_if_possible, why_unreadable


def plan_day(
    warehouse: Warehouse,
    day: date,
    *,
    goal_path: Path,
    project_dir: Path,
    work_dir: Path,
    sandbox_sources: Mapping[str, str],
) -> tuple[Plan, str]:
    """Plan a day; nothing but the ledger is read, and nothing is started.

    Args:
        warehouse: Whose ledger knows the volumes of earlier days.
        day: The day; only days before it count.
        goal_path: The goal file.
        project_dir: Where dbt_project.yml is.
        work_dir: Where `runs/` is.
        sandbox_sources: Kind by name of what the sandbox serves; planned with when no source is configured.

    Returns:
        The plan, and what should be known of its estimates, "" for nothing.

    Raises:
        GoalError: The goal does not compile.
        ConfigurationError: A source has no kind.
    """
    sources = _kinds(read_merged_sources()) or dict(sandbox_sources)
    goal = load_goal(goal_path, read_declarations(project_dir).entities).bound_to(list(sources))
    note = why_unreadable(warehouse, work_dir)
    with reading_if_possible(warehouse, work_dir) as session:
        volumes = {} if session is None else read_volumes(session, day, HISTORY_DAYS)
    known = {name: volumes[name] for name in sources if name in volumes}
    plan = make_plan(goal, sources, known, cores=available_cores(), project_vars=read_project_vars(project_dir))
    plan = replace(plan, warnings=(*plan.warnings, *overruled(engine_environment(plan))))
    return plan, f"{note}: the estimates are those of the goal's scale" if note else ""


def _kinds(sources: Mapping[str, Any]) -> dict[str, str]:
    kinds = {}
    for name in sorted(sources):
        kind = sources[name].get("kind") if isinstance(sources[name], dict) else None
        if not kind:
            raise ConfigurationError(f"sources.{name}.kind is missing. Set it to one of: s3, postgres, rest_api.")
        kinds[name] = str(kind)
    return kinds


def plan(place: Place, day: date, goal_path: Path, sandbox_sources: Mapping[str, str], as_json: bool) -> int:
    """Say how a day will be run."""

    def work(out: Terminal) -> int:
        planned, note = plan_day(
            place.warehouse(),
            day,
            goal_path=goal_path,
            project_dir=place.project_dir,
            work_dir=place.work_dir,
            sandbox_sources=sandbox_sources,
        )
        say_note(note)
        if as_json:
            print_json(planned.as_dict())
        else:
            for line in render_plan(planned).splitlines():
                out.line(line)
        return 0

    return answer(work)
