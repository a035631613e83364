"""The plan's memory, threads and deadline, as settings that every connection to the warehouse's engine reads.

They are GOALKEEPER_MEMORY, GOALKEEPER_THREADS and GOALKEEPER_DEADLINE_S.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from supervisor.plan.plan import Plan
from supervisor.warehouse.base import DEADLINE, MEMORY, THREADS


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def engine_environment(plan: Plan) -> dict[str, str]:
    """Return the engine's settings as environment variables; those that the goal does not limit are absent."""
    environment = {}
    if plan.engine.memory_limit_bytes is not None:
        environment[MEMORY] = f"{plan.engine.memory_limit_bytes // 10**6}MB"
    if plan.engine.threads is not None:
        environment[THREADS] = str(plan.engine.threads)
    if plan.engine.timeout_s is not None:
        # a server goes on with a statement when nobody waits for it any more
        environment[DEADLINE] = str(plan.engine.timeout_s)
    return environment


def overruled(environment: Mapping[str, str]) -> list[str]:
    """Which of these settings the user has set otherwise, one sentence each: the user's stay."""
    return [
        f"{name}={os.environ[name]} is set and goes before the plan's {value}"
        for name, value in environment.items()
        if os.environ.get(name, value) != value
    ]


@contextmanager
def limited_engine(environment: Mapping[str, str]) -> Iterator[None]:
    """Give these variables to this process and its children for the time of the block; what the user set stays."""
    added = {name: value for name, value in environment.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
