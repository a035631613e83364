"""The raw data of a day is kept as received, once, with checksums; in a folder or in a bucket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from supervisor.record.archive import ArchiveError, archive_day

DAY = date(2025, 11, 16)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for source, name, content in (
        ("s3", "a/part.parquet", b"one"),
        ("s3", "b.parquet", b"two"),
        ("api", "page.json", b"{}"),
    ):
        path = tmp_path / "landing" / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "landing"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="keep")
    yield "s3://keep/goalkeeper"
    server.stop()


def content_of(location: str) -> dict[str, bytes]:
    if not location.startswith("s3://"):
        root = Path(location)
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    client = boto3.client("s3")
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="keep").get("Contents", [])]
    return {key.removeprefix("goalkeeper/"): client.get_object(Bucket="keep", Key=key)["Body"].read() for key in keys}


@pytest.fixture(params=["folder", "bucket"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "archive") if request.param == "folder" else request.getfixturevalue("bucket")


def test_every_file_is_kept_with_its_checksum(landing: Path, location: str) -> None:
    archive_day(location, DAY, landing, ["s3", "api"], "run1")
    kept = content_of(location)
    manifest = json.loads(kept.pop("2025/11/16/manifest.json"))
    assert kept == {
        "2025/11/16/s3/a/part.parquet": b"one",
        "2025/11/16/s3/b.parquet": b"two",
        "2025/11/16/api/page.json": b"{}",
    }
    described = {
        f"2025/11/16/{source}/{file['path']}": file["sha256"]
        for source, entry in manifest["sources"].items()
        for file in entry["files"]
    }
    assert described == {path: hashlib.sha256(content).hexdigest() for path, content in kept.items()}


def test_archiving_again_changes_nothing(landing: Path, location: str) -> None:
    archive_day(location, DAY, landing, ["s3", "api"], "run1")
    before = content_of(location)
    archive_day(location, DAY, landing, ["s3", "api"], "run1")
    assert content_of(location) == before


def test_a_repair_replaces_its_source_and_leaves_the_others(landing: Path, location: str) -> None:
    archive_day(location, DAY, landing, ["s3", "api"], "run1")
    (landing / "api" / "page.json").unlink()
    (landing / "api" / "page-2.json").write_bytes(b"[]")
    manifest = archive_day(location, DAY, landing, ["api"], "run2")
    kept = content_of(location)
    assert "2025/11/16/api/page.json" not in kept
    assert kept["2025/11/16/api/page-2.json"] == b"[]"
    assert kept["2025/11/16/s3/b.parquet"] == b"two"
    assert (manifest["sources"]["s3"]["run_id"], manifest["sources"]["api"]["run_id"]) == ("run1", "run2")


def test_what_cannot_be_written_is_said(landing: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    with pytest.raises(ArchiveError, match="blocked"):
        archive_day(str(tmp_path / "blocked"), DAY, landing, ["s3"], "run1")
