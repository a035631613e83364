"""Which rights a run needs on a PostgreSQL warehouse, and which of them are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from supervisor.warehouse.base import Session, Warehouse
from supervisor.warehouse.postgres import PostgresWarehouse

LEAST_VERSION = 16
# what dbt and the supervisor fill; what lies there must be their own, since only an owner may replace it
BUILT = ("seeds", "staging", "intermediate", "day_partitions", "quarantine", "quality", "analytics", "metadata")


@dataclass(frozen=True)
class MissingRight:
    """A right that is not there.

    Attributes:
        role: Who lacks it.
        right: What is missing, as SQL names it: "CREATE on schema analytics".
        purpose: What it is needed for.
        remedy: What to do about it: a statement, or words where there is none.
    """

    role: str
    right: str
    purpose: str
    remedy: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.role} lacks {self.right} ({self.purpose}): {self.remedy}"


def check_rights(warehouse: Warehouse, sources: Sequence[str] = ()) -> list[MissingRight]:
    """Find out which rights a run would miss, without changing anything.

    Args:
        warehouse: On DuckDB there are none to miss.
        sources: Names of the configured sources; their raw schemas are looked at.

    Raises:
        WarehouseError: The server can't be reached, or lets one of the logins not in.
    """
    if not isinstance(warehouse, PostgresWarehouse):
        return []
    loader = os.environ.get("POSTGRES_LOADER_USER")
    with warehouse.session() as session:
        missing = [*_of_server(session), *_of_transformer(session, sources)]
        if not loader:
            missing += _of_loader(session, sources)
    if loader:
        password = os.environ.get("POSTGRES_LOADER_PASSWORD") or warehouse.settings.password
        with PostgresWarehouse(replace(warehouse.settings, user=loader, password=password)).session() as session:
            missing += _of_loader(session, sources)
    return list(dict.fromkeys(missing))


def _of_server(session: Session) -> Iterator[MissingRight]:
    (row,) = session.query(
        "select current_setting('server_version_num')::int / 10000 as version, current_setting('server_encoding') as encoding, "
        "current_database() as name"
    )
    if row["version"] < LEAST_VERSION:
        found = f"PostgreSQL {row['version']}"
        yield MissingRight(
            "the server",
            f"PostgreSQL {LEAST_VERSION}",
            f"it is {found}; values are cast safely from 16 on",
            "upgrade it",
        )
    if row["encoding"] != "UTF8":
        remedy = f"create database {row['name']}_utf8 encoding 'UTF8' template template0"
        yield MissingRight(
            "the database", "encoding UTF8", f"it is {row['encoding']}; feeds send any character", remedy
        )


def _of_transformer(session: Session, sources: Sequence[str]) -> Iterator[MissingRight]:
    role, database, schemas = _facts(session)
    yield from _creating(session, role, database, schemas, BUILT, "to build and publish")
    if not session.query("select 1 as found where has_database_privilege(current_database(), 'TEMPORARY')"):
        yield MissingRight(
            role,
            f"TEMPORARY on database {database}",
            "dbt compares there",
            f"grant temporary on database {database} to {role}",
        )
    for row in _relations(session, BUILT):
        if not row["is_owned"]:
            yield MissingRight(
                role,
                f"ownership of {row['name']}",
                "only its owner may replace or extend it",
                f"alter table {row['name']} owner to {role}",
            )
    raw = [f"raw_{source}" for source in sources if f"raw_{source}" in schemas]
    for schema in raw:
        if not _may(session, schema, "USAGE"):
            yield MissingRight(
                role, f"USAGE on schema {schema}", "to read raw records", f"grant usage on schema {schema} to {role}"
            )
    for row in _relations(session, raw):
        for right, purpose in (
            ("SELECT", "to read raw records"),
            ("DELETE", "to remove replaced ones"),
            ("UPDATE", "to keep references"),
        ):
            if not row[f"may_{right.lower()}"] and not row["table_name"].startswith("_dlt"):
                yield MissingRight(
                    role, f"{right} on {row['name']}", purpose, f"grant {right.lower()} on {row['name']} to {role}"
                )


def _of_loader(session: Session, sources: Sequence[str]) -> Iterator[MissingRight]:
    role, database, schemas = _facts(session)
    names = [f"raw_{source}" for source in sources]
    yield from _creating(session, role, database, schemas, names, "to load raw records")
    for row in _relations(session, [name for name in names if name in schemas]):
        if not row["is_owned"]:
            yield MissingRight(
                role, f"ownership of {row['name']}", "to add a new column", f"alter table {row['name']} owner to {role}"
            )


def _facts(session: Session) -> tuple[str, str, set[str]]:
    (row,) = session.query("select current_user as role, current_database() as name")
    schemas = {found["name"] for found in session.query("select nspname as name from pg_namespace")}
    return row["role"], row["name"], schemas


def _creating(
    session: Session, role: str, database: str, schemas: set[str], needed: Sequence[str], purpose: str
) -> Iterator[MissingRight]:
    for schema in needed:
        if schema in schemas:
            for right in ("USAGE", "CREATE"):
                if not _may(session, schema, right):
                    remedy = f"grant {right.lower()} on schema {schema} to {role}"
                    yield MissingRight(role, f"{right} on schema {schema}", purpose, remedy)
        elif not session.query("select 1 as found where has_database_privilege(current_database(), 'CREATE')"):
            remedy = f"create schema {schema} authorization {role}"
            yield MissingRight(role, f"schema {schema}, or CREATE on database {database}", purpose, remedy)


def _may(session: Session, schema: str, right: str) -> bool:
    return bool(session.query("select 1 as found where has_schema_privilege(?, ?)", (schema, right)))


def _relations(session: Session, schemas: Sequence[str]) -> list[dict[str, Any]]:
    """Tables and views of these schemas, with what this role may do with them."""
    if not schemas:
        return []
    listed = ", ".join("?" for _ in schemas)
    return session.query(
        "select format('%I.%I', nspname, relname) as name, relname as table_name, "
        "pg_has_role(relowner, 'USAGE') as is_owned, has_table_privilege(pg_class.oid, 'SELECT') as may_select, "
        "has_table_privilege(pg_class.oid, 'UPDATE') as may_update, has_table_privilege(pg_class.oid, 'DELETE') as may_delete "
        "from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace "
        f"where relkind in ('r', 'p', 'v') and nspname in ({listed}) order by 1",
        schemas,
    )
