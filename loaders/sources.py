"""What a source is: one frozen dataclass for each kind, and for its parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

from loaders.templates import fill_template


@dataclass(frozen=True)
class S3Credentials:
    """Keys for an S3 endpoint; both key fields are None when boto3's own chain is to be used."""

    aws_access_key_id: str | None = field(repr=False)
    aws_secret_access_key: str | None = field(repr=False)
    aws_session_token: str | None = field(repr=False)
    region_name: str | None
    endpoint_url: str | None
    profile_name: str | None


@dataclass(frozen=True)
class S3Source:
    """Objects below one prefix of a bucket; `path` is a template, sizes are bytes."""

    name: str
    bucket: str
    path: str
    file_glob: str
    table: str
    columns: tuple[str, ...]
    data_selector: str | None
    csv_delimiter: str
    csv_header: bool
    max_object_bytes: int
    allow_empty: bool
    timeout_s: float
    credentials: S3Credentials
    kind: str = "s3"


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
    kind: str = "postgres"


@dataclass(frozen=True)
class RestApiSource:
    """A paged JSON endpoint; `paginator` and `auth` are in the form of dlt's rest_api source."""

    name: str
    base_url: str
    fallback_url: str | None
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    data_selector: str | None
    table: str
    paginator: Mapping[str, Any]
    auth: Mapping[str, Any] = field(repr=False)
    timeout_s: float
    total_timeout_s: float
    max_page_bytes: int
    allow_empty: bool
    kind: str = "rest_api"


Source = S3Source | PostgresSource | RestApiSource


def location(source: Source, day: date) -> str:
    """Return where a source's day is, for people: prefix, tables or the first page's URL."""
    if isinstance(source, S3Source):
        return f"{source.bucket}/{fill_template(source.path, day)}"
    if isinstance(source, PostgresSource):
        daily = [table for table in source.tables if not table.reference] or source.tables
        return ", ".join(fill_template(table.table, day) for table in daily)
    url = endpoint_url(source, source.base_url, day)
    params = {key: fill_template(value, day) for key, value in source.params.items()}
    return f"{url}?{urlencode(params)}" if params else url


def references_of(sources: Iterable[Source]) -> tuple[PostgresSource, ...]:
    """Return the sources with their reference tables only; those that have none are left out.

    That they hold no records of the day is what was asked for, and no failure.
    """
    found = []
    for source in sources:
        if isinstance(source, PostgresSource):
            tables = tuple(table for table in source.tables if table.reference)
            if tables:
                found.append(replace(source, tables=tables, allow_empty=True))
    return tuple(found)


def endpoint_url(source: RestApiSource, base_url: str, day: date) -> str:
    """Return an endpoint's URL at its primary or its fallback address, without parameters."""
    path = fill_template(source.path, day).lstrip("/")
    return f"{base_url.rstrip('/')}/{path}" if path else base_url
