"""Can a source be reached, read, and does it hold the day: for the `check` command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from loaders.attempt import Attempt, Deadline, Stamp
from loaders.errors import SourceError
from loaders.failures import classify
from loaders.redact import redact
from loaders.sources import PostgresSource, RestApiSource, S3Source, Source

CHECK_TIMEOUT_S = 20.0
_S3_RIGHTS = {"list": "s3:ListBucket", "read": "s3:GetObject"}


@dataclass(frozen=True)
class Check:
    """One thing that was tried; `missing_right` names what to grant when that is the cause."""

    name: str
    ok: bool
    detail: str
    missing_right: str | None = None


def check_source(source: Source, day: date, timeout_s: float = CHECK_TIMEOUT_S) -> list[Check]:
    """Try a source without loading anything; later steps are left out when an earlier one fails.

    Args:
        source: Any configured source.
        day: The day whose data should be there.
        timeout_s: Seconds for all steps together.

    Returns:
        Checks named `reach`, `list`, `read` and `day`, as far as they apply to the kind.
    """
    deadline = Deadline(timeout_s)
    if isinstance(source, S3Source):
        return _check_s3(source, day, deadline)
    if isinstance(source, PostgresSource):
        return _check_postgres(source, day, deadline)
    return _check_rest_api(source, day, deadline)


def _failed(name: str, error: Exception, subject: str, right: str | None = None) -> Check:
    failure = classify(error, subject)
    denied = failure.code in ("permission denied", "HTTP 401", "HTTP 403")
    return Check(name, False, redact(failure.text), right if denied else None)


def _check_s3(source: S3Source, day: date, deadline: Deadline) -> list[Check]:
    from loaders.s3 import list_objects, make_client
    from loaders.templates import fill_template

    prefix = fill_template(source.path, day)
    where = f"s3://{source.bucket}/{prefix}"
    try:
        client = make_client(source, deadline)
        listed = list_objects(client, source, prefix)
    except Exception as error:
        failure = classify(error, where)
        name = "reach" if failure.transient else "list"
        return [_failed(name, error, where, f"{_S3_RIGHTS['list']} on bucket {source.bucket}")]
    checks = [
        Check("reach", True, f"{source.credentials.endpoint_url or 'Amazon S3'} answers"),
        Check("list", True, f"bucket {source.bucket} can be listed"),
        Check("day", bool(listed) or source.allow_empty, f"{len(listed)} objects below {where}"),
    ]
    if listed:
        try:
            client.head_object(Bucket=source.bucket, Key=listed[0].key)
            checks.append(Check("read", True, f"{listed[0].key} can be read"))
        except Exception as error:
            right = f"{_S3_RIGHTS['read']} on {source.bucket}/{prefix}*"
            checks.append(_failed("read", error, listed[0].key, right))
    return checks


def _check_postgres(source: PostgresSource, day: date, deadline: Deadline) -> list[Check]:
    from loaders.postgres import connect, full_name, make_query

    place = f"{source.credentials.host}:{source.credentials.port}/{source.credentials.database}"
    try:
        connection = connect(source, deadline.remaining())
    except Exception as error:
        return [_failed("reach", error, place, f"CONNECT on {source.credentials.database}")]
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
                checks.append(_failed("read", error, name, right))
                # the transaction is void now; the other tables need a new one
                connection.close()
                connection = connect(source, deadline.remaining())
    finally:
        connection.close()
    return checks


class _Once:
    """A retry that doesn't: a check shows what happens at the first try."""

    def __call__(self, step: Callable[[], Any], within: Deadline | None = None) -> Any:
        """Run the step."""
        return step()


def _check_rest_api(source: RestApiSource, day: date, deadline: Deadline) -> list[Check]:
    from loaders.rest_api import open_rest_api

    checks = []
    endpoints = {"reach": source.base_url, "fallback": source.fallback_url}
    for name, base_url in endpoints.items():
        if base_url is None:
            continue
        with TemporaryDirectory() as folder:
            stamp = Stamp(day, "check", datetime.now(UTC))
            attempt = Attempt(stamp, Path(folder), deadline, lambda _: None, _Once())
            try:
                extraction = open_rest_api(source, attempt, base_url)
                rows = 0
                for _, table in extraction.tables:
                    # the first page is enough
                    rows = table.num_rows
                    break
            except Exception as error:
                # a passing failure means that nothing answers; any other one is an answer
                right = "a valid credential" if isinstance(error, SourceError) else None
                checks.append(_failed(name, error, base_url, right))
                continue
        checks.append(Check(name, True, f"{base_url} answers"))
        if name == "reach":
            checks.append(Check("day", rows > 0 or source.allow_empty, f"{rows} records on page 1"))
    return checks
