"""What the warehouse remembers of every run: loads, runs and decisions, and which raw rows are in force."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from supervisor.common.outcome import PUBLISHED_STATUSES
from supervisor.record.migrations import known_versions
from supervisor.record.migrations import migrate as migrate
from supervisor.warehouse.base import Session, Warehouse

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

HAS_PUBLISHED = "status in (" + ", ".join(f"'{status}'" for status in PUBLISHED_STATUSES) + ")"
"""The condition on a row of pipeline_runs that its run has published the day."""

PRUNED = "pruned"
"""Status of a load whose raw records have passed their retention."""
WAS_LOADED = f"status in ('loaded', '{PRUNED}')"
"""The condition on a row of load_outcomes that its records came."""


@dataclass(frozen=True)
class LoadOutcome:
    """What came of loading one source for one day.

    Attributes:
        status: "loaded" or "failed".
        load_id: Mark of the raw rows that this load appended; None when it failed.
        collected: Raw records, those rejected by the loader included.
        rejected: Records that the loader could not read.
        reason: For people, when it failed.
        no_data: The source answered, and had nothing for the day.
        at_warehouse: The records came, and the warehouse did not take them.
        duration_s: Seconds from start to end, waits included.
    """

    source: str
    status: str
    load_id: str | None
    location: str
    collected: int
    rejected: int
    tries: int
    reason: str | None
    duration_s: float
    detail: Mapping[str, Any]
    no_data: bool = False
    at_warehouse: bool = False

    @property
    def loaded(self) -> bool:
        """Whether the raw records of the day are there."""
        return self.status == "loaded"

    @property
    def incomplete(self) -> Sequence[Mapping[str, Any]]:
        """The objects and other parts of the day that could not be read, each with its `object` and `reason`."""
        return self.detail.get("incomplete") or ()

    @property
    def unread(self) -> list[str]:
        """The same for people, as in "orders/b.csv (gzip_broken)"."""
        return [f"{part['object']} ({part['reason']})" for part in self.incomplete]

    @property
    def drift(self) -> Sequence[Mapping[str, Any]]:
        """The columns that came, went or changed their type since the source's last good load, each with its first day."""
        return self.detail.get("drift") or ()

    @property
    def is_whole(self) -> bool:
        """Whether all that the source has of the day is there."""
        return self.loaded and not self.incomplete


@dataclass(frozen=True)
class DayState:
    """What is known of a day before a run.

    Attributes:
        last_run: The newest run that published the day, a row of pipeline_runs; None when none did.
        loads: The load in force of each source, by source name.
        pruned: Sources whose raw records of the day were there and have passed their retention.
    """

    last_run: Mapping[str, Any] | None
    loads: Mapping[str, LoadOutcome]
    pruned: frozenset[str] = frozenset()

    def open(self, configured: Sequence[str]) -> list[str]:
        """Configured sources whose raw records of the day have never been there, or not all of them."""
        return [name for name in configured if name not in self.pruned and not self._is_whole(name)]

    def _is_whole(self, name: str) -> bool:
        return name in self.loads and self.loads[name].is_whole


def has_ledger(session: Session) -> bool:
    """Whether any run has ever been recorded here."""
    return table_exists(session, "metadata", "pipeline_runs")


def table_exists(session: Session, schema: str, table: str) -> bool:
    """Whether a table or view is there."""
    found = session.query(
        "select 1 as found from information_schema.tables where table_schema = ? and table_name = ?",
        (schema, table),
    )
    return bool(found)


def read_day(session: Session, day: date) -> DayState:
    """Read what earlier runs left for a day; an empty state when there is no ledger yet."""
    if not has_ledger(session):
        return DayState(last_run=None, loads={})
    runs = session.query(
        f"select * from metadata.pipeline_runs where load_date = ? and {HAS_PUBLISHED} "
        "order by finished_at desc limit 1",
        (day,),
    )
    outcomes = session.query(
        f"select * from metadata.load_outcomes where load_date = ? and {WAS_LOADED} order by finished_at", (day,)
    )
    newest = {row["source"]: row for row in outcomes}
    return DayState(
        last_run=runs[0] if runs else None,
        loads={name: _outcome(row) for name, row in newest.items() if row["status"] != PRUNED},
        pruned=frozenset(name for name, row in newest.items() if row["status"] == PRUNED),
    )


def _outcome(row: Mapping[str, Any]) -> LoadOutcome:
    return LoadOutcome(
        source=row["source"],
        status=row["status"],
        load_id=row["load_id"],
        location=row["location"] or "",
        collected=row["count_collected"],
        rejected=row["count_rejected"],
        tries=row["tries"],
        reason=row["reason"],
        duration_s=row["duration_s"],
        detail=json.loads(row["detail"]),
    )


def commit_loads(session: Session, run_id: str, day: date, outcomes: Sequence[LoadOutcome]) -> None:
    """Make the run's loads the ones in force: record them and remove the raw rows that they replace.

    Call it within a transaction. A source that failed keeps the raw rows that it had. Rows of loads that no run ever
    committed (it was killed between loading and here) are removed as well.
    """
    now = datetime.now(UTC)
    session.execute_many(
        "insert into metadata.load_outcomes (run_id, load_date, source, status, load_id, location, count_collected, "
        "count_rejected, tries, reason, detail, duration_s, finished_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                run_id,
                day,
                outcome.source,
                outcome.status,
                outcome.load_id,
                outcome.location,
                outcome.collected,
                outcome.rejected,
                outcome.tries,
                outcome.reason,
                json.dumps(dict(outcome.detail), default=str),
                outcome.duration_s,
                now,
            )
            for outcome in outcomes
        ],
    )
    sweep_raw(session, day)


def adopt_references(session: Session, run_id: str, day: date, tables: Mapping[str, Sequence[str]]) -> None:
    """Put reference tables that a run read anew in the place of those of the loads in force.

    Call it within a transaction. The rows take over the mark of the load in force, so that they stay with its records.

    Args:
        session: The warehouse.
        run_id: The run that read them: the mark that their rows have so far.
        day: The day that they were read for.
        tables: Names of the reference tables, by source; each source has a load in force.
    """
    in_force = {name: load.load_id for name, load in read_day(session, day).loads.items()}
    for source, names in tables.items():
        for table in names:
            name = f'"raw_{source}"."{table}"'
            if not session.query(
                f"select 1 as found from {name} where load_date = ? and load_id = ? limit 1", (day, run_id)
            ):
                # done already: a commit whose answer was lost is tried again
                continue
            session.execute(f"delete from {name} where load_date = ? and load_id <> ?", (day, run_id))
            session.execute(
                f"update {name} set load_id = ? where load_date = ? and load_id = ?", (in_force[source], day, run_id)
            )


def sweep_raw(session: Session, day: date) -> int:
    """Remove the day's raw rows that do not belong to the load in force of their source.

    Returns:
        How many tables had such rows.
    """
    in_force = {name: load.load_id for name, load in read_day(session, day).loads.items()}
    swept = 0
    for table in raw_tables(session):
        source = table["table_schema"].removeprefix("raw_")
        name = f'"{table["table_schema"]}"."{table["table_name"]}"'
        load_id = in_force.get(source, "")
        # counted, because a planner that may stop at the first row believes that reading the whole history is cheap
        stale = session.query(
            f"select count(*) as found from {name} where load_date = ? and load_id <> ?", (day, load_id)
        )
        if stale[0]["found"]:
            session.execute(f"delete from {name} where load_date = ? and load_id <> ?", (day, load_id))
            swept += 1
    return swept


def prune_raw(session: Session, day: date, tables: Collection[str]) -> None:
    """Remove a day's raw records for good, and note it: the day is complete as it is published, and can't be built again.

    Call it within a transaction.

    Args:
        session: The warehouse.
        day: Which day.
        tables: Quoted names of the raw tables.
    """
    for name in tables:
        session.execute(f"delete from {name} where load_date = ?", (day,))
    session.execute(
        "update metadata.load_outcomes set status = ? where load_date = ? and status = 'loaded'", (PRUNED, day)
    )


def raw_tables(session: Session) -> list[dict[str, Any]]:
    """The tables that loaders filled: those of schemas raw_* that carry a load_date (dlt's own tables do not)."""
    return session.query(
        "select table_schema, table_name from information_schema.columns "
        "where table_schema like 'raw\\_%' escape '\\' and column_name = 'load_date' order by 1, 2"
    )


def record_run(session: Session, summary: Mapping[str, Any], decisions: Sequence[Mapping[str, Any]]) -> None:
    """Record a run and its decisions; within the publish transaction when it published."""
    run_id, day = summary["run_id"], date.fromisoformat(summary["date"])
    session.execute(
        "insert into metadata.pipeline_runs (run_id, load_date, target, status, exit_code, started_at, finished_at, "
        "count_published, summary) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            run_id,
            day,
            summary["target"],
            summary["status"],
            summary["exit_code"],
            datetime.fromisoformat(summary["started_at"]),
            datetime.fromisoformat(summary["finished_at"]),
            summary["published"],
            json.dumps(summary, default=str),
        ),
    )
    _record_decisions(session, run_id, day, decisions)


def _record_decisions(session: Session, run_id: str, day: date, decisions: Sequence[Mapping[str, Any]]) -> None:
    session.execute_many(
        "insert into metadata.decisions (run_id, load_date, decision_number, phase, observed, decision, outcome, "
        "decided_at) values (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                run_id,
                day,
                number,
                decision["phase"],
                decision["observed"],
                decision["decision"],
                decision["outcome"],
                datetime.fromisoformat(decision["at"]),
            )
            for number, decision in enumerate(decisions, start=1)
        ],
    )


def correct_run(session: Session, summary: Mapping[str, Any], decisions: Sequence[Mapping[str, Any]]) -> None:
    """Bring the record of a run that has published up to how it ended: what came after the publish is in it then."""
    run_id, day = summary["run_id"], date.fromisoformat(summary["date"])
    session.execute(
        "update metadata.pipeline_runs set status = ?, exit_code = ?, finished_at = ?, summary = ? where run_id = ?",
        (
            summary["status"],
            summary["exit_code"],
            datetime.fromisoformat(summary["finished_at"]),
            json.dumps(summary, default=str),
            run_id,
        ),
    )
    session.execute("delete from metadata.decisions where run_id = ?", (run_id,))
    _record_decisions(session, run_id, day, decisions)


def record_scores(session: Session, run_id: str) -> None:
    """Keep the measurements of a run that publishes nothing; those of published days are in quality.quality_scores."""
    session.execute(
        "insert into metadata.unpublished_scores (run_id, load_date, entity, source, dimension, attempted, failed, score, "
        "threshold, passed, iteration) select cast(? as varchar(64)), load_date, entity, source, dimension, attempted, failed, "
        "score, threshold, passed, iteration from intermediate.int_quality_scores",
        (run_id,),
    )


def is_recorded(session: Session, run_id: str) -> bool:
    """Whether a run is in the ledger: it has published, or has said why not."""
    return bool(session.query("select 1 as found from metadata.pipeline_runs where run_id = ?", (run_id,)))


def has_loads(session: Session, run_id: str) -> bool:
    """Whether the loads of a run are in the ledger."""
    return bool(session.query("select 1 as found from metadata.load_outcomes where run_id = ? limit 1", (run_id,)))


def read_state(warehouse: Warehouse, day: date) -> DayState:
    """What earlier runs left for a day; nothing when there is no warehouse yet.

    Raises:
        WarehouseError: It can't be read, or a newer release has been here before.
    """
    if not warehouse.exists():
        return DayState(last_run=None, loads={})
    with warehouse.session() as session:
        known_versions(session)
        return read_day(session, day)


def published_summary(state: DayState) -> Summary:
    """The summary of the run that published the day."""
    from supervisor.record.summary import Summary

    assert state.last_run is not None
    return Summary.model_validate_json(state.last_run["summary"])
