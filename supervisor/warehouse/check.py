"""Can the warehouse be reached, and with what rights: tried in a schema of its own that is gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

from loaders.kinds.checks import Check
from supervisor.warehouse.base import Session, Warehouse, WarehouseError


def check_warehouse(warehouse: Warehouse, sources: Sequence[str]) -> list[Check]:
    """Try everything that a run does in the warehouse; later steps are left out when an earlier one fails.

    Args:
        warehouse: Any; a file that is not there yet is made and removed again.
        sources: Names of the sources, whose raw schemas are needed as well.
    """
    try:
        with warehouse.trial() as session:
            version, wanted = warehouse.version(session)
            missing = warehouse.missing_rights(sources)
            return [
                Check("connect", True, f"{warehouse.description} answers"),
                Check("version", not wanted, f"{version}, {wanted}" if wanted else version),
                *(
                    Check(
                        "right",
                        False,
                        f"needed {one.purpose}; mend it with: {one.remedy}",
                        f"{one.right} for {one.role}",
                    )
                    for one in missing or ()
                ),
                # a role may do without when every schema is there and open to it
                *_check_scratch(session, needs_schema=missing is None or bool(missing)),
            ]
    except WarehouseError as error:
        return [Check("connect", False, str(error))]


def _check_scratch(session: Session, *, needs_schema: bool) -> Iterator[Check]:
    schema = f"goalkeeper_check_{secrets.token_hex(4)}"
    try:
        session.execute(f"create schema {schema}")
    except Exception as error:
        detail = _first_line(error) if needs_schema else "not allowed and not needed: every schema is there"
        yield Check("create schema", not needs_schema, detail)
        return
    yield Check("create schema", True, f"{schema} was created")
    try:
        tried = list(_try_steps(session, schema))
    finally:
        # also when it is interrupted: nothing stays behind
        dropped = _drop(session, schema)
    yield from (*tried, dropped)


def _try_steps(session: Session, schema: str) -> Iterator[Check]:
    steps = {
        "create table": f"create table {schema}.scratch as select 1 as id",
        "write": f"insert into {schema}.scratch values (2)",
        "read": f"select count(*) as found from {schema}.scratch",
        "create view": f"create view {schema}.scratch_view as select id from {schema}.scratch",
        "delete": f"delete from {schema}.scratch where id = 1",
    }
    for name, statement in steps.items():
        try:
            session.execute(statement)
        except Exception as error:
            yield Check(name, False, _first_line(error), f"{name} in a schema of its own")
            return
        yield Check(name, True, "worked")


def _drop(session: Session, schema: str) -> Check:
    try:
        session.execute(f"drop schema {schema} cascade")
    except Exception as error:
        return Check("drop", False, f"{_first_line(error)}. Drop schema {schema} by hand")
    return Check("drop", True, f"{schema} was dropped")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
