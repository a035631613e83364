"""Collect the objects below one prefix of a bucket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass as settings_dataclass

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.errors import SourceError, no_data_error
from loaders.failures import classify
from loaders.fields import SETTINGS, Count, Name, Seconds, Template, Texts, as_table, secret, settings
from loaders.formats.files import FORMATS, MIB, Landed, Opened, Options, Piece, Unreadable, format_of, open_file
from loaders.formats.raw import TEXT, Rejected, raw_schema, rejected_table, shared_column_names, stamped
from loaders.kinds.checks import Check, failed_check
from loaders.kinds.one_endpoint import OneEndpoint
from loaders.templates import fill_template

_S3_RIGHTS = {"list": "s3:ListBucket", "read": "s3:GetObject"}

FETCH_THREADS = 4
LIST_PAGE = 1000
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class ListedObject:
    """One object as listed; `below` is its key without the day's path, `size` is in bytes."""

    key: str
    etag: str
    size: int
    below: str


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


def list_objects(client: Any, source: S3Source, day: date) -> list[ListedObject]:
    """Return the day's objects, sorted by key.

    The path is a folder, a single object, or how the keys of a folder's objects begin. Folder marks and what is below a name that
    begins with `_` or `.` (`_SUCCESS`, `_temporary/`) are no data; the glob is matched against what follows the path, and `*`
    crosses slashes.
    """
    path, glob = fill_template(source.path, day), fill_template(source.file_glob, day)
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=source.bucket, Prefix=path, PaginationConfig={"PageSize": LIST_PAGE}
    )
    items = [item for page in pages for item in page.get("Contents", ())]
    is_object = bool(path) and not path.endswith("/") and any(item["Key"] == path for item in items)
    found = []
    for item in items:
        below = _below(path, item["Key"], is_object)
        if below and not _is_hidden(item["Key"][len(path) :]) and fnmatchcase(below, glob):
            found.append(ListedObject(item["Key"], item["ETag"], item["Size"], below))
    return sorted(found, key=lambda listed: listed.key)


def _below(path: str, key: str, is_object: bool) -> str | None:
    """Return what of a key is below the path, None when it is no data of the day: `day/10/a.csv` is not below `day/1`."""
    rest = key[len(path) :]
    if key.endswith("/"):
        return None
    if is_object:
        return path.rpartition("/")[2] + rest if rest[:1] in ("", "/") else None
    if path[-1:].isalnum():
        # what goes on in the same word is another name, and so is a folder that only begins so
        return rest[1:] if rest.startswith("/") else None if rest[0].isalnum() or "/" in rest else rest
    return rest


def _is_hidden(rest: str) -> bool:
    return any(part[0] in "_." for part in rest.split("/") if part not in ("", ".", ".."))


def _where(source: S3Source, day: date) -> str:
    """Return where a day's objects are, for people: the path, and the glob when it leaves some out."""
    glob = fill_template(source.file_glob, day)
    return source.subject(day) + (f" that match {glob!r}" if glob != "*" else "")


def open_s3(source: S3Source, attempt: Attempt) -> Extraction:
    """List and fetch the day's objects, then return how to read them.

    Raises:
        SourceError: When the day has no objects, or one was replaced while it was fetched.
    """
    day = attempt.stamp.load_date
    client = make_client(source, attempt.deadline)
    listed = list_objects(client, source, day)
    if not listed and not source.allow_empty:
        raise no_data_error(f"no data: no objects below {_where(source, day)}")
    attempt.progress(f"Files: {_describe(listed)}")
    landed, rejected = _land(client, source, listed, attempt)
    files, refused = _open(source, landed, attempt)
    rejected += refused
    schema, names = _schema(source, files)
    detail = {
        "files": len(listed),
        "bytes": sum(item.size for item in listed),
        "formats": sorted({format_of(item.key) or "unknown" for item in listed}),
    }
    # what a row takes beside the values of its own file: the fixed columns, and those of other files
    rows = max(1, attempt.batch_bytes // (256 + 5 * len(schema)))

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for key, piece in _pieces(files, names, rejected):
            if piece.rejected:
                yield source.table, rejected_table(schema, piece.rejected, attempt.stamp)
            for start in range(0, piece.count, rows):
                part, stamp = piece.slice(start, rows), attempt.stamp
                table = stamped(schema, part.columns, part.count, stamp=stamp, source_object=key, source_rows=part.rows)
                yield source.table, table
        detail["incomplete"] = [{"object": one.source_object, "reason": one.reason} for one in rejected]

    return Extraction({source.table: schema}, tables(), detail=detail)


def _describe(listed: list[ListedObject]) -> str:
    counts = Counter(format_of(item.key) or "unknown" for item in listed)
    return ", ".join(f"{count:,} {kind} file{'s' * (count != 1)}" for kind, count in counts.items()) or "none"


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
    client: Any, source: S3Source, listed: list[ListedObject], attempt: Attempt
) -> tuple[list[Landed], list[Rejected]]:
    """Save every object's bytes below the landing folder, those of an earlier try not again."""
    have: dict[str, str] = attempt.memory.setdefault("etags", {})
    folders = {str(parent) for item in listed for parent in PurePosixPath(item.below).parents}
    landed: dict[Path, Landed] = {}
    rejected, wanted = [], []
    for item in listed:
        if why := refusal(item.below):
            rejected.append(Rejected(item.key, 0, "key_refused", why))
        elif format_of(item.key) is None:
            why = f"the format is not known; known are {', '.join(FORMATS)}, each also with .gz"
            rejected.append(Rejected(item.key, 0, "format_unknown", why))
        else:
            # an object may have the name of a folder; no data has a name that begins with _
            path = attempt.landing / item.below / "_object" if item.below in folders else attempt.landing / item.below
            while path in landed:
                path = path.with_name(f"_{path.name}")
            landed[path] = Landed(item.key, path)
            if have.get(item.key) != item.etag or not path.is_file():
                wanted.append((item, path))
    # an object of an earlier try that is gone since must not be archived as one of the day
    for stale in set(filter(Path.is_file, attempt.landing.rglob("*"))) - landed.keys():
        stale.unlink()

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
    return list(landed.values()), rejected


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
        if file.tell() != item.size:
            raise SourceError(
                f"object cut short, s3://{source.bucket}/{item.key} has {item.size} bytes and {file.tell()} came",
                code="object cut short",
                transient=True,
            )


def _open(source: S3Source, landed: list[Landed], attempt: Attempt) -> tuple[list[Opened], list[Rejected]]:
    """Open every file once for its columns, so that all batches can have the same schema."""
    files, rejected = [], []
    for file in landed:
        try:
            files.append(open_file(file, source.options()))
        except Unreadable as error:
            rejected.append(Rejected(file.key, 0, error.code, error.detail))
    schema, names = _schema(source, files)
    if attempt.max_columns is None or len(schema) <= attempt.max_columns:
        return files, rejected
    kept, columns = [], set(_schema(source, [])[0].names)
    # the narrow ones first: a file that is too wide must not keep others out
    for opened, own in sorted(zip(files, names, strict=True), key=lambda pair: len(pair[1])):
        if len(columns | set(own)) <= attempt.max_columns:
            columns |= set(own)
            kept.append(opened.file)
        else:
            detail = f"{len(own):,} columns, with those of the day's other files more than the {attempt.max_columns:,} of a table"
            rejected.append(Rejected(opened.file.key, 0, "too_many_columns", detail))
    return [opened for opened in files if opened.file in kept], rejected


def _schema(source: S3Source, files: list[Opened]) -> tuple[pa.Schema, list[list[str]]]:
    """Return the raw table's schema, and the names of each file's columns in it."""
    own, *names = shared_column_names([source.columns, *(opened.names for opened in files)])
    columns = dict.fromkeys(name for header in (own, *names) for name in header)
    types: dict[str, set[str]] = {}
    for opened, header in zip(files, names, strict=True):
        for name, kind in zip(header, opened.types, strict=False):
            types.setdefault(name, set()).add(kind)
    told = {name: {"type": " or ".join(sorted(kinds))} for name, kinds in types.items()}
    return raw_schema([pa.field(name, TEXT, metadata=told.get(name)) for name in columns]), names


def _pieces(files: list[Opened], names: list[list[str]], rejected: list[Rejected]) -> Iterator[tuple[str, Piece]]:
    for opened, columns in zip(files, names, strict=True):
        try:
            for piece in opened.read(columns):
                yield opened.file.key, piece
        except Unreadable as error:
            rejected.append(Rejected(opened.file.key, 0, error.code, error.detail))
    if rejected:
        yield "", Piece(rejected=tuple(rejected))


@settings_dataclass(frozen=True, config=SETTINGS)
class S3Credentials:
    """Keys for an S3 endpoint; both key fields are None when boto3's own chain is to be used."""

    aws_access_key_id: str | None = field(default=None, repr=False)
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)
    region_name: str | None = None
    endpoint_url: str | None = None
    profile_name: str | None = None


def _bucket_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/"):
        raise ValueError(f"= {url!r} must look like s3://bucket. A folder goes into path.")
    return url


@settings_dataclass(frozen=True, config=SETTINGS)
class S3Source(OneEndpoint):
    """Objects below one prefix of a bucket; `path` is a template, sizes are bytes."""

    name: str
    bucket_url: Annotated[str, AfterValidator(_bucket_url), Field(examples=["s3://data-lake"])]
    path: Template = ""
    file_glob: Template = "*"
    table: Name = "events"
    columns: Texts = ()
    data_selector: str | None = None
    csv_delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    csv_header: bool = True
    max_object_bytes: Count = Options.max_object_bytes
    max_record_bytes: Annotated[Count, Field(le=1024 * MIB)] = Options.max_record_bytes
    allow_empty: bool = False
    timeout_s: Seconds = 60
    credentials: S3Credentials = S3Credentials()
    kind: ClassVar[str] = "s3"
    title: ClassVar[str] = "S3"
    place: ClassVar[str] = "Bucket"
    nothing_came: ClassVar[str] = "no objects"
    libraries: ClassVar[tuple[str, ...]] = ("boto3", "boto3.s3.inject", "botocore.config")
    open = open_s3
    retries_steps: ClassVar[bool] = False

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if not self.csv_header and not self.columns:
            raise ValueError("columns is missing: with csv_header = false it names the columns in their order.")
        return self

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return urlsplit(self.bucket_url).netloc

    def options(self) -> Options:
        """Return how its files are read."""
        return Options(
            self.max_object_bytes,
            self.max_record_bytes,
            self.data_selector,
            self.csv_delimiter,
            () if self.csv_header else self.columns,
        )

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        return f"{self.bucket}/{fill_template(self.path, day)}"

    def subject(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        return f"s3://{self.location(day)}"

    def check(self, day: date, deadline: Deadline) -> list[Check]:
        """See `loaders.sources.Source`."""
        return _check(self, day, deadline)


def read(name: str, values: Mapping[str, Any], where: str) -> S3Source:
    """Return the S3 source that a configuration section describes."""
    at = f"{where}.credentials"
    keys = as_table(values.get("credentials"), at)
    pair = {"aws_access_key_id", "aws_secret_access_key"}
    if any(keys.get(key) for key in pair):
        # without either boto3's own chain (profile, instance role) is meant
        keys |= {key: secret(key, keys, at) for key in sorted(pair)}
    return settings(S3Source, values, where, name=name, credentials=settings(S3Credentials, keys, at))


def _check(source: S3Source, day: date, deadline: Deadline) -> list[Check]:
    try:
        client = make_client(source, deadline)
        listed = list_objects(client, source, day)
    except Exception as error:
        subject = source.subject(day)
        name = "reach" if classify(error, subject).transient else "list"
        return [failed_check(name, error, subject, f"{_S3_RIGHTS['list']} on bucket {source.bucket}")]
    checks = [
        Check("reach", True, f"{source.credentials.endpoint_url or 'Amazon S3'} answers"),
        Check("list", True, f"bucket {source.bucket} can be listed"),
        Check("day", bool(listed) or source.allow_empty, f"{len(listed)} objects below {_where(source, day)}"),
    ]
    if listed:
        try:
            client.head_object(Bucket=source.bucket, Key=listed[0].key)
            checks.append(Check("read", True, f"{listed[0].key} can be read"))
        except Exception as error:
            right = f"{_S3_RIGHTS['read']} on {source.location(day)}*"
            checks.append(failed_check("read", error, listed[0].key, right))
    return checks
