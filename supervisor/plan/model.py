"""What a plan consists of, as values; `Plan.as_dict` is the stable JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from supervisor.goal.criteria import Criterion, Drift, json_number
from supervisor.plan.budgets import PhaseBudgets

StrategyName = Literal["in_memory", "chunks", "engine"]
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a volume is handled.

    Attributes:
        name: "in_memory", "chunks" or "engine".
        title: The same for people.
        meaning: What it means for a source, in one sentence.
        batch_rows: Rows that a loader hands over at a time.
        engine_percent: The engine's part of the goal's memory; the rest is for loaders and dbt.
    """

    name: StrategyName
    title: str
    meaning: str
    batch_rows: int
    engine_percent: int


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """A source with its estimated records per day (None: unknown), and how it is loaded."""

    name: str
    kind: str
    records: int | None
    basis: str
    strategy: Strategy


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the warehouse engine gets; None where the goal sets no limit.

    Attributes:
        strategy: For all sources together.
        memory_limit_bytes: For the engine alone.
        threads: For the engine alone.
    """

    strategy: Strategy
    memory_limit_bytes: int | None
    threads: int | None

    def duckdb(self) -> dict[str, str | bool | int | float | list[str]]:
        """Return the settings under DuckDB's own names, as `duckdb.connect(config=...)` wants."""
        settings: dict[str, str | bool | int | float | list[str]] = {"preserve_insertion_order": False}
        if self.memory_limit_bytes is not None:
            settings["memory_limit"] = f"{self.memory_limit_bytes // 10**6}MB"
        if self.threads is not None:
            settings["threads"] = self.threads
        return settings


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
    """The plan of a day; budgets of the phases add up to `deadline_s` exactly."""

    title: str
    goal_path: str
    deadline_s: int
    schedule: str | None
    memory_bytes: int | None
    cores: int | None
    sources: tuple[SourcePlan, ...]
    engine: EngineSettings
    phases: tuple[Phase, ...]
    criteria: tuple[Criterion, ...]
    drift: tuple[Drift, ...]
    warnings: tuple[str, ...]

    @property
    def records(self) -> int | None:
        """Return the estimated records of all sources, None when one of them is unknown."""
        known = [source.records for source in self.sources if source.records is not None]
        return sum(known) if len(known) == len(self.sources) else None

    def budgets(self) -> PhaseBudgets:
        """Return the phases' budgets, nothing spent yet."""
        return PhaseBudgets(tuple(phase.budget_s for phase in self.phases))

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as JSON values; keys and their order are stable."""
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "goal": self.goal_path,
            "deadline_s": self.deadline_s,
            "schedule": self.schedule,
            "memory_bytes": self.memory_bytes,
            "cores": self.cores,
            "records": self.records,
            "strategy": self.engine.strategy.name,
            "engine": {
                "memory_limit_bytes": self.engine.memory_limit_bytes,
                "threads": self.engine.threads,
                "duckdb": self.engine.duckdb(),
            },
            "sources": [
                {
                    "name": source.name,
                    "kind": source.kind,
                    "records": source.records,
                    "basis": source.basis,
                    "strategy": source.strategy.name,
                    "batch_rows": source.strategy.batch_rows,
                }
                for source in self.sources
            ],
            "phases": [
                {
                    "name": phase.name,
                    "title": phase.title,
                    "depends_on": list(phase.depends_on),
                    "parallel": list(phase.parallel),
                    "steps": list(phase.steps),
                    "budget_s": phase.budget_s,
                    "success": [asdict(indicator) for indicator in phase.success],
                    "risks": [asdict(risk) for risk in phase.risks],
                }
                for phase in self.phases
            ],
            "criteria": [
                {
                    "text": criterion.text,
                    "line": criterion.line,
                    "metric": criterion.metric,
                    "operator": criterion.operator,
                    "threshold": json_number(criterion.threshold, criterion.unit),
                    "unit": criterion.unit,
                    "gate": criterion.gate,
                }
                for criterion in self.criteria
            ],
            "drift": [asdict(item) for item in self.drift],
            "warnings": list(self.warnings),
        }
