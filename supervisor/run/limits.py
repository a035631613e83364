"""The goal's memory, cores and deadline, as settings that the warehouse's engine reads.

They are GOALKEEPER_MEMORY, GOALKEEPER_THREADS and GOALKEEPER_DEADLINE_S.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from supervisor.goal.criteria import Goal
from supervisor.plan.make import make_plan

MEMORY, THREADS, DEADLINE = "GOALKEEPER_MEMORY", "GOALKEEPER_THREADS", "GOALKEEPER_DEADLINE_S"


def engine_environment(goal: Goal, volumes: Mapping[str, Sequence[int]], sources: Sequence[str]) -> dict[str, str]:
    """Return the engine's settings as environment variables; empty where the goal sets no limit.

    Args:
        goal: Whose limits they are.
        volumes: Records of the last loaded days by source, as far as they are known.
        sources: Names of all configured sources.
    """
    # the plan asks for kinds to say them; the engine's part does not depend on them
    engine = make_plan(goal, dict.fromkeys(sources, "unknown"), volumes).engine
    environment = {}
    if engine.memory_limit_bytes is not None:
        environment[MEMORY] = f"{engine.memory_limit_bytes // 10**6}MB"
    if engine.threads is not None:
        # more threads than there are cores cost memory and gain nothing
        environment[THREADS] = str(min(engine.threads, len(os.sched_getaffinity(0))))
    if goal.limits.deadline_s is not None:
        # a server goes on with a statement when nobody waits for it any more
        environment[DEADLINE] = f"{goal.limits.deadline_s:g}"
    return environment


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
