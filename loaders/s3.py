"""Collect the objects below one prefix of a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.csvtext import CsvPlan, plan_csv, read_csv
from loaders.errors import SourceError, no_data_error
from loaders.formats import (
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
from loaders.raw import TEXT, Rejected, column_names, raw_schema, rejected_table, stamped
from loaders.sources import S3Source
from loaders.streams import Unreadable
from loaders.templates import fill_template

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
