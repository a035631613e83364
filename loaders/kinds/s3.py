"""Collect the objects of a bucket or the files of a folder, those of a day and a table below one path."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import date
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass as settings_dataclass

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.errors import ConfigurationError, SourceError, no_data_error
from loaders.failures import classify
from loaders.fields import SETTINGS, Name, Seconds, Template, as_table, secret, sections, settings
from loaders.formats.files import COMPRESSIONS, FORMATS, Landed, Opened, Options, Unreadable, format_of, open_file
from loaders.formats.raw import TEXT, Rejected, raw_schema, rejected_table, shared_column_names, stamped, without_nul
from loaders.kinds.checks import Check, failed_check
from loaders.kinds.one_endpoint import OneEndpoint
from loaders.kinds.stores import FETCH_THREADS, Bucket, Folder, ObjectChanged, Store, StoredObject
from loaders.templates import fill_template

MOST_TOLD = 1000
"""Objects that can't be read which an outcome names; it counts all."""
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@settings_dataclass(frozen=True, config=SETTINGS)
class S3Credentials:
    """Keys for an S3 endpoint; both key fields are None when boto3's own chain is to be used."""

    aws_access_key_id: str | None = field(default=None, repr=False)
    aws_secret_access_key: str | None = field(default=None, repr=False)
    aws_session_token: str | None = field(default=None, repr=False)
    region_name: str | None = None
    endpoint_url: str | None = None
    profile_name: str | None = None


@settings_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class FileTable(Options):
    """A raw table, and the objects that it is made of; `path` and `file_glob` are templates.

    A `reference` table holds no records of the day. With `hive_columns` a folder `country=DE` gives its records a column.
    """

    name: str
    path: Template = ""
    file_glob: Template = "*"
    hive_columns: bool = True
    reference: bool = False
    allow_empty: bool = False

    def where(self, day: date) -> str:
        """Return which keys are the day's, for people: the path, and the glob when it leaves some out."""
        glob = fill_template(self.file_glob, day)
        return fill_template(self.path, day) + (f" that match {glob!r}" if glob != "*" else "")


def list_objects(store: Store, table: FileTable, day: date) -> list[StoredObject]:
    """Return the day's objects, sorted by key.

    The path is a folder, a single object, or how the keys of a folder's objects begin. Folder marks and what is below a name that
    begins with `_` or `.` (`_SUCCESS`, `_temporary/`) are no data; the glob is matched against what follows the path, and `*`
    crosses slashes.
    """
    path, glob = fill_template(table.path, day), fill_template(table.file_glob, day)
    items = store.objects(path)
    is_object = bool(path) and not path.endswith("/") and any(item.key == path for item in items)
    found = []
    for item in items:
        below = _below(path, item.key, is_object)
        if below and not _is_hidden(item.key[len(path) :]) and fnmatchcase(below, glob):
            found.append(replace(item, below=below))
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


def refusal(below: str) -> str | None:
    """Return why a key below the prefix can't become a path below the landing folder."""
    parts = below.split("/")
    reasons = {
        "the key is an absolute path": below.startswith("/"),
        "the key has an empty, . or .. part": not {"..", ".", ""}.isdisjoint(parts),
        "the key has a backslash or a control character": re.search(r"[\\\x00-\x1f]", below),
        "a part of the key is longer than a file name can be": max(len(part.encode()) for part in parts) > 255,
    }
    return next((why for why, holds in reasons.items() if holds), None)


def partitions(key: str) -> tuple[tuple[str, str | None], ...]:
    """Return the columns that the folders of a key name as Hive does, with their value: `country=DE/`."""
    pairs = [folder.partition("=") for folder in key.split("/")[:-1] if "=" in folder]
    # of a name that comes twice the inner folder says the value
    return tuple(
        {
            unquote(name): None if value == _NULL_PARTITION else without_nul(unquote(value)) for name, _, value in pairs
        }.items()
    )


@dataclass
class _Reading:
    """A table's objects of the day: those that can be read, and those that are lost."""

    table: FileTable
    listed: list[StoredObject]
    folder: Path
    placed: dict[Path, StoredObject] = field(default_factory=dict)
    lost: list[Rejected] = field(default_factory=list)
    files: list[Opened] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=list)
    schema: pa.Schema = field(default_factory=lambda: raw_schema([]))

    def lose(self, key: str, error: Unreadable) -> None:
        """Note an object, or the rest of it, that can't be read."""
        self.lost.append(Rejected(key, error.row, error.code, error.detail, error.payload))

    def place(self) -> None:
        """Give each object that can be read a path of its own below the landing folder."""
        folders = {str(parent) for item in self.listed for parent in PurePosixPath(item.below).parents}
        for item in self.listed:
            if why := refusal(item.below):
                self.lose(item.key, Unreadable("key_refused", why))
            elif format_of(item.key) is None:
                why = f"the format is not known; known are {', '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"
                self.lose(item.key, Unreadable("format_unknown", why))
            else:
                # an object may have the name of a folder; no data has a name that begins with _
                path = self.folder / item.below / "_object" if item.below in folders else self.folder / item.below
                while path in self.placed:
                    path = path.with_name(f"_{path.name}")
                self.placed[path] = item

    def open(self, max_columns: int | None) -> None:
        """Open every file once for its columns, so that all batches can have the same schema."""
        files = []
        for path, item in self.placed.items():
            found = partitions(item.key) if self.table.hive_columns else ()
            try:
                files.append(open_file(Landed(item.key, path, found), self.table))
            except Unreadable as error:
                self.lose(item.key, error)
        self._take(files)
        if max_columns is None or len(self.schema) <= max_columns:
            return
        own = dict(zip((opened.file.key for opened in files), self.names, strict=True))
        self._take([])
        columns, wide = set(self.schema.names), set()
        # the narrow ones first: a file that is too wide must not keep others out
        for key, names in sorted(own.items(), key=lambda pair: len(pair[1])):
            if len(columns.union(names)) <= max_columns:
                columns.update(names)
                continue
            detail = (
                f"{len(names):,} columns, with those of the day's other files more than the {max_columns:,} of a table"
            )
            self.lose(key, Unreadable("too_many_columns", detail))
            wide.add(key)
        self._take([opened for opened in files if opened.file.key not in wide])

    def _take(self, files: list[Opened]) -> None:
        """Take these files, with the raw table's schema and the names of each file's columns in it."""
        own, *self.names = shared_column_names([self.table.columns, *(opened.names for opened in files)])
        self.files = files
        types: dict[str, set[str]] = {}
        for opened, header in zip(files, self.names, strict=True):
            for name, kind in zip(header, opened.types, strict=False):
                types.setdefault(name, set()).add(kind)
        told = {name: {"type": " or ".join(sorted(kinds))} for name, kinds in types.items()}
        columns = dict.fromkeys(chain(own, *self.names))
        self.schema = raw_schema([pa.field(name, TEXT, metadata=told.get(name)) for name in columns])

    def rows(self, attempt: Attempt) -> Iterator[pa.Table]:
        """Yield the rows, at last one for each object that is lost."""
        # what a row takes beside the values of its own file: the fixed columns, and those of other files
        most = max(1, attempt.batch_bytes // (256 + 5 * len(self.schema)))
        for opened, columns in zip(self.files, self.names, strict=True):
            key, stamp = opened.file.key, attempt.stamp
            try:
                for piece in opened.read(columns):
                    if piece.rejected:
                        yield rejected_table(self.schema, piece.rejected, stamp)
                    for start in range(0, piece.count, most):
                        part = piece.slice(start, most)
                        yield stamped(
                            self.schema, part.columns, part.count, stamp=stamp, source_object=key, source_rows=part.rows
                        )
            except Unreadable as error:
                self.lose(key, error)
        if self.lost:
            yield rejected_table(self.schema, self.lost, attempt.stamp)

    def incomplete(self) -> list[dict[str, Any]]:
        """Return the objects that are lost, for the outcome."""
        versions = {item.key: item.version() for item in self.listed}
        return [
            {"object": lost.source_object, "reason": lost.detail, **versions[lost.source_object]} for lost in self.lost
        ]


def open_s3(source: S3Source, attempt: Attempt) -> Extraction:
    """List and fetch the day's objects, then return how to read them.

    Raises:
        SourceError: When a table of the day has no objects, or one was replaced while it was fetched.
    """
    store = source.store(attempt.deadline)
    readings = [
        # tables may have objects of the same name below their paths
        _Reading(table, listed, attempt.landing / table.name if len(source.tables) > 1 else attempt.landing)
        for table, listed in _list(source, store, attempt.stamp.load_date)
    ]
    listed = [item for reading in readings for item in reading.listed]
    formats = Counter(format_of(item.key) or "unknown" for item in listed)
    files = ", ".join(f"{count:,} {kind} file{'s' * (count != 1)}" for kind, count in formats.items())
    attempt.progress(f"Files: {files or 'none'}")
    for reading in readings:
        reading.place()
    _fetch(store, readings, attempt)
    for reading in readings:
        reading.open(attempt.max_columns)
    detail: dict[str, Any] = {
        "files": len(listed),
        "bytes": sum(item.size for item in listed),
        "formats": sorted(formats),
    }

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for reading in readings:
            table, count = reading.table, 0
            for rows in reading.rows(attempt):
                count += rows.num_rows
                yield table.name, rows
            if not count and not table.allow_empty:
                raise no_data_error(f"no data: {source.root}{table.where(attempt.stamp.load_date)} is empty")
        if lost := [each for reading in readings for each in reading.incomplete()]:
            detail.update(incomplete=lost[:MOST_TOLD], incomplete_count=len(lost))

    schemas = {reading.table.name: reading.schema for reading in readings}
    return Extraction(schemas, tables(), frozenset(source.reference_tables()), detail)


def _list(source: S3Source, store: Store, day: date) -> list[tuple[FileTable, list[StoredObject]]]:
    """Return each table's objects of the day.

    Raises:
        SourceError: When a table has none, or two have the same.
    """
    found: list[tuple[FileTable, list[StoredObject]]] = []
    owner: dict[str, str] = {}
    for table in source.tables:
        listed = list_objects(store, table, day)
        if not listed and not table.allow_empty:
            raise no_data_error(f"no data: no objects below {source.root}{table.where(day)}")
        for item in listed:
            other = owner.setdefault(item.key, table.name)
            if other != table.name:
                text = f"{source.root}{item.key} is an object of both {other} and {table.name}: narrow a path or a file_glob"
                raise SourceError(text, code="object in two tables", transient=False)
        found.append((table, listed))
    return found


def _fetch(store: Store, readings: Iterable[_Reading], attempt: Attempt) -> None:
    """Save every object's bytes below the landing folder, those of an earlier try not again.

    An object that can't be had while others can is lost: one that may not be read, or that is another one again and again.
    """
    have: dict[str, str] = attempt.memory.setdefault("etags", {})
    changed: dict[str, int] = attempt.memory.setdefault("changed", {})
    placed = {path: (reading, item) for reading in readings for path, item in reading.placed.items()}
    # an object of an earlier try that is gone since must not be archived as one of the day
    for stale in set(filter(Path.is_file, attempt.landing.rglob("*"))) - placed.keys():
        stale.unlink()

    def fetch(path: Path, item: StoredObject) -> SourceError | None:
        try:
            _save(store, item, path, attempt.deadline)
        except Exception as error:
            failure = classify(error, f"GET {item.key}")
            path.unlink(missing_ok=True)
            if isinstance(failure, ObjectChanged):
                changed[item.key] = changed.get(item.key, 0) + 1
            denied = re.match("permission denied|HTTP 4", failure.code) and not failure.transient
            # what else fails is the endpoint's doing, or that of the disk here
            if denied or changed.get(item.key, 0) > 1:
                return failure
            raise failure from error
        have[item.key] = item.etag
        return None

    wanted = {path: item for path, (_, item) in placed.items() if have.get(item.key) != item.etag or not path.is_file()}
    with ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="fetch") as pool:
        jobs = {path: pool.submit(fetch, path, item) for path, item in wanted.items()}
        try:
            failed = {path: failure for path, job in jobs.items() if (failure := job.result())}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed and len(failed) == len(placed):
        raise next(iter(failed.values()))
    for path, failure in failed.items():
        reading, item = placed[path]
        del reading.placed[path]
        reading.lose(item.key, Unreadable("object_unreadable", failure.text))


def _save(store: Store, item: StoredObject, path: Path, deadline: Deadline) -> None:
    deadline.check(f"GET {item.key}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for chunk in store.chunks(item):
            deadline.check(f"GET {item.key}")
            file.write(chunk)
        if file.tell() != item.size:
            raise ObjectChanged("object cut short", f"{item.key} has {item.size} bytes and {file.tell()} came")


def _check(source: S3Source, day: date, deadline: Deadline) -> list[Check]:
    is_bucket = source.folder is None
    try:
        store = source.store(deadline)
        listed = {table: list_objects(store, table, day) for table in source.tables}
    except Exception as error:
        subject = source.subject(day)
        name = "reach" if classify(error, subject).transient else "list"
        return [failed_check(name, error, subject, f"s3:ListBucket on {source.root}" if is_bucket else None)]
    answers = (source.credentials.endpoint_url or "Amazon S3") if is_bucket else source.root
    checks = [
        Check("reach", True, f"{answers} answers"),
        Check("list", True, f"{source.root} can be listed"),
        *(
            Check(
                "day", bool(found) or table.allow_empty, f"{len(found)} objects below {source.root}{table.where(day)}"
            )
            for table, found in listed.items()
        ),
    ]
    for found in filter(None, listed.values()):
        try:
            next(store.chunks(found[0]), None)
            checks.append(Check("read", True, f"{found[0].key} can be read"))
        except Exception as error:
            right = f"s3:GetObject on {source.root}*" if is_bucket else None
            checks.append(failed_check("read", error, found[0].key, right))
    return checks


def _bucket_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return url
    if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/"):
        raise ValueError(f"= {url!r} must look like s3://bucket, whose folder goes into path, or like file:///folder.")
    return url


@settings_dataclass(frozen=True, config=SETTINGS)
class S3Source(OneEndpoint):
    """Objects of one bucket or files of one folder; `table` names the raw table where there is only one."""

    name: str
    bucket_url: Annotated[str, AfterValidator(_bucket_url), Field(examples=["s3://data-lake"])]
    tables: tuple[FileTable, ...]
    table: Name = "events"
    timeout_s: Seconds = 60
    credentials: S3Credentials = S3Credentials()
    kind: ClassVar[str] = "s3"
    nothing_came: ClassVar[str] = "no objects"
    open = open_s3
    check = _check

    @property
    def folder(self) -> str | None:
        """The folder's path; None when it is a bucket."""
        parts = urlsplit(self.bucket_url)
        return (unquote(parts.path).rstrip("/") or "/") if parts.scheme == "file" else None

    @property
    def title(self) -> str:
        """See `loaders.sources.Source`."""
        return "Files" if self.folder else "S3"

    @property
    def place(self) -> str:
        """See `loaders.sources.Source`."""
        return "Folder" if self.folder else "Bucket"

    @property
    def libraries(self) -> tuple[str, ...]:
        """See `loaders.sources.Source`."""
        return () if self.folder else ("boto3", "boto3.s3.inject", "botocore.config")

    @property
    def root(self) -> str:
        """What stands before a key, for people."""
        return f"{self.folder or self.bucket_url.rstrip('/')}/"

    @property
    def allow_empty(self) -> bool:
        """See `loaders.sources.Source`."""
        return all(table.allow_empty for table in self.tables if not table.reference)

    def store(self, deadline: Deadline) -> Store:
        """Return where its objects are."""
        return (
            Folder(self.folder)
            if self.folder
            else Bucket(make_client(self, deadline), urlsplit(self.bucket_url).netloc)
        )

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        daily = [table for table in self.tables if not table.reference] or self.tables
        return ", ".join(self.root.removeprefix("s3://") + fill_template(table.path, day) for table in daily)

    def subject(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        return self.root if len(self.tables) > 1 else self.root + fill_template(self.tables[0].path, day)

    def references(self) -> S3Source | None:
        """See `loaders.sources.Source`."""
        tables = tuple(table for table in self.tables if table.reference)
        return replace(self, tables=tables) if tables else None

    def reference_tables(self) -> tuple[str, ...]:
        """See `loaders.sources.Source`."""
        return tuple(table.name for table in self.tables if table.reference)


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
            # what was stored with a checksum is checked against it
            response_checksum_validation="when_supported",
        ),
    )


def read(name: str, values: Mapping[str, Any], where: str) -> S3Source:
    """Return the S3 source that a configuration section describes; what it says of its files holds for all its tables."""
    at = f"{where}.credentials"
    keys = as_table(values.get("credentials"), at)
    pair = {"aws_access_key_id", "aws_secret_access_key"}
    if any(keys.get(key) for key in pair):
        # without either boto3's own chain (profile, instance role) is meant
        keys |= {key: secret(key, keys, at) for key in sorted(pair)}
    own = {key.name for key in fields(FileTable)} - {"name"}
    shared = {key: value for key, value in values.items() if key in own}
    several = sections(values.get("tables"), f"{where}.tables")
    if several and values.get("table"):
        raise ConfigurationError(f"{where}.table names a source's only table, and {where}.tables has some. Remove one.")
    tables = {key: (section, f"{where}.tables.{key}") for key, section in several.items()}
    tables = tables or {values.get("table") or "events": ({}, where)}
    return settings(
        S3Source,
        values,
        where,
        also=own,
        name=name,
        tables=tuple(settings(FileTable, {**shared, **section}, at, name=key) for key, (section, at) in tables.items()),
        credentials=settings(S3Credentials, keys, at),
    )
