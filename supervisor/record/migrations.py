"""The supervisor's own tables, metadata.*, and how those of an older release are brought up to date.

Each migration has a number, is never edited once released, and keeps what is there. Which ones a warehouse has is written in
`metadata.schema_migrations`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from supervisor.warehouse.base import Session, WarehouseError


@dataclass(frozen=True)
class Migration:
    """One step from an older schema to a newer one.

    Attributes:
        version: Its number, from 1 without gaps.
        statements: For every target; such that a warehouse that was made before migrations were counted can run them too.
        for_tables: Further ones, by the table that must be there for them, and not have the column `entity` yet.
        renamed_to: What such a table is called afterwards, where it has another name.
    """

    version: int
    name: str
    statements: tuple[str, ...]
    for_tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    renamed_to: Mapping[str, str] = field(default_factory=dict)


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "runs, loads and decisions",
        (
            """
            create table if not exists metadata.pipeline_runs (
                run_id varchar(64) not null,
                load_date date not null,
                target varchar(32) not null,
                status varchar(32) not null,
                exit_code integer not null,
                started_at timestamptz not null,
                finished_at timestamptz not null,
                count_published bigint,
                summary text not null
            )
            """,
            """
            create table if not exists metadata.load_outcomes (
                run_id varchar(64) not null,
                load_date date not null,
                source varchar(64) not null,
                status varchar(32) not null,
                load_id varchar(64),
                location text,
                count_collected bigint not null,
                count_rejected bigint not null,
                tries integer not null,
                reason text,
                detail text not null,
                duration_s double precision not null,
                finished_at timestamptz not null
            )
            """,
            """
            create table if not exists metadata.decisions (
                run_id varchar(64) not null,
                load_date date not null,
                decision_number integer not null,
                phase varchar(32) not null,
                observed text not null,
                decision text not null,
                outcome text not null,
                decided_at timestamptz not null
            )
            """,
        ),
    ),
    Migration(
        2,
        "scores of runs that publish nothing",
        (
            """
            create table if not exists metadata.unpublished_scores (
                run_id varchar(64) not null,
                load_date date not null,
                source varchar(64) not null,
                dimension varchar(64) not null,
                check_name varchar(64) not null,
                attempted bigint not null,
                failed bigint not null,
                score numeric(9, 8) not null,
                threshold numeric(9, 8) not null,
                passed boolean not null,
                iteration integer not null
            )
            """,
        ),
    ),
    Migration(
        3,
        "who has held the lock last",
        (
            """
            create table if not exists metadata.run_lock (
                run_id varchar(64) not null,
                pid integer not null,
                host varchar(255) not null,
                started_at timestamptz not null
            )
            """,
        ),
    ),
    Migration(
        4,
        "any number of entities",
        (
            "alter table metadata.unpublished_scores add column if not exists entity varchar(64) default 'events'",
            "alter table metadata.unpublished_scores drop column if exists check_name",
        ),
        # tables that dbt makes; of one that an older release has made, the rows are those of its one entity
        {
            "quarantine.quarantined_events": (
                "alter table quarantine.quarantined_events rename to quarantined_records",
                "alter table quarantine.quarantined_records rename column event_id to record_key",
                "alter table quarantine.quarantined_records add column entity varchar default 'events'",
            ),
            "quality.corrections": (
                "alter table quality.corrections rename column event_id to record_key",
                "alter table quality.corrections add column entity varchar default 'events'",
            ),
            "quality.quality_scores": (
                "alter table quality.quality_scores add column entity varchar default 'events'",
            ),
            "metadata.lineage": ("alter table metadata.lineage add column entity varchar default 'events'",),
        },
        {"quarantine.quarantined_events": "quarantine.quarantined_records"},
    ),
)


def migrate(session: Session, migrations: Sequence[Migration] = MIGRATIONS) -> list[int]:
    """Create the supervisor's tables or bring them up to date; what they hold is kept.

    Args:
        session: The warehouse; call it within a transaction, or while holding the warehouse's lock.
        migrations: In the order of their versions.

    Returns:
        The versions that were applied now.

    Raises:
        WarehouseError: A newer release has been here before.
    """
    applied = known_versions(session, migrations)
    pending = [migration for migration in migrations if migration.version not in applied]
    # where no release has kept books, what is there was made by plain dbt of this one; the first release did not count its steps
    kept_books = bool(applied) or _exists(session, "metadata.pipeline_runs")
    if pending and not applied:
        _create_ledger_of_migrations(session)
    for migration in pending:
        for statement in migration.statements:
            session.execute(statement)
        for table, statements in migration.for_tables.items():
            # plain dbt of this release may have been here first: then the columns are there, and the old rows stay as they are
            if (
                kept_books
                and _exists(session, table)
                and not _exists(session, migration.renamed_to.get(table, table), "entity")
            ):
                for statement in statements:
                    session.execute(statement)
        session.execute(
            "insert into metadata.schema_migrations (version, name, applied_at) values (?, ?, ?)",
            (migration.version, migration.name, datetime.now(UTC)),
        )
    return [migration.version for migration in pending]


def known_versions(session: Session, migrations: Sequence[Migration] = MIGRATIONS) -> set[int]:
    """Return the migrations that a warehouse has had; raises `WarehouseError` when a newer release has been here before."""
    known = {migration.version for migration in migrations}
    applied = applied_versions(session)
    newer = sorted(applied - known)
    if newer:
        raise WarehouseError(
            f"the warehouse's metadata is at version {newer[-1]}, this release knows {max(known, default=0)}: "
            "a newer release has been used here. Update this one, or use the newer"
        )
    return applied


def applied_versions(session: Session) -> set[int]:
    """Return the migrations that a warehouse has had; none before the first."""
    found = session.query(
        "select 1 as found from information_schema.tables where table_schema = 'metadata' and table_name = 'schema_migrations'"
    )
    if not found:
        return set()
    return {row["version"] for row in session.query("select version from metadata.schema_migrations")}


def _exists(session: Session, table: str, column: str = "%") -> bool:
    query = "select 1 as found from information_schema.columns where table_schema = ? and table_name = ? and column_name like ? limit 1"
    return bool(session.query(query, (*table.split("."), column)))


def _create_ledger_of_migrations(session: Session) -> None:
    # asking for a schema that is there needs the right to create it, even if it says "if not exists"
    if not session.query("select 1 as found from information_schema.schemata where schema_name = 'metadata'"):
        session.execute("create schema metadata")
    session.execute(
        "create table if not exists metadata.schema_migrations "
        "(version integer not null, name varchar(200) not null, applied_at timestamptz not null)"
    )
