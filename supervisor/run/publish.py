"""The publish: every table of the day replaced in one transaction, together with the run that did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from supervisor.record.ledger import record_run
from supervisor.warehouse.base import Session, Warehouse, WarehouseError

if TYPE_CHECKING:
    from supervisor.record.summary import Summary


class PublishError(WarehouseError):
    """Raised when the day as it lies in the warehouse is not the day that was measured; nothing is published."""


def publish_day(
    warehouse: Warehouse,
    day: date,
    run_id: str,
    tables: Sequence[str],
    conclude: Callable[[Mapping[str, int]], tuple[Summary, Sequence[Mapping[str, str]]]],
    *,
    marts: Sequence[str],
    expected: Mapping[str, int] | None = None,
    timeout_s: float | None = None,
) -> None:
    """Replace the day's partition of every published table and record the run, all or nothing.

    Rows are deleted and inserted, and no partition is exchanged or emptied as a whole: that would lock readers out, and a reader
    in the middle of a transaction would find the day empty.

    Args:
        warehouse: Where the day was built.
        tables: As `schema.table`; each has a view `intermediate.<table>__day` with the day's rows, made by dbt.
        conclude: Gets what was measured within the transaction (`rerun_leftovers`, `lineage_gaps`) and returns the run's
            summary and decisions, which are recorded in the same transaction.
        marts: Those of the tables that hold an entity.
        expected: Rows that a table must get, by table, as they were measured before.
        timeout_s: Seconds that a single statement may take, where the engine can stop one.

    Raises:
        PublishError: A table would get other rows than expected.
        WarehouseError: The connection was lost, maybe during the commit: then the ledger tells whether it was done.
    """
    with warehouse.transaction(timeout_s) as session:
        for table in tables:
            count = _replace_day(session, table, day)
            measured = (expected or {}).get(table, count)
            if count != measured:
                raise PublishError(
                    f"{table} would get {count:,} rows for {day}, and {measured:,} were measured: what was built has changed "
                    "since, as when the server crashed, which empties unlogged tables. Run the same command again"
                )
        summary, decisions = conclude(_measure(session, day, run_id, marts))
        record_run(session, summary.as_dict(), decisions)


def _replace_day(session: Session, table: str, day: date) -> int:
    """Replace the day's rows of a table; returns how many there are now."""
    schema, name = table.split(".")
    view = f"{name}__day"
    rows = session.query(
        "select column_name from information_schema.columns where table_schema = 'intermediate' and table_name = ? "
        "order by ordinal_position",
        (view,),
    )
    if not rows:
        raise PublishError(
            f"the view intermediate.{view} is not there: the day has not been built. Run the same command again"
        )
    columns = ", ".join(f'"{row["column_name"]}"' for row in rows)
    # a literal date, so that an engine with partitions or zone maps touches this day only
    session.execute(f"delete from {schema}.{name} where load_date = date '{day.isoformat()}'")
    return session.change(f"insert into {schema}.{name} ({columns}) select {columns} from intermediate.{view}")


def _measure(session: Session, day: date, run_id: str, marts: Sequence[str]) -> dict[str, int]:
    def total(query: str, *parameters: object) -> int:
        return sum(session.query(query.format(mart=mart), (*parameters, day))[0]["found"] for mart in marts)

    return {
        "rerun_leftovers": total("select count(*) as found from {mart} where run_id <> ? and load_date = ?", run_id),
        "lineage_gaps": total(
            "select count(distinct source) as found from {mart} as records where not exists ("
            "select 1 from metadata.lineage as lineage where lineage.load_date = ? and lineage.run_id = ? "
            "and lineage.target_table = '{mart}' and lineage.source = records.source) and load_date = ?",
            day,
            run_id,
        ),
    }
