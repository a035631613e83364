"""The plan of a day, out of the goal, the sources and an estimate of their volume, and how it reads.

Pure: nothing is connected to and no clock is read. The phases, their order and their proportions are the origin's; the
deadline, the limits and the checks are the goal's. What it says of sources and engine is what they get.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loaders.attempt import BATCH_BYTES
from supervisor.common.text import count, duration, measure, plain_text
from supervisor.goal.criteria import Criterion, Drift, Goal, drift
from supervisor.goal.metrics import METRICS, Stage
from supervisor.plan.budgets import DEFAULT_DEADLINE_S, OPTIONAL_WORK, share_out

SCHEMA_VERSION = 2
WIDTH = 80


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a source's records are handed over to the warehouse.

    Attributes:
        name: "in_memory" or "chunks".
        title: The same for people.
        meaning: What it means, with a place for the size of a batch.
        most_bytes: Of a batch, where the goal's memory allows it.
    """

    name: str
    title: str
    meaning: str
    most_bytes: int


# the origin's thresholds: so many records per day and more
_CHUNKS_FROM = 100_000
_ENGINE_FROM = 1_000_000
IN_MEMORY = Strategy("in_memory", "in memory", "in one batch, or in several of {size} if it is larger", 4 * BATCH_BYTES)
CHUNKS = Strategy(
    "chunks", "in chunks", "in batches of {size} at most, so memory does not grow with the source", BATCH_BYTES
)
# with large volumes the engine's joins want the memory more than the loaders do
_ENGINE_PERCENT, _LARGE_ENGINE_PERCENT = 60, 75
# a batch is there several times: as read, as Arrow, as Parquet, and the sources are read at the same time
_COPIES = 8
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """A source with its estimated records per day (None: unknown), and how it is loaded.

    Attributes:
        strategy: "in_memory" or "chunks".
        batch_bytes: Most bytes that its loader hands over at a time.
    """

    name: str
    kind: str
    records: int | None
    basis: str
    strategy: str
    batch_bytes: int


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the warehouse's engine gets: bytes, threads, seconds for a statement; None where the goal sets no limit."""

    memory_limit_bytes: int | None
    threads: int | None
    timeout_s: int | None


@dataclass(frozen=True, slots=True)
class Indicator:
    """What success of a phase means; `metric` names the check where the goal has one."""

    text: str
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    """What may go wrong in a phase, and what is done then."""

    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Phase:
    """One of the four phases; `parallel` names what runs at the same time in it."""

    name: str
    title: str
    depends_on: tuple[str, ...]
    reason: str
    parallel: tuple[str, ...]
    steps: tuple[str, ...]
    budget_s: float
    success: tuple[Indicator, ...]
    risks: tuple[Risk, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a day; budgets of the phases add up to `deadline_s` exactly.

    Attributes:
        goal: The goal file.
        records: Estimated records of all sources, None when one of them is unknown.
    """

    title: str
    goal: str
    deadline_s: int
    schedule: str | None
    memory_bytes: int | None
    cores: int | None
    records: int | None
    engine: EngineSettings
    sources: tuple[SourcePlan, ...]
    phases: tuple[Phase, ...]
    criteria: tuple[Criterion, ...]
    drift: tuple[Drift, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values; keys and their order are stable."""
        criteria = [criterion.as_dict() for criterion in self.criteria]
        data = {"schema_version": SCHEMA_VERSION, **asdict(self), "criteria": criteria}
        # tuples become lists
        return dict(json.loads(json.dumps(data)))


def choose_strategy(records: int | None) -> Strategy:
    """Return how so many records per day are handled; the unknown is read in chunks."""
    return IN_MEMORY if records is not None and records < _CHUNKS_FROM else CHUNKS


def make_plan(
    goal: Goal,
    sources: Mapping[str, str],
    volumes: Mapping[str, Sequence[int]],
    *,
    cores: int | None = None,
    project_vars: Mapping[str, object] | None = None,
) -> Plan:
    """Plan a day.

    Args:
        goal: The compiled goal.
        sources: Kind ("s3", "postgres", "rest_api") by name, in the order they are collected.
        volumes: Records of the last loaded days by source; a source may be missing, then the
            middle of the goal's scale is the estimate.
        cores: What this machine has; more threads than that cost memory and gain nothing.
        project_vars: The vars of `dbt_project.yml`; given, the plan shows where they differ.

    Raises:
        ValueError: No source, or a negative volume.
    """
    if not sources:
        raise ValueError("nothing to plan: no source is configured")
    limits = goal.limits
    estimates = {name: _estimate(goal, name, volumes.get(name, ())) for name in sources}
    known = [records for records, _ in estimates.values() if records is not None]
    total = sum(known) if len(known) == len(estimates) else None
    percent = _LARGE_ENGINE_PERCENT if total is not None and total >= _ENGINE_FROM else _ENGINE_PERCENT
    engine_bytes = None if limits.memory_bytes is None else limits.memory_bytes * percent // 100
    planned = []
    for name, kind in sources.items():
        strategy = choose_strategy(estimates[name][0])
        batch_bytes = strategy.most_bytes
        if limits.memory_bytes is not None and engine_bytes is not None:
            share = (limits.memory_bytes - engine_bytes) // (_COPIES * len(sources))
            batch_bytes = max(1, min(batch_bytes, share) // _MIB) * _MIB
        planned.append(SourcePlan(name, kind, *estimates[name], strategy.name, batch_bytes))
    threads = limits.cores if limits.cores is None or cores is None else min(limits.cores, cores)
    deadline_s = limits.deadline_s or DEFAULT_DEADLINE_S
    return Plan(
        title=goal.title,
        goal=goal.path,
        deadline_s=deadline_s,
        schedule=limits.schedule,
        memory_bytes=limits.memory_bytes,
        cores=limits.cores,
        records=total,
        engine=EngineSettings(engine_bytes, threads, limits.deadline_s),
        sources=tuple(planned),
        phases=_phases(goal, planned, share_out(deadline_s)),
        criteria=goal.criteria,
        drift=() if project_vars is None else tuple(drift(goal, project_vars)),
        warnings=tuple(_warnings(goal, planned)),
    )


def _estimate(goal: Goal, name: str, history: Sequence[int]) -> tuple[int | None, str]:
    if any(records < 0 for records in history):
        raise ValueError(f"source '{name}': a negative number of records in {list(history)}")
    if history:
        # the largest day decides: too small an estimate costs more than too large a one
        days = len(history)
        return max(history), "the last loaded day" if days == 1 else f"largest of the last {days} loaded days"
    if goal.limits.scale:
        low, high = goal.limits.scale
        return (low + high) // 2, f"middle of the goal's scale, {count(low)} to {count(high)}"
    return None, "no loaded day, and no scale in the goal"


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
                *(f"Collect from {source.name} ({_records(source)}, {choose_strategy(source.records).title})" for source in sources),
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


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(plain_text(text), WIDTH, initial_indent=first, subsequent_indent=rest or " " * len(first))


def _bullets(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in _wrapped(text, "- ")]


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    if rest or not minutes:
        return duration(seconds)
    return f"{count(minutes)} minute{'' if minutes == 1 else 's'}"


def _records(source: SourcePlan) -> str:
    return "unknown volume" if source.records is None else f"{count(source.records)} records"


def _source(source: SourcePlan) -> str:
    kind = "" if source.kind == source.name else f" ({source.kind})"
    strategy = choose_strategy(source.records)
    meaning = strategy.meaning.format(size=f"{source.batch_bytes // _MIB} MiB")
    return f"{source.name}{kind}: {_records(source)} ({source.basis}), {strategy.title}: {meaning}"


def _resources(plan: Plan) -> list[str]:
    engine = plan.engine
    memory, threads = "its own default", "its own default"
    if engine.memory_limit_bytes is not None and plan.memory_bytes is not None:
        memory = " of ".join(measure(size / 10**6, "MB") for size in (engine.memory_limit_bytes, plan.memory_bytes))
    if engine.threads is not None:
        threads = count(engine.threads)
    total = "unknown" if plan.records is None else count(plan.records)
    return [
        "Volume and strategy",
        *_bullets(_source(source) for source in plan.sources),
        *_bullets([f"All sources: {total} records"]),
        *_bullets([f"Engine: memory limit {memory}, threads {threads}"]),
    ]


def _phase(number: int, phase: Phase, numbers: dict[str, int]) -> list[str]:
    after = ", ".join(f"Phase {numbers[name]}" for name in phase.depends_on)
    note = f"depends on {after}" if after else "parallel-safe"
    return [
        f"Phase {number}: {phase.title} ({_time(phase.budget_s)}, {note})",
        *_bullets(phase.steps),
        *_wrapped(f"Dependencies: {after or 'None'} ({phase.reason})", rest="  "),
        *_wrapped(f"In parallel: {', '.join(phase.parallel) or 'nothing'}", rest="  "),
        "Success indicators:",
        *_bullets(indicator.text for indicator in phase.success),
        "Risks:",
        *_bullets(f"{risk.text}: {risk.remedy}" for risk in phase.risks),
    ]


def render_plan(plan: Plan) -> str:
    """Return the plan as text of 80 columns, with a line feed at its end."""
    numbers = {phase.name: number for number, phase in enumerate(plan.phases, start=1)}
    blocks = [
        [
            *_wrapped(f"Execution Plan: {plan.title or plan.goal}", rest="  "),
            *_wrapped(f"Goal file: {plan.goal}", rest="  "),
            f"Schedule: {plan.schedule or 'none'}",
            f"Deadline: {_time(plan.deadline_s)}",
        ],
        _resources(plan),
        *(_phase(number, phase, numbers) for number, phase in enumerate(plan.phases, start=1)),
    ]
    whole = [item.text for item in plan.criteria if item.unit in ("s", "MB", "cores")]
    if whole:
        blocks.append(["The whole run:", *_bullets(whole)])
    unchecked = [item.text for item in plan.criteria if item.metric is None]
    if unchecked:
        blocks.append(["Not checked:", *_bullets(unchecked)])
    if plan.drift:
        drifts = (item.describe() for item in plan.drift)
        blocks.append(["Drift between the goal and dbt_project.yml:", *_bullets(drifts)])
    if plan.warnings:
        blocks.append(["Warnings:", *_bullets(plan.warnings)])
    shares = " + ".join(duration(phase.budget_s) for phase in plan.phases)
    blocks.append(_wrapped(f"Total Duration: {_time(plan.deadline_s)} ({shares})", rest="  "))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"
