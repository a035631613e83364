"""The plan of a day, out of the goal, the sources and an estimate of their volume.

Pure: nothing is connected to and no clock is read. The phases, their order and their proportions
are the origin's; the deadline, the limits and the checks are the goal's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from supervisor.common.text import count
from supervisor.goal.criteria import Goal, drift
from supervisor.goal.metrics import METRICS, Stage
from supervisor.plan.budgets import DEFAULT_DEADLINE_S, OPTIONAL_WORK, PHASES, PhaseBudgets, share_out
from supervisor.plan.model import EngineSettings, Indicator, Phase, Plan, Risk, SourcePlan, Strategy
from supervisor.plan.text import render_plan

__all__ = [
    "OPTIONAL_WORK",
    "PHASES",
    "STRATEGIES",
    "EngineSettings",
    "Indicator",
    "Phase",
    "PhaseBudgets",
    "Plan",
    "Risk",
    "SourcePlan",
    "Strategy",
    "choose_strategy",
    "make_plan",
    "render_plan",
    "share_out",
]


# the origin's thresholds: fewer than so many records per day
_IN_MEMORY_BELOW = 100_000
_CHUNKS_BELOW = 1_000_000
STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("in_memory", "in memory",
                 "read whole and handed over in one batch", _IN_MEMORY_BELOW, 60),
        Strategy("chunks", "in chunks",
                 "handed over in batches of 50,000 rows, so memory does not grow with the source",
                 50_000, 60),
        # DuckDB's row group; with these volumes its joins want the memory more than the loaders
        Strategy("engine", "handed over to the engine",
                 "streamed in the engine's row groups of 122,880 rows; "
                 "joins and sorts spill to disk", 122_880, 75),
    )
}  # fmt: skip


def choose_strategy(records: int | None) -> Strategy:
    """Return how so many records per day are handled; the unknown is read in chunks."""
    if records is None:
        return STRATEGIES["chunks"]
    if records < _IN_MEMORY_BELOW:
        return STRATEGIES["in_memory"]
    return STRATEGIES["chunks" if records < _CHUNKS_BELOW else "engine"]


def make_plan(
    goal: Goal,
    sources: Mapping[str, str],
    volumes: Mapping[str, Sequence[int]],
    *,
    project_vars: Mapping[str, object] | None = None,
) -> Plan:
    """Plan a day.

    Args:
        goal: The compiled goal.
        sources: Kind ("s3", "postgres", "rest_api") by name, in the order they are collected.
        volumes: Records of the last loaded days by source; a source may be missing, then the
            middle of the goal's scale is the estimate.
        project_vars: The vars of `dbt_project.yml`; given, the plan shows where they differ.

    Raises:
        ValueError: No source, or a negative volume.
    """
    if not sources:
        raise ValueError("nothing to plan: no source is configured")
    planned = tuple(_plan_source(goal, name, kind, volumes.get(name, ())) for name, kind in sources.items())
    known = [source.records for source in planned if source.records is not None]
    strategy = choose_strategy(sum(known) if len(known) == len(planned) else None)
    limits = goal.limits
    memory = limits.memory_bytes
    engine = EngineSettings(
        strategy=strategy,
        memory_limit_bytes=None if memory is None else memory * strategy.engine_percent // 100,
        threads=limits.cores,
    )
    deadline_s = limits.deadline_s or DEFAULT_DEADLINE_S
    return Plan(
        title=goal.title,
        goal_path=goal.path,
        deadline_s=deadline_s,
        schedule=limits.schedule,
        memory_bytes=memory,
        cores=limits.cores,
        sources=planned,
        engine=engine,
        phases=_phases(goal, planned, share_out(deadline_s)),
        criteria=goal.criteria,
        drift=() if project_vars is None else tuple(drift(goal, project_vars)),
        warnings=tuple(_warnings(goal, planned)),
    )


def _plan_source(goal: Goal, name: str, kind: str, history: Sequence[int]) -> SourcePlan:
    if any(records < 0 for records in history):
        raise ValueError(f"source '{name}': a negative number of records in {list(history)}")
    records: int | None
    if history:
        # the largest day decides: too small an estimate costs more than too large a one
        records = max(history)
        days = len(history)
        basis = "the last loaded day" if days == 1 else f"largest of the last {days} loaded days"
    elif goal.limits.scale:
        low, high = goal.limits.scale
        records = (low + high) // 2
        basis = f"middle of the goal's scale, {count(low)} to {count(high)}"
    else:
        records, basis = None, "no loaded day, and no scale in the goal"
    return SourcePlan(name, kind, records, basis, choose_strategy(records))


def _warnings(goal: Goal, sources: Sequence[SourcePlan]) -> list[str]:
    limits = goal.limits
    found = []
    if limits.deadline_s is None:
        found.append(f"the goal names no deadline: {DEFAULT_DEADLINE_S // 60} minutes are planned")
    if limits.sources is not None and limits.sources != len(sources):
        names = ", ".join(source.name for source in sources)
        found.append(f"the goal expects {count(limits.sources)} sources, {count(len(sources))} are configured: {names}")
    for source in sources:
        if limits.scale and source.records is not None and source.records > limits.scale[1]:
            found.append(
                f"source '{source.name}' brings {count(source.records)} records, the goal's scale "
                f"ends at {count(limits.scale[1])}"
            )
    return found


def _from_goal(goal: Goal, stage: Stage) -> tuple[Indicator, ...]:
    return tuple(
        Indicator(criterion.text, criterion.metric)
        for criterion in goal.criteria
        if criterion.metric and METRICS[criterion.metric].stage == stage
    )


def _phases(goal: Goal, sources: Sequence[SourcePlan], budgets: Mapping[str, float]) -> tuple[Phase, ...]:
    # a goal that wants every source turns a partial day into one that is not published
    needs_all = any(goal.criteria_for(metric) for metric in ("sources_failed", "sources_loaded"))
    going_on = (
        "go on without it, but publish nothing where the goal wants it (exit code 4)"
        if needs_all
        else "go on without it: partial, an alert, and the repair command (exit code 3)"
    )
    names = tuple(source.name for source in sources)
    return (
        Phase(
            name="collect",
            title="Data Collection",
            depends_on=(),
            reason="all sources collected in parallel, loaded one after the other",
            parallel=names if len(names) > 1 else (),
            steps=(
                *(f"Collect from {source.name} ({_volume(source)})" for source in sources),
                "Handle source failures gracefully",
                "Keep raw records as received, with where they came from",
            ),
            budget_s=budgets["collect"],
            success=(
                Indicator("All sources attempted; outcome, count, tries and reason recorded"),
                Indicator("Raw data stored untouched"),
                *_from_goal(goal, "collect"),
            ),
            risks=(
                Risk("A source times out or refuses",
                     "3 tries with 2 s and 4 s between them, then the fallback endpoint"),
                Risk("A source stays down", going_on),
                Risk("A source hangs", "stop it at the phase's budget, treat it as down"),
                Risk("Every source is down", "escalate, publish nothing (exit code 4)"),
            ),
        ),
        Phase(
            name="transform",
            title="Data Transformation",
            depends_on=("collect",),
            reason="needs collected data",
            parallel=(),
            steps=(
                "Parse raw data formats (JSON, CSV, Parquet)",
                "Transform to common schema, normalize data types",
                "Handle missing fields (apply defaults)",
                "Keep each failed record whole in quarantine, with every reason",
            ),
            budget_s=budgets["transform"],
            success=(
                Indicator("All records attempted, failed ones quarantined"),
                *_from_goal(goal, "transform"),
            ),
            risks=(
                Risk("Too many records fail", "escalate with the worst reasons, publish nothing"),
                Risk("A model can't be compiled or run", "escalate at once: a retry is noise"),
                Risk("dbt hangs", "stop it at the phase's budget, treat it as a failure"),
            ),
        ),
        Phase(
            name="validate",
            title="Quality Validation",
            depends_on=("transform",),
            reason="needs transformed data",
            parallel=(),
            steps=(
                "Completeness check (required fields present)",
                "Accuracy validation (data types, ranges, formats)",
                "Consistency verification (referential integrity)",
                "Duplicate detection",
                "Anomaly detection",
            ),
            budget_s=budgets["validate"],
            success=(
                *_from_goal(goal, "validate"),
                Indicator("Duplicates identified and removed"),
                Indicator("Anomalies flagged"),
            ),
            risks=(
                Risk("A score is below its threshold",
                     "cleanse with the next tier of rules and measure again, 3 times at most; "
                     "stop when one gains nothing"),
                Risk("It stays below", "escalate with the figures, publish nothing (exit code 4)"),
            ),
        ),
        Phase(
            name="publish",
            title="Data Publishing",
            depends_on=("validate",),
            reason="only publish validated data",
            parallel=(),
            steps=(
                "Replace the day in the warehouse with its metadata and lineage, one transaction",
                "Generate quality report",
                "Archive raw data",
            ),
            budget_s=budgets["publish"],
            success=(
                Indicator("All validated data in warehouse, metadata updated"),
                *_from_goal(goal, "publish"),
                Indicator("Report generated"),
            ),
            risks=(
                Risk("Publishing breaks off", "readers keep the old day; retry what is transient"),
                Risk("Little time is left",
                     f"drop optional work first ({', then '.join(OPTIONAL_WORK)}), never a check"),
            ),
        ),
    )  # fmt: skip


def _volume(source: SourcePlan) -> str:
    known = "unknown volume" if source.records is None else f"{count(source.records)} records"
    return f"{known}, {source.strategy.title}"
