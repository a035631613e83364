"""Where objects are: a bucket behind the S3 protocol, or a folder of this machine whose files are named as keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from loaders.errors import SourceError

FETCH_THREADS = 4
LIST_PAGE = 1000
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class StoredObject:
    """One object as listed; `size` is in bytes, `modified` an ISO time, `below` its key without the path of its day."""

    key: str
    etag: str
    size: int
    modified: str = ""
    below: str = ""

    def version(self) -> dict[str, Any]:
        """Return what tells this object from one that takes its place."""
        return {"etag": self.etag, "size": self.size, "modified": self.modified}


class ObjectChanged(SourceError):
    """Raised when an object is not the one that was listed, or not all of it came; to list and fetch again may help."""

    def __init__(self, what: str, told: str) -> None:
        super().__init__(f"{what}, {told}", code=what, transient=True)


class Store(Protocol):
    """Holds objects by their keys."""

    def objects(self, prefix: str) -> list[StoredObject]:
        """Return the objects whose keys begin so, marks of folders included."""

    def chunks(self, listed: StoredObject) -> Iterator[bytes]:
        """Yield an object's bytes.

        Raises:
            ObjectChanged: When it is another one than was listed.
        """


class Bucket:
    """A bucket, with a boto3 client."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self.name = name

    def objects(self, prefix: str) -> list[StoredObject]:
        """See `Store`."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, PaginationConfig={"PageSize": LIST_PAGE}
        )
        return [
            StoredObject(item["Key"], item["ETag"], item["Size"], item["LastModified"].isoformat())
            for page in pages
            for item in page.get("Contents", ())
        ]

    def chunks(self, listed: StoredObject) -> Iterator[bytes]:
        """See `Store`."""
        from botocore.exceptions import ClientError, FlexibleChecksumError

        place = f"s3://{self.name}/{listed.key}"
        try:
            answer = self.client.get_object(Bucket=self.name, Key=listed.key, IfMatch=listed.etag)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("PreconditionFailed", "412", "NoSuchKey", "404"):
                raise ObjectChanged("object replaced", f"{place} changed after it was listed") from error
            raise
        # not every endpoint heeds IfMatch
        if answer["ETag"] != listed.etag:
            raise ObjectChanged("object replaced", f"{place} changed after it was listed")
        try:
            yield from answer["Body"].iter_chunks(_CHUNK_BYTES)
        except FlexibleChecksumError as error:
            raise ObjectChanged(
                "object damaged", f"{place} came with another checksum than it was stored with"
            ) from error


class Folder:
    """A folder; a key is what follows its path, and links are followed."""

    def __init__(self, root: str) -> None:
        self.root = root

    def objects(self, prefix: str) -> list[StoredObject]:
        """See `Store`.

        Raises:
            SourceError: When there is no such folder.
        """
        if not Path(self.root).is_dir():
            raise SourceError(f"no such folder, {self.root}", code="no such folder", transient=False)
        head = prefix[: prefix.rfind("/") + 1]
        start = os.path.realpath(f"{self.root}/{head}")
        found, seen = [], {start}
        for folder, folders, names in os.walk(start, onerror=_refuse, followlinks=True):
            # a link may lead to a folder that holds it, or that is walked through anyway
            places = {os.path.realpath(f"{folder}/{name}"): name for name in sorted(folders, reverse=True)}
            folders[:] = sorted(name for place, name in places.items() if place not in seen)
            seen |= places.keys()
            for name in names:
                path = Path(folder) / name
                # bytes that are no text can't be part of a key
                key = os.fsencode(head + os.path.relpath(path, start)).decode(errors="backslashreplace")
                status = _status(path)
                if status and key.startswith(prefix):
                    modified = datetime.fromtimestamp(status.st_mtime, UTC).isoformat()
                    found.append(StoredObject(key, _etag(status), status.st_size, modified))
        return found

    def chunks(self, listed: StoredObject) -> Iterator[bytes]:
        """See `Store`."""
        path = Path(f"{self.root}/{listed.key}")
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
                etag = _etag(os.fstat(file.fileno()))
        except OSError as error:
            raise ObjectChanged("object unreadable", f"{path}: {error.strerror}") from error
        if etag != listed.etag:
            raise ObjectChanged("object replaced", f"{path} changed after it was listed")


def _refuse(error: OSError) -> None:
    # what is gone holds nothing; what can't be listed may
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file, or of a link that leads nowhere; None of what holds no data, such as a socket."""
    for look, missing in ((path.stat, OSError), (path.lstat, FileNotFoundError)):
        with suppress(missing):
            status = look()
            return status if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode) else None
    return None


def _etag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
