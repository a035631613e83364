"""Opening the warehouse only to look, without getting in the way of a run that works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.warehouse.base import Session, Warehouse
from supervisor.warehouse.lock import LockHeldError, lock_holder


def why_unreadable(warehouse: Warehouse, work_dir: Path) -> str:
    """Say why the warehouse can't be read at this moment; "" when it can."""
    holder = None if warehouse.serves_readers else lock_holder(warehouse.lock_path(work_dir))
    return "" if holder is None else f"{holder.describe()} has the warehouse {warehouse.description}"


@contextmanager
def reading(warehouse: Warehouse, work_dir: Path) -> Iterator[Session]:
    """Open the warehouse to look at it.

    Raises:
        UsageError: There is no warehouse yet.
        LockHeldError: A run has it and can't share it.
    """
    if reason := why_unreadable(warehouse, work_dir):
        raise LockHeldError(f"{reason}. Wait for it to end; see: {command_line(None, warehouse.target, 'status')}")
    if not warehouse.exists():
        raise UsageError(
            f"warehouse {warehouse.description} does not exist yet: no day has been loaded from here. "
            "Run: python orchestrate.py --date YYYY-MM-DD"
        )
    with warehouse.session() as session:
        yield session


@contextmanager
def reading_if_possible(warehouse: Warehouse, work_dir: Path) -> Iterator[Session | None]:
    """Open the warehouse to look at it; None when there is none yet or a run has it."""
    if why_unreadable(warehouse, work_dir) or not warehouse.exists():
        yield None
        return
    with warehouse.session() as session:
        yield session
