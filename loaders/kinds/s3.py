"""Collect the objects below one prefix of a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pyarrow as pa

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.errors import ConfigurationError, SourceError, no_data_error
from loaders.failures import classify
from loaders.fields import GIB, Section, secret
from loaders.formats.csv import CsvPlan, plan_csv, read_csv
from loaders.formats.parquet import (
    FORMATS,
    Landed,
    Piece,
    format_of,
    open_parquet,
    read_json,
    read_json_lines,
    read_parquet,
    rejected_piece,
)
from loaders.formats.raw import TEXT, Rejected, column_names, raw_schema, rejected_table, stamped
from loaders.formats.streams import Unreadable
from loaders.kinds.checks import Check, failed_check
from loaders.templates import fill_template

_S3_RIGHTS = {"list": "s3:ListBucket", "read": "s3:GetObject"}

FETCH_THREADS = 4
LIST_PAGE = 1000
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class ListedObject:
    """One object as listed; `size` in bytes."""

    key: str
    etag: str
    size: int


@dataclass(frozen=True)
class _Plan:
    """A landed file that can be opened: its columns' own names and how to read it."""

    file: Landed
    names: tuple[str, ...]
    csv: CsvPlan | None = None


def make_client(source: S3Source, deadline: Deadline) -> Any:
    """Return a boto3 client whose own retries are off: tries are counted in one place."""
    import boto3
    from botocore.config import Config

    keys = source.credentials
    timeout = max(0.1, min(source.timeout_s, deadline.remaining()))
    session = boto3.session.Session(
        aws_access_key_id=keys.aws_access_key_id,
        aws_secret_access_key=keys.aws_secret_access_key,
        aws_session_token=keys.aws_session_token,
        region_name=keys.region_name or "us-east-1",
        profile_name=keys.profile_name,
    )
    return session.client(
        "s3",
        endpoint_url=keys.endpoint_url,
        config=Config(
            connect_timeout=min(10.0, timeout),
            read_timeout=timeout,
            max_pool_connections=FETCH_THREADS + 1,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"} if keys.endpoint_url else None,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def list_objects(client: Any, source: S3Source, prefix: str) -> list[ListedObject]:
    """Return the day's objects, sorted by key.

    Folder marks and names that begin with `_` or `.` (such as `_SUCCESS`) are no data; the glob
    is matched against the key below the prefix and `*` crosses slashes.
    """
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(
        Bucket=source.bucket, Prefix=prefix, PaginationConfig={"PageSize": LIST_PAGE}
    ):
        for item in page.get("Contents", ()):
            below = item["Key"][len(prefix) :]
            name = below.rpartition("/")[2]
            if name and name[0] not in "_." and fnmatchcase(below, source.file_glob):
                found.append(ListedObject(item["Key"], item["ETag"], item["Size"]))
    return sorted(found, key=lambda listed: listed.key)


def open_s3(source: S3Source, attempt: Attempt) -> Extraction:
    """List and fetch the day's objects, then return how to read them.

    Raises:
        SourceError: When the day has no objects, or one was replaced while it was fetched.
    """
    prefix = fill_template(source.path, attempt.stamp.load_date)
    client = make_client(source, attempt.deadline)
    listed = list_objects(client, source, prefix)
    if not listed and not source.allow_empty:
        raise no_data_error(f"no data: no objects below s3://{source.bucket}/{prefix}")
    attempt.progress(f"Files: {_describe(listed)}")
    landed, rejected = _land(client, source, prefix, listed, attempt)
    plans, unreadable = _plan(source, landed)
    names = [n for plan in plans for n in column_names(plan.names)]
    columns = list(dict.fromkeys([*column_names(source.columns), *names]))
    schema = raw_schema([pa.field(name, TEXT) for name in columns])
    detail = {
        "files": len(listed),
        "bytes": sum(item.size for item in listed),
        "formats": sorted({format_of(item.key) or "unknown" for item in listed}),
    }

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for key, piece in _pieces(source, plans, [*rejected, *unreadable]):
            if piece.rejected:
                yield source.table, rejected_table(schema, piece.rejected, attempt.stamp)
            if piece.count:
                yield (
                    source.table,
                    stamped(
                        schema,
                        piece.columns,
                        piece.count,
                        stamp=attempt.stamp,
                        source_object=key,
                        source_rows=piece.rows,
                    ),
                )

    return Extraction({source.table: schema}, tables(), detail=detail)


def _describe(listed: list[ListedObject]) -> str:
    counts: dict[str, int] = {}
    for item in listed:
        kind = format_of(item.key) or "unknown"
        counts[kind] = counts.get(kind, 0) + 1
    parts = [f"{count:,} {kind} file{'s' * (count != 1)}" for kind, count in counts.items()]
    return ", ".join(parts) or "none"


def refusal(below: str) -> str | None:
    """Return why a key below the prefix can't become a path below the landing folder."""
    if below.startswith("/"):
        return "the key is an absolute path"
    if any(part in ("..", ".", "") for part in below.split("/")):
        return "the key has an empty, . or .. part"
    if "\\" in below or any(ord(character) < 32 for character in below):
        return "the key has a backslash or a control character"
    if any(len(part.encode()) > 255 for part in below.split("/")):
        return "a part of the key is longer than a file name can be"
    return None


def _land(
    client: Any, source: S3Source, prefix: str, listed: list[ListedObject], attempt: Attempt
) -> tuple[list[Landed], list[Rejected]]:
    """Save every object's bytes below the landing folder, those of an earlier try not again."""
    have: dict[str, str] = attempt.memory.setdefault("etags", {})
    landed, rejected, wanted = [], [], []
    for item in listed:
        below = item.key[len(prefix) :]
        why = refusal(below)
        if why is None and format_of(item.key) is None:
            known = ", ".join(FORMATS)
            why = f"the format is not known; known are {known}, each also with .gz"
            rejected.append(Rejected(item.key, 0, "format_unknown", why))
        elif why is not None:
            rejected.append(Rejected(item.key, 0, "key_refused", why))
        else:
            path = attempt.landing / below
            landed.append(Landed(item.key, path))
            if have.get(item.key) != item.etag:
                wanted.append((item, path))

    def fetch(job: tuple[ListedObject, Path]) -> None:
        item, path = job
        _fetch(client, source, item, path, attempt.deadline)
        have[item.key] = item.etag

    with ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="fetch") as pool:
        jobs = [pool.submit(fetch, job) for job in wanted]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return landed, rejected


def _fetch(client: Any, source: S3Source, item: ListedObject, path: Path, deadline: Deadline) -> None:
    from botocore.exceptions import ClientError

    deadline.check(f"GET {item.key}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        answer = client.get_object(Bucket=source.bucket, Key=item.key, IfMatch=item.etag)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code in ("PreconditionFailed", "412", "NoSuchKey"):
            raise SourceError(
                f"object replaced, s3://{source.bucket}/{item.key} changed after it was listed",
                code="object replaced",
                transient=True,
            ) from error
        raise
    with path.open("wb") as file:
        for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
            deadline.check(f"GET {item.key}")
            file.write(chunk)


def _plan(source: S3Source, landed: list[Landed]) -> tuple[list[_Plan], list[Rejected]]:
    """Open every file once for its columns, so that all batches can have the same schema."""
    plans, unreadable = [], []
    for file in landed:
        kind = format_of(file.key)
        try:
            if kind == "Parquet":
                opened = open_parquet(file, source.max_object_bytes)
                plans.append(_Plan(file, tuple(opened.schema_arrow.names)))
            elif kind == "CSV":
                header = () if source.csv_header else source.columns
                plan = plan_csv(file, source.max_object_bytes, source.csv_delimiter, header)
                plans.append(_Plan(file, plan.header, plan))
            else:
                plans.append(_Plan(file, ()))
        except Unreadable as error:
            unreadable.append(Rejected(file.key, 0, error.code, error.detail))
    return plans, unreadable


def _pieces(source: S3Source, plans: list[_Plan], rejected: list[Rejected]) -> Iterator[tuple[str, Piece]]:
    for plan in plans:
        try:
            for piece in _read(source, plan):
                yield plan.file.key, piece
        except Unreadable as error:
            rejected.append(Rejected(plan.file.key, 0, error.code, error.detail))
    if rejected:
        yield "", rejected_piece(*rejected)


def _read(source: S3Source, plan: _Plan) -> Iterator[Piece]:
    limit = source.max_object_bytes
    names = column_names(plan.names)
    kind = format_of(plan.file.key)
    if plan.csv is not None:
        return read_csv(plan.file, plan.csv, names, limit, source.csv_delimiter)
    if kind == "Parquet":
        return read_parquet(plan.file, open_parquet(plan.file, limit), names)
    if kind == "JSON":
        return read_json(plan.file, limit, source.data_selector)
    return read_json_lines(plan.file, limit)


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
    kind: ClassVar[str] = "s3"
    title: ClassVar[str] = "S3"
    place: ClassVar[str] = "Bucket"
    nothing_came: ClassVar[str] = "no objects"
    retries_steps: ClassVar[bool] = False

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        return f"{self.bucket}/{fill_template(self.path, day)}"

    def subject(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        return f"s3://{self.location(day)}"

    def fallback(self) -> tuple[str, S3Source] | None:
        """See `loaders.sources.Source`."""
        return None

    def references(self) -> S3Source | None:
        """See `loaders.sources.Source`."""
        return None

    def reference_tables(self) -> tuple[str, ...]:
        """See `loaders.sources.Source`."""
        return ()

    def open(self, attempt: Attempt) -> Extraction:
        """See `loaders.sources.Source`."""
        return open_s3(self, attempt)

    def check(self, day: date, deadline: Deadline) -> list[Check]:
        """See `loaders.sources.Source`."""
        return _check(self, day, deadline)


def read(name: str, section: Section) -> S3Source:
    """Return the S3 source that a configuration section describes."""
    url = section.required("bucket_url", "s3://data-lake")
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/"):
        raise ConfigurationError(
            f"{section.where}.bucket_url = {url!r} must look like s3://bucket. A folder goes into {section.where}.path."
        )
    credentials = section.section("credentials")
    keys = {
        key: credentials.text(key) or _partner(name, key, credentials)
        for key in ("aws_access_key_id", "aws_secret_access_key")
    }
    header = section.flag("csv_header", True)
    columns = section.names("columns")
    if not header and not columns:
        raise ConfigurationError(
            f"{section.where}.csv_header = false needs {section.where}.columns, "
            "the names of the columns in their order."
        )
    source = S3Source(
        name=name,
        bucket=parts.netloc,
        path=section.template("path", "") or "",
        file_glob=section.text("file_glob", "*") or "*",
        table=section.name("table", "events"),
        columns=columns,
        data_selector=section.text("data_selector"),
        csv_delimiter=section.text("csv_delimiter", ",") or ",",
        csv_header=header,
        max_object_bytes=int(section.number("max_object_bytes", 4 * GIB, 1)),
        allow_empty=section.flag("allow_empty"),
        timeout_s=section.number("timeout_s", 60, 0.1),
        credentials=S3Credentials(
            **keys,
            aws_session_token=credentials.text("aws_session_token"),
            region_name=credentials.text("region_name"),
            endpoint_url=credentials.text("endpoint_url"),
            profile_name=credentials.text("profile_name"),
        ),
    )
    if len(source.csv_delimiter) != 1:
        raise ConfigurationError(f"{section.where}.csv_delimiter = {source.csv_delimiter!r} must be one character.")
    credentials.done()
    return source


def _partner(name: str, key: str, credentials: Section) -> str | None:
    if not {"aws_access_key_id", "aws_secret_access_key"} & set(credentials.keys()):
        # neither half is there: boto3's own chain (profile, instance role) is meant
        return None
    return secret(name, key, credentials)


def _check(source: S3Source, day: date, deadline: Deadline) -> list[Check]:
    from loaders.templates import fill_template

    prefix = fill_template(source.path, day)
    where = f"s3://{source.bucket}/{prefix}"
    try:
        client = make_client(source, deadline)
        listed = list_objects(client, source, prefix)
    except Exception as error:
        failure = classify(error, where)
        name = "reach" if failure.transient else "list"
        return [failed_check(name, error, where, f"{_S3_RIGHTS['list']} on bucket {source.bucket}")]
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
            checks.append(failed_check("read", error, listed[0].key, right))
    return checks
