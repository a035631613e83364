"""The day's raw data as received, kept in `archive/YYYY/MM/DD/<source>/` with a manifest of checksums.

The archive is a folder, or a prefix of an S3 bucket (`s3://bucket/prefix`, written with boto3 and its usual credentials).
Archiving again what is already there changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from supervisor.common.files import replaced, write_file

MANIFEST = "manifest.json"
_DAY = re.compile(r"([0-9]{4})/(0[1-9]|1[0-2])/([0-2][0-9]|3[01])/")


class ArchiveError(Exception):
    """Raised when the archive can't be written; says where and why."""


@dataclass(frozen=True)
class ArchivedFile:
    """One file of the manifest; size in bytes, SHA-256 in hex."""

    path: str
    size: int
    sha256: str


class _Store(Protocol):
    def read(self, path: str) -> bytes | None: ...
    def put(self, path: str, local: Path) -> None: ...
    def write(self, path: str, content: bytes) -> None: ...
    def sizes(self, prefix: str) -> dict[str, int]: ...
    def remove(self, path: str) -> None: ...


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str) -> bytes | None:
        file = self._root / path
        return file.read_bytes() if file.exists() else None

    def put(self, path: str, local: Path) -> None:
        with replaced(self._root / path) as partial:
            shutil.copyfile(local, partial)

    def write(self, path: str, content: bytes) -> None:
        write_file(self._root / path, content)

    def sizes(self, prefix: str) -> dict[str, int]:
        base = self._root / prefix
        files = sorted(file for file in base.rglob("*") if file.is_file())
        return {str(file.relative_to(self._root)): file.stat().st_size for file in files}

    def remove(self, path: str) -> None:
        (self._root / path).unlink(missing_ok=True)
        # a bucket has no empty folders either
        for folder in list((self._root / path).parents)[: len(Path(path).parts) - 1]:
            with contextlib.suppress(OSError):
                folder.rmdir()


class _Bucket:
    def __init__(self, url: str) -> None:
        import boto3

        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = boto3.client("s3")

    def read(self, path: str) -> bytes | None:
        try:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None
        return body

    def put(self, path: str, local: Path) -> None:
        self._client.upload_file(str(local), self._bucket, self._prefix + path)

    def write(self, path: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + path, Body=content)

    def sizes(self, prefix: str) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        entries = (entry for page in pages for entry in page.get("Contents", []))
        return {entry["Key"].removeprefix(self._prefix): entry["Size"] for entry in entries}

    def remove(self, path: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + path)


def _open(location: str) -> _Store:
    return _Bucket(location) if location.startswith("s3://") else _Folder(Path(location))


def archived_runs(location: str, day: date) -> dict[str, str]:
    """Return which run's raw data the archive holds of each source of a day.

    Raises:
        ArchiveError: It can't be read.
    """
    path = f"{day:%Y/%m/%d}/{MANIFEST}"
    try:
        known = _open(location).read(path)
        sources: dict[str, Any] = json.loads(known)["sources"] if known else {}
        return {name: str(source["run_id"]) for name, source in sources.items()}
    except Exception as error:
        raise ArchiveError(f"archive {location}/{path} can't be read: {type(error).__name__}: {error}") from error


def archive_day(location: str, day: date, landing: Path, sources: Iterable[str], run_id: str) -> dict[str, Any]:
    """Archive what a run received from the given sources; other sources of the day stay as they are.

    Args:
        location: Folder, or `s3://bucket/prefix`.
        landing: Where the loaders left the files as received, a folder for each source.

    Returns:
        The day's manifest: {"date", "sources": {name: {"run_id", "files": [{path, size, sha256}]}}}.

    Raises:
        ArchiveError: It can't be written.
    """
    prefix = f"{day:%Y/%m/%d}/"
    try:
        store = _open(location)
        known = store.read(prefix + MANIFEST)
        manifest: dict[str, Any] = json.loads(known) if known else {"date": day.isoformat(), "sources": {}}
        for source in sources:
            files = [
                _describe(file, landing / source) for file in sorted((landing / source).rglob("*")) if file.is_file()
            ]
            before = {entry["path"]: entry for entry in manifest["sources"].get(source, {}).get("files", [])}
            for file in files:
                if before.get(file.path) != asdict(file):
                    store.put(f"{prefix}{source}/{file.path}", landing / source / file.path)
            manifest["sources"][source] = {"run_id": run_id, "files": [asdict(file) for file in files]}
            current = {f"{prefix}{source}/{file.path}" for file in files}
            for stale in set(store.sizes(f"{prefix}{source}/")) - current:
                store.remove(stale)
        store.write(prefix + MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    except Exception as error:
        raise ArchiveError(f"archive {location}/{prefix} can't be written: {type(error).__name__}: {error}") from error
    return manifest


def drop_landed(landing: Path, sources: Iterable[str]) -> None:
    """Remove files as received that the archive has: a run's folder does not keep them twice."""
    for source in sources:
        shutil.rmtree(landing / source, ignore_errors=True)
    with contextlib.suppress(OSError):
        landing.rmdir()


def archived_days(location: str) -> dict[date, int]:
    """Return the days of which the archive has anything, with the bytes that its files take.

    Raises:
        ArchiveError: It can't be read.
    """
    days: dict[date, int] = {}
    try:
        for path, size in _open(location).sizes("").items():
            if found := _DAY.match(path):
                day = date(*map(int, found.groups()))
                days[day] = days.get(day, 0) + size
    except Exception as error:
        raise ArchiveError(f"archive {location} can't be read: {type(error).__name__}: {error}") from error
    return dict(sorted(days.items()))


def remove_day(location: str, day: date) -> None:
    """Remove a day from the archive, its manifest first: what is left by a kill is taken for nothing.

    Raises:
        ArchiveError: It can't be written.
    """
    prefix = f"{day:%Y/%m/%d}/"
    try:
        store = _open(location)
        for path in (prefix + MANIFEST, *store.sizes(prefix)):
            store.remove(path)
    except Exception as error:
        raise ArchiveError(f"archive {location}/{prefix} can't be removed: {type(error).__name__}: {error}") from error


def _describe(file: Path, root: Path) -> ArchivedFile:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return ArchivedFile(str(file.relative_to(root)), file.stat().st_size, digest.hexdigest())
