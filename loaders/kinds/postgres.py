"""Read tables of a PostgreSQL database as Arrow, all in one snapshot.

dlt's `sql_database` source is not used: its fast backend needs connectorx or SQLAlchemy with
pandas, and it has neither one snapshot for several tables nor a statement timeout. ADBC streams
the binary COPY protocol straight into Arrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.errors import ConfigurationError, SourceError, no_data_error
from loaders.failures import classify
from loaders.fields import NAME, Section, secret
from loaders.formats.raw import TEXT, column_names, raw_schema, stamped
from loaders.kinds.checks import Check, failed_check
from loaders.providers import NATIVE
from loaders.templates import fill_template

CONNECT_TIMEOUT_S = 10
_KEPT_TYPES = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "text": TEXT,
    "character varying": TEXT,
    "date": pa.date32(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}
"""PostgreSQL types that a reference table keeps; every other one becomes text or decimal."""
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")

_COLUMNS_SQL = """
select a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_attribute a
where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
_KEY_SQL = """
select a.attname
from pg_catalog.pg_index i
cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = $1::regclass and i.indisprimary
order by k.place
"""


# the driver reads the columns of every table in the database when it connects, a second for some thousands; the types that the
# server brings with it are all that is read or written here (apache/arrow-adbc#1755)
BUILTIN_TYPES = {"adbc.postgresql.type_resolver_mode": "builtin"}


@dataclass(frozen=True)
class Query:
    """One table to read: its statement, and the raw table's columns with their types."""

    table: PostgresTable
    source_object: str
    sql: str
    fields: tuple[pa.Field, ...]


def connection_uri(credentials: PostgresCredentials) -> str:
    """Return a libpq URI; it holds the password, so it must never be shown."""
    user = quote(credentials.username, safe="")
    if credentials.password is not None:
        user += ":" + quote(credentials.password, safe="")
    host = f"[{credentials.host}]" if ":" in credentials.host else quote(credentials.host, safe="")
    query = {
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        "application_name": "goalkeeper",
        **credentials.query,
    }
    database = quote(credentials.database, safe="")
    # libpq takes a plus for a plus, so spaces must be quoted
    options = urlencode(query, quote_via=quote)
    return f"postgresql://{user}@{host}:{credentials.port}/{database}?{options}"


def connect(source: PostgresSource, timeout_s: float) -> Any:
    """Return an ADBC connection in one read-only snapshot, each statement under a timeout."""
    from adbc_driver_postgresql import dbapi

    connection = dbapi.connect(connection_uri(source.credentials), db_kwargs=BUILTIN_TYPES)
    with connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read read only")
        cursor.execute(f"set local statement_timeout = {max(1, int(timeout_s * 1000))}")
        # text forms of dates must not depend on the server's settings
        cursor.execute("set local timezone = 'UTC'")
        cursor.execute("set local datestyle = 'ISO, YMD'")
        cursor.execute("set local intervalstyle = 'iso_8601'")
        cursor.execute("set local bytea_output = 'hex'")
        cursor.execute("set local extra_float_digits = 1")
    return connection


def open_postgres(source: PostgresSource, attempt: Attempt) -> Extraction:
    """Connect, find each table's columns and key, then return how to read them.

    Raises:
        SourceError: When the day's table is missing, or the database can't be read.
    """
    timeout = max(0.1, min(source.timeout_s, attempt.deadline.remaining()))
    connection = connect(source, timeout)
    try:
        queries = [_query_or_empty(connection, source, table, attempt) for table in source.tables]
    except BaseException:
        connection.close()
        raise
    schemas = {query.table.name: raw_schema(query.fields, with_payload=not query.table.reference) for query in queries}

    def tables() -> Iterator[tuple[str, pa.Table]]:
        try:
            for query in queries:
                if query.sql:
                    for part in _read(connection, query, schemas[query.table.name], attempt):
                        yield query.table.name, part
        finally:
            # a connection that is already gone must not undo what was read
            with suppress(Exception):
                connection.close()

    reference = frozenset(table.name for table in source.tables if table.reference)
    detail = {"objects": [query.source_object for query in queries]}
    return Extraction(schemas, tables(), reference, detail)


def _query_or_empty(connection: Any, source: PostgresSource, table: PostgresTable, attempt: Attempt) -> Query:
    day = attempt.stamp.load_date
    query = make_query(connection, table, day)
    if query is not None:
        if not table.reference:
            attempt.progress(f"Query: SELECT * FROM {query.source_object}")
        return query
    name = full_name(table, day)
    if table.reference:
        text = f"no such table, reference table {name}"
        raise SourceError(text, code="no such table", transient=False)
    if not source.allow_empty:
        raise no_data_error(f"no data: table {name} does not exist")
    fields = tuple(pa.field(column, TEXT) for column in column_names(table.columns))
    return Query(table, name, "", fields)


def full_name(table: PostgresTable, day: date) -> str:
    """Return `schema.table` of the day, for people and for `source_object`."""
    return f"{table.schema}.{fill_template(table.table, day)}"


def quoted(name: str) -> str:
    """Return an SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def make_query(connection: Any, table: PostgresTable, day: date) -> Query | None:
    """Return how to read a table, in the order of its primary key; None when it is missing."""
    name = f"{quoted(table.schema)}.{quoted(fill_template(table.table, day))}"
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass($1)::text", (name,))
        row = cursor.fetchone()
        if row is None or row[0] is None:
            return None
        cursor.execute(_COLUMNS_SQL, (name,))
        columns = cursor.fetchall()
        cursor.execute(_KEY_SQL, (name,))
        key = [quoted(row[0]) for row in cursor.fetchall()]
    names = column_names(column for column, _ in columns)
    fields, selected = [], []
    for (column, kind), target in zip(columns, names, strict=True):
        wanted, expression = _column(quoted(column), kind, table.reference)
        fields.append(pa.field(target, wanted))
        selected.append(f"{expression} as {quoted(target)}")
    sql = f"select {', '.join(selected)} from {name}"
    if table.where:
        sql += f" where {fill_template(table.where, day)}"
    if key:
        sql += f" order by {', '.join(f'{name}.{column}' for column in key)}"
    return Query(table, full_name(table, day), sql, tuple(fields))


def _column(column: str, kind: str, keep: bool) -> tuple[pa.DataType, str]:
    if not keep:
        return TEXT, column if kind == "text" else f"{column}::text"
    numeric = _NUMERIC.fullmatch(kind)
    if numeric and int(numeric[1]) <= 38:
        return pa.decimal128(int(numeric[1]), int(numeric[2])), f"{column}::text"
    plain = re.sub(r"\(\d+\)", "", kind)
    return _KEPT_TYPES.get(plain, TEXT), column if plain in _KEPT_TYPES else f"{column}::text"


def _read(connection: Any, query: Query, schema: pa.Schema, attempt: Attempt) -> Iterator[pa.Table]:
    row = 1
    # what was read is kept for the archive, as objects and pages are
    attempt.landing.mkdir(parents=True, exist_ok=True)
    landed = attempt.landing / f"{quote(query.source_object, safe='')}.parquet"
    try:
        with connection.cursor() as cursor, pq.ParquetWriter(landed, pa.schema(query.fields)) as landing:
            cursor.execute(query.sql)
            for batch in cursor.fetch_record_batch():
                attempt.deadline.check(f"table {query.source_object}")
                landing.write_batch(batch.cast(landing.schema))
                columns = {field.name: batch.column(index).cast(field.type) for index, field in enumerate(query.fields)}
                yield stamped(
                    schema,
                    columns,
                    batch.num_rows,
                    stamp=attempt.stamp,
                    source_object=query.source_object,
                    source_rows=row,
                )
                row += batch.num_rows
    except GeneratorExit:
        raise
    except Exception as error:
        raise classify(error, f"table {query.source_object}") from error


@dataclass(frozen=True)
class PostgresCredentials:
    """How to connect to a source database; `query` holds further libpq parameters."""

    host: str
    port: int
    database: str
    username: str
    password: str | None = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class PostgresTable:
    """One table to read; `table` and `where` are templates, `name` is the raw table's name."""

    name: str
    table: str
    schema: str
    where: str | None
    reference: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class PostgresSource:
    """Tables of one database, read in one snapshot."""

    name: str
    tables: tuple[PostgresTable, ...]
    allow_empty: bool
    timeout_s: float
    credentials: PostgresCredentials
    kind: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    place: ClassVar[str] = "Table"
    nothing_came: ClassVar[str] = "no rows"
    retries_steps: ClassVar[bool] = False

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        daily = [table for table in self.tables if not table.reference] or self.tables
        return ", ".join(fill_template(table.table, day) for table in daily)

    def subject(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        server = self.credentials
        return f"{server.host}:{server.port}/{server.database}"

    def fallback(self) -> tuple[str, PostgresSource] | None:
        """See `loaders.sources.Source`."""
        return None

    def references(self) -> PostgresSource | None:
        """See `loaders.sources.Source`."""
        tables = tuple(table for table in self.tables if table.reference)
        return replace(self, tables=tables, allow_empty=True) if tables else None

    def reference_tables(self) -> tuple[str, ...]:
        """See `loaders.sources.Source`."""
        return tuple(table.name for table in self.tables if table.reference)

    def open(self, attempt: Attempt) -> Extraction:
        """See `loaders.sources.Source`."""
        return open_postgres(self, attempt)

    def check(self, day: date, deadline: Deadline) -> list[Check]:
        """See `loaders.sources.Source`."""
        return _check(self, day, deadline)


def read(name: str, section: Section) -> PostgresSource:
    """Return the PostgreSQL source that a configuration section describes."""
    schema = section.text("schema", "public") or "public"
    tables = section.section("tables")
    parsed = tuple(_read_table(tables.section(key), key, schema) for key in sorted(tables.keys()))
    if not parsed:
        raise ConfigurationError(
            f"{section.where}.tables is missing. Add for example "
            f'[{section.where}.tables.transactions] with table = "transactions".'
        )
    return PostgresSource(
        name=name,
        tables=parsed,
        allow_empty=section.flag("allow_empty"),
        timeout_s=section.number("timeout_s", 600, 0.1),
        credentials=_read_postgres_credentials(name, section.raw("credentials"), section.where),
    )


def _read_table(section: Section, key: str, schema: str) -> PostgresTable:
    if not NAME.fullmatch(key):
        raise ConfigurationError(
            f"[{section.where}]: {key!r} is not a table name for the warehouse. Use lower-case "
            "letters, digits and underscores; the source's own name goes into `table`."
        )
    table = PostgresTable(
        name=key,
        table=section.template("table", key) or key,
        schema=section.text("schema", schema) or schema,
        where=section.template("where"),
        reference=section.flag("reference"),
        columns=section.names("columns"),
    )
    section.done()
    return table


def _read_postgres_credentials(name: str, values: Any, where: str) -> PostgresCredentials:
    native = {NATIVE: values} if isinstance(values, str) else values or {}
    section = Section(native, f"{where}.credentials")
    url = urlsplit(section.text(NATIVE) or "")
    driver = section.text("drivername", url.scheme) or "postgresql"
    if driver.partition("+")[0] not in ("postgresql", "postgres"):
        raise ConfigurationError(f"{section.where}.drivername = {driver!r} must be postgresql.")
    query = dict(parse_qsl(url.query))
    query |= {key: str(value) for key, value in section.mapping("query").items()}
    password = section.text("password") or unquote(url.password or "") or None
    if password is None and "passfile" not in query:
        password = secret(name, "password", section)
    credentials = PostgresCredentials(
        host=section.text("host") or url.hostname or section.required("host", "db.example.com"),
        port=int(section.number("port", url.port or 5432, 1)),
        database=section.text("database") or url.path.strip("/") or section.required("database", "shop"),
        username=section.text("username") or unquote(url.username or "") or section.required("username", "loader"),
        password=password,
        query=query,
    )
    section.done()
    return credentials


def _check(source: PostgresSource, day: date, deadline: Deadline) -> list[Check]:
    place = f"{source.credentials.host}:{source.credentials.port}/{source.credentials.database}"
    try:
        connection = connect(source, deadline.remaining())
    except Exception as error:
        return [failed_check("reach", error, place, f"CONNECT on {source.credentials.database}")]
    checks = [Check("reach", True, f"{place} answers")]
    try:
        for table in source.tables:
            name = full_name(table, day)
            try:
                query = make_query(connection, table, day)
                if query is None:
                    ok = source.allow_empty and not table.reference
                    checks.append(Check("day", ok, f"table {name} does not exist"))
                    continue
                checks.append(Check("day", True, f"table {name} exists"))
                with connection.cursor() as cursor:
                    cursor.execute(f"select 1 from ({query.sql}) as checked limit 1")
                    cursor.fetchall()
                checks.append(Check("read", True, f"table {name} can be read"))
            except Exception as error:
                right = f"SELECT on {name} (and USAGE on schema {table.schema})"
                checks.append(failed_check("read", error, name, right))
                # the transaction is void now; the other tables need a new one
                connection.close()
                connection = connect(source, deadline.remaining())
    finally:
        connection.close()
    return checks
