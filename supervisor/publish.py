"""The publish: every table of the day replaced in one transaction, together with the run that did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from supervisor.ledger import record_run
from supervisor.warehouse import Session, Warehouse


def publish_day(
    warehouse: Warehouse,
    day: date,
    run_id: str,
    tables: Sequence[str],
    conclude: Callable[[Mapping[str, int]], tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
) -> None:
    """Replace the day's partition of every published table and record the run, all or nothing.

    Args:
        tables: As `schema.table`; each has a view `intermediate.<table>__day` with the day's rows, made by dbt.
        conclude: Gets what was measured within the transaction (`rerun_leftovers`, `lineage_gaps`) and returns the run's
            summary and decisions, which are recorded in the same transaction.
    """
    with warehouse.transaction() as session:
        for table in tables:
            _replace_day(session, table, day)
        summary, decisions = conclude(_measure(session, day, run_id))
        record_run(session, summary, decisions)


def _replace_day(session: Session, table: str, day: date) -> None:
    schema, name = table.split(".")
    view = f"{name}__day"
    rows = session.query(
        "select column_name from information_schema.columns where table_schema = 'intermediate' and table_name = ? "
        "order by ordinal_position",
        (view,),
    )
    columns = ", ".join(f'"{row["column_name"]}"' for row in rows)
    # a literal date, so that an engine with partitions or zone maps touches this day only
    session.execute(f"delete from {schema}.{name} where load_date = date '{day.isoformat()}'")
    session.execute(f"insert into {schema}.{name} ({columns}) select {columns} from intermediate.{view}")


def _measure(session: Session, day: date, run_id: str) -> dict[str, int]:
    leftovers = session.query(
        "select count(*) as found from analytics.events where load_date = ? and run_id <> ?", (day, run_id)
    )
    gaps = session.query(
        "select count(distinct source) as found from analytics.events as events where load_date = ? and not exists ("
        "select 1 from metadata.lineage as lineage where lineage.load_date = ? and lineage.run_id = ? "
        "and lineage.source = events.source)",
        (day, day, run_id),
    )
    return {"rerun_leftovers": leftovers[0]["found"], "lineage_gaps": gaps[0]["found"]}
