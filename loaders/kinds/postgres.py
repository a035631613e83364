"""Read tables of a PostgreSQL database as Arrow, all in one snapshot.

ADBC streams the binary COPY protocol straight into Arrow, in batches of so many bytes. dlt's `sql_database` could hold this
reader as its table loader, but not replace it: the statement, its caps, value rules and encodings stay ours, one snapshot takes a
second connection, its `incremental` compares rows again that all come as text, and it needs SQLAlchemy and 0.2 s a load.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass as settings_dataclass

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.errors import ConfigurationError, SourceError, no_data_error
from loaders.failures import classify
from loaders.fields import (
    SETTINGS,
    Count,
    Days,
    Seconds,
    Template,
    Texts,
    as_table,
    check_window,
    secret,
    sections,
    settings,
)
from loaders.formats.files import Options
from loaders.formats.raw import PAYLOAD, TEXT, column_names, raw_schema, stamped
from loaders.kinds.checks import Check, failed_check
from loaders.kinds.one_endpoint import OneEndpoint
from loaders.providers import NATIVE
from loaders.templates import fill_template

CONNECT_TIMEOUT_S = 10
_DATE, _TIMESTAMP, _TIMESTAMPTZ = "date", "timestamp without time zone", "timestamp with time zone"
_KEPT_TYPES = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "text": TEXT,
    "character varying": TEXT,
    _DATE: pa.date32(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    _TIMESTAMP: pa.timestamp("us"),
    _TIMESTAMPTZ: pa.timestamp("us", "UTC"),
}
"""PostgreSQL types that a reference table keeps; every other one becomes text or decimal."""
_FITS = {
    _DATE: "{0} between '0001-01-01' and '9999-12-31'",
    _TIMESTAMP: "{0} >= '0001-01-01' and {0} < '10000-01-01'",
    _TIMESTAMPTZ: "{0} >= '0001-01-01 00:00+00' and {0} < '10000-01-01 00:00+00'",
    "numeric": "{0} <> 'NaN'",
}
"""Which values of a kept type every engine and driver can hold: no infinity, no year before 1 or after 9999, no NaN."""
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_WINDOWS = {
    _DATE: "{0} >= date '{1}' and {0} < date '{2}' + 1",
    _TIMESTAMP: "{0} >= timestamp '{1}' and {0} < timestamp '{2}' + interval '1 day'",
    _TIMESTAMPTZ: "{0} >= timestamptz '{1} 00:00+00' and {0} < timestamptz '{2} 00:00+00' + interval '1 day'",
}
"""The window of a cursor column from a day to another, half open; the session's zone is UTC."""
_CODECS = {"SQL_ASCII": "utf-8", "EUC_CN": "gb2312", "KOI8R": "koi8-r", "KOI8U": "koi8-u"}

# a domain is what its base is
_COLUMNS_SQL = """
select
    a.attname,
    pg_catalog.format_type(a.atttypid, a.atttypmod),
    pg_catalog.format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null),
    a.attlen = -1,
    t.typcategory = 'S'
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
_KEY_SQL = """
select a.attname
from (
    select indrelid, indkey, indnkeyatts from pg_catalog.pg_index
    where indrelid = $1::regclass and indisunique and indisvalid and indpred is null and indexprs is null
    order by indisprimary desc, indexrelid limit 1
) i
cross join lateral unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where k.place <= i.indnkeyatts
order by k.place
"""
"""Columns of the primary key, else of a unique index: a materialized view has nothing else."""


# the driver reads the columns of every table in the database when it connects, a second for some thousands; the types that the
# server brings with it are all that is read or written here (apache/arrow-adbc#1755)
BUILTIN_TYPES = {"adbc.postgresql.type_resolver_mode": "builtin"}


@dataclass(frozen=True)
class Query:
    """One table to read: its statement, and the raw table's columns with their types.

    `window` is the condition of its cursor column, empty without one. With a `codec` text comes as bytes in the database's
    own encoding.
    """

    table: PostgresTable
    source_object: str
    sql: str
    fields: tuple[pa.Field, ...]
    window: str = ""
    codec: str | None = None


@dataclass(frozen=True)
class _Column:
    name: str
    """Qualified and quoted."""
    label: str
    kind: str
    base: str
    varying: bool
    textual: bool

    @property
    def text(self) -> str:
        return self.name if self.kind == "text" else f"{self.name}::text"

    @property
    def size(self) -> str:
        """Bytes of the value's text; of other types than text and bytea only large ones are measured exactly."""
        if self.textual or self.base == "bytea":
            return f"{2 if self.base == 'bytea' else 1} * octet_length({self.name})::bigint"
        stored = f"pg_column_size({self.name})"
        # what is stored compressed has to be written out to be known
        return f"case when {stored} > 65536 then octet_length({self.name}::text) else {stored} end::bigint"

    def kept(self) -> tuple[pa.DataType, str | None]:
        """Return the type in a reference table and the condition under which a value fits into it, None for any."""
        numeric = _NUMERIC.fullmatch(self.kind)
        if numeric and int(numeric[1]) <= 38 and int(numeric[2]) <= 38:
            # all digits may be behind the point, and more than there are
            precision = max(int(numeric[1]), int(numeric[2]))
            return pa.decimal128(precision, int(numeric[2])), _FITS["numeric"].format(self.name)
        plain = re.sub(r"\(\d+\)", "", self.kind)
        fits = _FITS.get(plain)
        return _KEPT_TYPES.get(plain, TEXT), fits and fits.format(self.name)


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
        # otherwise text comes in the database's encoding
        "client_encoding": "UTF8",
    }
    database = quote(credentials.database, safe="")
    # libpq takes a plus for a plus, so spaces must be quoted
    options = urlencode(query, quote_via=quote)
    return f"postgresql://{user}@{host}:{credentials.port}/{database}?{options}"


def connect(source: PostgresSource, timeout_s: float) -> Any:
    """Return an ADBC connection in one read-only snapshot, each statement under a timeout."""
    from adbc_driver_postgresql import dbapi

    connection = dbapi.connect(connection_uri(source.credentials), db_kwargs=BUILTIN_TYPES)
    # text forms must not depend on the server's settings
    session = {
        "statement_timeout": max(1, int(timeout_s * 1000)),
        "timezone": "UTC",
        "datestyle": "ISO, YMD",
        "intervalstyle": "iso_8601",
        "bytea_output": "hex",
        "extra_float_digits": 1,
        "standard_conforming_strings": "on",
    }
    with connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read read only")
        cursor.execute("select " + ", ".join(f"set_config('{key}', '{value}', true)" for key, value in session.items()))
        cursor.fetchall()
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
        readers = Counter(query.source_object for query in queries)
    except BaseException:
        connection.close()
        raise
    # two tables may be parts of one: where a record came from names it once
    queries = [
        replace(query, source_object=f"{query.source_object}/{query.table.name}")
        if readers[query.source_object] > 1
        else query
        for query in queries
    ]
    schemas = {query.table.name: raw_schema(query.fields, with_payload=not query.table.reference) for query in queries}

    detail: dict[str, Any] = {"objects": [query.source_object for query in queries]}

    def tables() -> Iterator[tuple[str, pa.Table]]:
        try:
            for query in queries:
                table, schema = query.table, schemas[query.table.name]
                count = odd = 0
                for part in _read(connection, query, schema, attempt) if query.sql else ():
                    count += part.num_rows
                    odd += part.num_rows - part.column("reject_reason").null_count
                    yield table.name, part
                if not count and not table.reference and not table.allow_empty:
                    raise no_data_error(f"no data: {source.location_of(table, attempt.stamp.load_date)} is empty")
                if odd and table.reference:
                    detail.setdefault("incomplete_rows", {})[table.name] = odd
                    attempt.progress(
                        f"{table.name}: {odd:,} rows without a value that its type can't hold, see reject_detail"
                    )
        finally:
            # a connection that is already gone must not undo what was read
            with suppress(Exception):
                connection.close()

    reference = frozenset(source.reference_tables())
    return Extraction(schemas, tables(), reference, detail)


def _query_or_empty(connection: Any, source: PostgresSource, table: PostgresTable, attempt: Attempt) -> Query:
    day = attempt.stamp.load_date
    query = make_query(connection, table, day, source.max_record_bytes)
    if query is not None:
        if not table.reference:
            window = f" WHERE {query.window}" if query.window else ""
            attempt.progress(f"Query: SELECT * FROM {query.source_object}{window}")
        return query
    name = full_name(table, day)
    if table.reference:
        raise SourceError(f"no such table, reference table {name}", code="no such table", transient=False)
    if not table.allow_empty:
        hint = f". Is {table.table.partition('.')[0]!r} a schema? It goes into `schema`" if "." in table.table else ""
        raise no_data_error(f"no data: table {name} does not exist{hint}")
    fields = tuple(pa.field(column, TEXT) for column in column_names(table.columns))
    return Query(table, name, "", fields)


def full_name(table: PostgresTable, day: date) -> str:
    """Return `schema.table` of the day, for people and for `source_object`."""
    return f"{table.schema}.{fill_template(table.table, day, table.late_days)}"


def quoted(name: str) -> str:
    """Return an SQL identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def make_query(connection: Any, table: PostgresTable, day: date, max_record_bytes: int) -> Query | None:
    """Return how to read a table or view, in the order of `order_by`, else of its key; None when it is missing.

    Beside the raw table's columns the statement gives `reject_reason` and `reject_detail`: of a record that is too large
    nothing comes but its size, and in a reference table a value that its type can't hold is null and named.

    Raises:
        SourceError: When the table can't be read by its cursor.
    """
    name = f"{quoted(table.schema)}.{quoted(fill_template(table.table, day, table.late_days))}"
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass($1)::text, current_setting('server_encoding')", (name,))
        found, encoding = cursor.fetchone()
        if found is None:
            return None
        cursor.execute(_COLUMNS_SQL, (name,))
        columns = [_Column(f"{name}.{quoted(label)}", label, *traits) for label, *traits in cursor.fetchall()]
        cursor.execute(_KEY_SQL, (name,))
        key = table.order_by or [row[0] for row in cursor.fetchall()]
    codec = _codec(encoding)
    sizes = [f"coalesce({column.size}, 0)" for column in columns if column.varying and column.base != "numeric"]
    fields, selected, unfit = [], [], []
    for column, target in zip(columns, column_names(column.label for column in columns), strict=True):
        kind, fits = column.kept() if table.reference else (TEXT, None)
        expression = column.text if kind == TEXT or pa.types.is_decimal(kind) else column.name
        if fits:
            unfit.append(f"case when not ({fits}) then {_literal(f'{column.label} = ')} || {column.name}::text end")
            expression = f"case when {fits} then {expression} end"
        if column.varying:
            expression = f"case when _record_bytes <= {max_record_bytes} then {expression} end"
        if codec and kind == TEXT:
            # bytes are not converted, so that one that can't be does not end the statement
            expression = f"convert_to({expression}, 'SQL_ASCII')"
        fields.append(pa.field(target, kind, metadata={"type": column.kind}))
        selected.append(f"{expression} as {quoted(target)}")
    selected += _problems(max_record_bytes, unfit)
    # offset 0: worked out once a record, not once a column
    size = f"cross join lateral (select {' + '.join(sizes) or '0'} as _record_bytes offset 0) as _record"
    window = _window(table, columns, day) if table.cursor else ""
    where = [f"({fill_template(table.where, day, table.late_days)})"] if table.where else []
    where += [window] if window else []
    sql = f"select {', '.join(selected)} from {name} {size}"
    if where:
        sql += f" where {' and '.join(where)}"
    if key:
        sql += f" order by {', '.join(f'{name}.{quoted(column)}' for column in key)}"
    return Query(table, full_name(table, day), sql, tuple(fields), window.replace(f"{name}.", ""), codec)


def _codec(encoding: str) -> str | None:
    if encoding == "UTF8":
        return None
    try:
        return codecs.lookup(_CODECS.get(encoding, encoding.replace("WIN", "cp"))).name
    except LookupError:
        # the server converts what only it knows
        return None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _problems(limit: int, unfit: Sequence[str]) -> list[str]:
    told = f"concat_ws(', ', {', '.join(unfit)})" if unfit else "''"
    large, odd = f"case when _record_bytes > {limit} then", f"when {told} <> '' then"
    return [
        f"{large} 'record_too_large' {odd} 'value_out_of_range' end as reject_reason",
        f"{large} _record_bytes || ' bytes, the limit is {limit}' {odd} {told} end as reject_detail",
    ]


def _window(table: PostgresTable, columns: Sequence[_Column], day: date) -> str:
    where = f"cursor {table.cursor!r} of table {full_name(table, day)}"
    column = next((column for column in columns if column.label == table.cursor), None)
    if column is None:
        known = ", ".join(column.label for column in columns)
        raise SourceError(f"no such column, {where}. Its columns: {known}", code="no such column", transient=False)
    if column.base not in _WINDOWS:
        text = f"{where} is {column.kind}. A day can be cut out of date, timestamp and timestamp with time zone"
        raise SourceError(text, code="no date", transient=False)
    return _WINDOWS[column.base].format(column.name, day - timedelta(days=table.late_days), day)


def _read(connection: Any, query: Query, schema: pa.Schema, attempt: Attempt) -> Iterator[pa.Table]:
    row = 1
    # what was read is kept for the archive, as objects and pages are
    attempt.landing.mkdir(parents=True, exist_ok=True)
    landed = attempt.landing / f"{quote(query.source_object, safe='')}.parquet"
    try:
        with connection.cursor() as cursor, pq.ParquetWriter(landed, pa.schema(query.fields)) as landing:
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(attempt.batch_bytes)})
            cursor.execute(query.sql)
            for batch in cursor.fetch_record_batch():
                attempt.deadline.check(f"table {query.source_object}")
                columns, problems = _decoded(batch, query)
                landing.write_batch(pa.record_batch(list(columns.values()), schema=landing.schema))
                if not query.table.reference:
                    columns = _rejected(columns, problems["reject_reason"])
                yield stamped(
                    schema,
                    {**columns, **problems},
                    batch.num_rows,
                    stamp=attempt.stamp,
                    source_object=query.source_object,
                    source_rows=row,
                )
                row += batch.num_rows
    except Exception as error:
        raise classify(error, f"table {query.source_object}") from error


def _decoded(batch: pa.RecordBatch, query: Query) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
    """Return a batch's columns by name, and those that say what is wrong with a record."""
    columns, wrong = {}, {}
    *arrays, reason, detail = batch.columns
    for own, array in zip(query.fields, arrays, strict=True):
        if query.codec and pa.types.is_binary(array.type):
            array, undecodable = _text(array, query.codec)
            if undecodable is not None:
                wrong[own.name] = undecodable
        columns[own.name] = array.cast(own.type)
    if wrong:
        names = [pc.if_else(mask, f", {name}", "") for name, mask in wrong.items()]
        told = pc.utf8_slice_codeunits(pc.binary_join_element_wise(*names, ""), 2)
        found = pc.not_equal(told, "")
        reason = pc.if_else(found, "undecodable_text", reason)
        detail = pc.if_else(found, pc.binary_join_element_wise("not in the database's encoding: ", told, ""), detail)
    return columns, {"reject_reason": reason, "reject_detail": detail}


def _text(array: pa.Array, codec: str) -> tuple[pa.Array, pa.Array | None]:
    """Return bytes as text, and which of them are not in the encoding, if any: those keep their bytes as escapes."""
    text = array.view(TEXT)
    if pc.all(pc.string_is_ascii(text), min_count=0).as_py():
        return text, None
    distinct = array.dictionary_encode()
    values, wrong = zip(*(_decode(value, codec) for value in distinct.dictionary.to_pylist()), strict=True)
    undecodable = pa.array(wrong).take(distinct.indices).fill_null(False) if any(wrong) else None
    return pa.array(values, TEXT).take(distinct.indices), undecodable


def _decode(value: bytes, codec: str) -> tuple[str, bool]:
    try:
        return value.decode(codec), False
    except UnicodeDecodeError:
        return value.decode(codec, "backslashreplace"), True


def _rejected(columns: dict[str, pa.Array], reasons: pa.Array) -> dict[str, pa.Array]:
    """Return a batch's columns with rejected records whole in `payload`, and nowhere else."""
    mask = pc.is_valid(reasons)
    if not pc.any(mask).as_py():
        return columns
    # of a record that is too large nothing came
    rows = pa.table(columns).append_column("", reasons).filter(mask).to_pylist()
    payloads = [
        None if row.pop("") == "record_too_large" else json.dumps(row, ensure_ascii=False, default=str) for row in rows
    ]
    nulled = {name: pc.if_else(mask, pa.scalar(None, array.type), array) for name, array in columns.items()}
    payload = nulled.get(PAYLOAD, pa.nulls(len(mask), TEXT))
    return {**nulled, PAYLOAD: pc.replace_with_mask(payload, mask, pa.array(payloads, TEXT))}


def _check(source: PostgresSource, day: date, deadline: Deadline) -> list[Check]:
    place = source.subject(day)
    try:
        connect(source, deadline.remaining()).close()
    except Exception as error:
        return [failed_check("reach", error, place, f"CONNECT on {source.credentials.database}")]
    checks = [Check("reach", True, f"{place} answers")]
    for table in source.tables:
        name = full_name(table, day)
        try:
            # a connection each: a failure voids its transaction
            with closing(connect(source, deadline.remaining())) as connection:
                query = make_query(connection, table, day, source.max_record_bytes)
                if query is None:
                    ok = table.allow_empty and not table.reference
                    checks.append(Check("day", ok, f"table {name} does not exist"))
                    continue
                window = f", read where {query.window}" if query.window else ""
                checks.append(Check("day", True, f"table {name} exists{window}"))
                with connection.cursor() as cursor:
                    cursor.execute(f"select 1 from ({query.sql}) as checked limit 1")
                    cursor.fetchall()
                checks.append(Check("read", True, f"table {name} can be read"))
        except Exception as error:
            right = f"SELECT on {name} (and USAGE on schema {table.schema})"
            checks.append(failed_check("read", error, name, right))
    return checks


def _driver(name: str) -> str:
    if name.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError(f"= {name!r} must be postgresql.")
    return name


@settings_dataclass(frozen=True, config=SETTINGS)
class PostgresCredentials:
    """How to connect to a source database; `query` holds further libpq parameters."""

    host: Annotated[str, Field(examples=["db.example.com"])]
    port: Count
    database: Annotated[str, Field(examples=["shop"])]
    username: Annotated[str, Field(examples=["loader"])]
    password: str | None = field(repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    drivername: Annotated[str, AfterValidator(_driver)] = "postgresql"


@settings_dataclass(frozen=True, config=SETTINGS)
class PostgresTable:
    """One table or view to read; `table` and `where` are templates, `name` is the raw table's name.

    With a `cursor` its records of the day are those whose column of that name lies in the window: the day, and `late_days` before it.
    """

    name: str
    table: Template
    schema: str
    where: Template | None = None
    reference: bool = False
    columns: Texts = ()
    cursor: str | None = None
    late_days: Days = 0
    order_by: Texts = ()
    allow_empty: bool = False

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        check_window(self.cursor, self.late_days, self.reference)
        return self


@settings_dataclass(frozen=True, config=SETTINGS)
class PostgresSource(OneEndpoint):
    """Tables of one database, read in one snapshot."""

    name: str
    tables: tuple[PostgresTable, ...]
    credentials: PostgresCredentials
    allow_empty: bool = False
    timeout_s: Seconds = 600
    max_record_bytes: Count = Options.max_record_bytes
    schema: str = "public"
    kind: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    place: ClassVar[str] = "Table"
    nothing_came: ClassVar[str] = "no rows"
    libraries: ClassVar[tuple[str, ...]] = ("adbc_driver_postgresql.dbapi",)
    open = open_postgres
    check = _check

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        daily = [table for table in self.tables if not table.reference] or self.tables
        return ", ".join(self.location_of(table, day) for table in daily)

    def location_of(self, table: PostgresTable, day: date) -> str:
        """Return a table of the day and its window, for people; its schema is named where it is not the usual one."""
        name = fill_template(table.table, day, table.late_days)
        first = f"{day - timedelta(days=table.late_days)} to " if table.late_days else ""
        window = f" ({table.cursor} {first}{day})" if table.cursor else ""
        return f"{name if table.schema == self.schema else f'{table.schema}.{name}'}{window}"

    def subject(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        server = self.credentials
        return f"{server.host}:{server.port}/{server.database}"

    def references(self) -> PostgresSource | None:
        """See `loaders.sources.Source`."""
        tables = tuple(table for table in self.tables if table.reference)
        return replace(self, tables=tables) if tables else None

    def reference_tables(self) -> tuple[str, ...]:
        """See `loaders.sources.Source`."""
        return tuple(table.name for table in self.tables if table.reference)


def read(name: str, values: Mapping[str, Any], where: str) -> PostgresSource:
    """Return the PostgreSQL source that a configuration section describes."""
    shared = {key: values[key] for key in ("schema", "allow_empty") if values.get(key) not in (None, "")}
    found = sections(values.get("tables"), f"{where}.tables")
    if not found:
        raise ConfigurationError(
            f'{where}.tables is missing. Add for example [{where}.tables.transactions] with table = "transactions".'
        )
    tables = tuple(
        settings(PostgresTable, {"table": key, "schema": "public", **shared, **own}, f"{where}.tables.{key}", name=key)
        for key, own in found.items()
    )
    credentials = _read_credentials(values.get("credentials"), f"{where}.credentials")
    allow_empty = all(table.allow_empty for table in tables if not table.reference)
    return settings(
        PostgresSource, values, where, name=name, tables=tables, credentials=credentials, allow_empty=allow_empty
    )


def _read_credentials(values: Any, where: str) -> PostgresCredentials:
    is_url = isinstance(values, str) and not values.lstrip().startswith("{")
    keys = {NATIVE: values} if is_url else as_table(values, where)
    text = str(keys.pop(NATIVE, ""))
    try:
        url = urlsplit(text)
        port = url.port or 5432
        if "@" in url.path + url.query + url.fragment or url.fragment:
            raise ValueError
    except ValueError:
        # what is around a password that isn't quoted is read as host, path or port; nothing of it may be shown
        raise ConfigurationError(
            f"{where} is no connection string that can be read. Write / ? # [ ] @ : % in its user and password as "
            "%2F %3F %23 %5B %5D %40 %3A %25, or give host, database, username and password as keys."
        ) from None
    parts = {
        "drivername": url.scheme,
        "host": url.hostname,
        "port": port,
        "database": url.path.strip("/"),
        "username": unquote(url.username or ""),
        "password": unquote(url.password or ""),
    }
    # what is set to nothing is not set
    keys = {key: value for key, value in parts.items() if value} | {key: value for key, value in keys.items() if value}
    keys["query"] = dict(parse_qsl(url.query)) | as_table(keys.get("query"), f"{where}.query")
    found = settings(PostgresCredentials, {"password": None, **keys}, where)
    return found if "passfile" in found.query else replace(found, password=secret("password", keys, where))
