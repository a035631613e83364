"""The plan as plain text for a terminal, in the shape of the origin's "Execution Plan"."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from supervisor.common.text import count, duration, plain_text
from supervisor.plan.model import Phase, Plan, SourcePlan

WIDTH = 80


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(plain_text(text), WIDTH, initial_indent=first, subsequent_indent=rest or " " * len(first))


def _bullets(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in _wrapped(text, "- ")]


def _time(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    if rest or not minutes:
        return duration(seconds)
    return f"{count(minutes)} minute{'' if minutes == 1 else 's'}"


def _size(number: int) -> str:
    unit, factor = ("GB", 10**9) if number >= 10**9 else ("MB", 10**6)
    return f"{count(round(number / factor, 1))} {unit}"


def _source(source: SourcePlan) -> str:
    known = "unknown" if source.records is None else count(source.records)
    kind = "" if source.kind == source.name else f" ({source.kind})"
    return f"{source.name}{kind}: {known} records ({source.basis}), {source.strategy.title}: {source.strategy.meaning}"


def _resources(plan: Plan) -> list[str]:
    engine = plan.engine
    memory, threads = "its own default", "its own default"
    if engine.memory_limit_bytes is not None and plan.memory_bytes is not None:
        memory = f"{_size(engine.memory_limit_bytes)} of {_size(plan.memory_bytes)}"
    if engine.threads is not None:
        threads = count(engine.threads)
    total = "unknown" if plan.records is None else count(plan.records)
    return [
        "Volume and strategy",
        *_bullets(_source(source) for source in plan.sources),
        *_bullets([f"All sources: {total} records, {engine.strategy.title}"]),
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
            *_wrapped(f"Execution Plan: {plan.title or plan.goal_path}", rest="  "),
            *_wrapped(f"Goal file: {plan.goal_path}", rest="  "),
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
