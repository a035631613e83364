"""Where objects are: a folder is listed as a bucket is, and an object is the one that was listed or it is lost."""

from __future__ import annotations

import os
import socket
import zlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from loader_helpers import DAY, S3_KEYS, Answer, Bucket, ScriptedApi, listed_keys, load, make_attempt, read_rows, values

from loaders.errors import SourceError
from loaders.kinds import s3, stores
from loaders.kinds.s3 import S3Source, open_s3
from loaders.sources import check_source


def folder_source(folder: Path, **changes: Any) -> S3Source:
    given = {"bucket_url": folder.as_uri(), "path": "{date:%Y-%m-%d}/", **changes}
    return s3.read("lake", given, "sources.lake")


def put(folder: Path, **files: bytes) -> None:
    for name, body in files.items():
        path = folder / "2025-11-16" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def test_a_folder_is_listed_as_a_bucket_is(bucket: Bucket, tmp_path: Path):
    below = "a.csv c.json sub/b.csv _SUCCESS _temporary/0/a.csv .hidden/a.csv .DS_Store".split()  # noqa: SIM905
    beside = ["x/16-old/a.csv", "x/160/a.csv", "x/2025-11-16.csv", "x/2025-11-16.csv.bak", "x/p-16-0.csv", "top.csv"]
    keys = [*(f"x/16/{name}" for name in below), *beside]
    root = tmp_path / "my data"
    for key in keys:
        bucket.put(key, b"x\n1\n")
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"x\n1\n")
    deadline = make_attempt(tmp_path).deadline
    seen = set()
    for path in (
        "",
        "x",
        "x/",
        "x/{date:%d}",
        "x/16/",
        "x/16/sub",
        "x/{date:%Y-%m-%d}.csv",
        "x/p-{date:%d}",
        "no/such/",
    ):
        for glob in ("*", "*.csv", "sub/*"):
            chosen = {"path": path, "file_glob": glob}
            expected = listed_keys(bucket.source(**chosen), deadline)
            assert listed_keys(folder_source(root, **chosen), deadline) == expected
            seen.update(expected)
    assert len(seen) == 9


def test_files_of_a_folder_are_loaded_and_kept_as_received(tmp_path: Path):
    put(tmp_path, a=b"x\n1\n", b=b"x\n2\n")
    loaded = load([folder_source(tmp_path)], tmp_path / "work")
    started = loaded.of("source_started")[0]
    assert (started["title"], started["place"], started["location"]) == ("Files", "Folder", f"{tmp_path}/2025-11-16/")
    assert loaded.query("select source_object, x from raw_lake.events order by 1") == [
        ("2025-11-16/a.csv", "1"),
        ("2025-11-16/b.csv", "2"),
    ]
    assert (tmp_path / "work" / "landing" / "lake" / "a.csv").read_bytes() == b"x\n1\n"


def test_a_missing_folder_fails_and_a_missing_day_is_no_data(tmp_path: Path):
    source = folder_source(tmp_path / "no")
    with pytest.raises(SourceError, match="no such folder") as caught:
        open_s3(source, make_attempt(tmp_path))
    assert not caught.value.transient
    (check,) = check_source(source, DAY)
    assert (check.name, check.ok) == ("list", False)
    (tmp_path / "no").mkdir()
    with pytest.raises(SourceError, match=r"no objects below .*/no/2025-11-16/") as caught:
        open_s3(source, make_attempt(tmp_path))
    assert caught.value.no_data
    put(tmp_path / "no", a=b"x\n1\n")
    assert [(check.name, check.ok) for check in check_source(source, DAY)] == [
        ("reach", True),
        ("list", True),
        ("day", True),
        ("read", True),
    ]


def test_what_else_lies_in_a_folder_neither_hangs_nor_hides_a_file(tmp_path: Path):
    put(tmp_path, a=b"x\n1\n")
    day = tmp_path / "2025-11-16"
    (day / "deep").mkdir()
    (day / "deep" / "loop").symlink_to(day)
    other = tmp_path / "other"
    other.mkdir()
    (other / "linked.csv").write_bytes(b"x\n2\n")
    (day / "elsewhere").symlink_to(other)
    (day / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    (day / "itself.csv").symlink_to(day / "itself.csv")
    os.mkfifo(day / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(day / "s.csv"))
    Path(os.fsdecode(os.fsencode(day) + b"/caf\xe9.csv")).write_bytes(b"x\n3\n")
    loaded = load([folder_source(tmp_path)], tmp_path / "work")
    done = loaded.finished("lake")
    assert done["status"] == "loaded"
    assert loaded.query("select source_object from raw_lake.events where reject_reason is null order by 1") == [
        ("2025-11-16/a.csv",),
        ("2025-11-16/elsewhere/linked.csv",),
    ]
    lost = {each["object"]: each["reason"] for each in done["detail"]["incomplete"]}
    assert set(lost) == {f"2025-11-16/{name}.csv" for name in ("caf\\xe9", "gone", "itself")}
    assert "No such file" in lost["2025-11-16/gone.csv"]


def test_a_file_written_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path, a=b"x\n1\n", b=b"x\n2\n")
    real = stores.Folder.chunks
    times: list[str] = []

    def write_meanwhile(store: stores.Folder, listed: stores.StoredObject) -> Any:
        times.append(listed.key)
        # once only, whichever file is fetched first
        if listed.key.endswith("a.csv") and times.count(listed.key) == 1:
            put(tmp_path, a=b"x\n10\n")
        yield from real(store, listed)

    monkeypatch.setattr(stores.Folder, "chunks", write_meanwhile)
    loaded = load([folder_source(tmp_path)], tmp_path / "work")
    assert loaded.of("attempt_failed")[0]["error"] == "object replaced"
    assert loaded.query("select x from raw_lake.events order by 1") == [("10",), ("2",)]


class ScriptedBucket:
    """An S3 endpoint whose objects a test makes as broken as it likes."""

    def __init__(self, api: ScriptedApi) -> None:
        self.api = api
        self.objects: dict[str, Answer] = {}
        api.script = self.answer

    def put(self, key: str, body: bytes = b"x\n1\n", status: int = 200, **headers: str) -> None:
        self.objects[key] = Answer(
            body, status, {"ETag": '"listed"', **{k.replace("_", "-"): v for k, v in headers.items()}}
        )

    def answer(self, path: str, number: int) -> Answer:
        if "list-type" not in path:
            return self.objects[path.partition("/lake/")[2]]
        contents = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2025-11-17T00:00:00Z</LastModified>"
            "<ETag>&quot;listed&quot;</ETag><Size>4</Size></Contents>"
            for key in self.objects
        )
        return Answer(f"<ListBucketResult>{contents}</ListBucketResult>".encode(), headers={"Content-Type": "text/xml"})

    def source(self) -> S3Source:
        credentials = {**S3_KEYS, "endpoint_url": self.api.url}
        given = {"bucket_url": "s3://lake", "timeout_s": 5, "credentials": credentials}
        return s3.read("lake", given, "sources.lake")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"ETag": '"another"'}, "changed after it was listed"),
        ({"status": 412, "body": b""}, "changed after it was listed"),
        ({"status": 404, "body": b"<Error><Code>NoSuchKey</Code></Error>"}, "changed after it was listed"),
        ({"body": b"x\n"}, "has 4 bytes and 2 came"),
        ({"x_amz_checksum_crc32": b64encode(zlib.crc32(b"x\n2\n").to_bytes(4, "big")).decode()}, "another checksum"),
        ({"status": 403, "body": b"<Error><Code>AccessDenied</Code></Error>"}, "permission denied"),
        ({"status": 403, "body": b"<Error><Code>InvalidObjectState</Code></Error>"}, "InvalidObjectState"),
    ],
)
def test_an_object_that_never_comes_as_it_was_listed_is_lost_and_the_others_are_not(
    api: ScriptedApi, tmp_path: Path, broken: dict[str, Any], reason: str
):
    bucket = ScriptedBucket(api)
    bucket.put("a.csv")
    bucket.put("b.csv", **broken)
    checksum = b64encode(zlib.crc32(b"x\n1\n").to_bytes(4, "big")).decode()
    bucket.put("c.csv", x_amz_checksum_crc32=checksum)
    loaded = load([bucket.source()], tmp_path / "work")
    done = loaded.finished("lake")
    assert done["status"] == "loaded", done
    assert loaded.query("select source_object, x, reject_reason from raw_lake.events order by 1") == [
        ("a.csv", "1", None),
        ("b.csv", None, "object_unreadable"),
        ("c.csv", "1", None),
    ]
    (lost,) = done["detail"]["incomplete"]
    assert reason in lost["reason"]
    assert (lost["object"], lost["etag"], lost["size"]) == ("b.csv", '"listed"', 4)


def test_a_bucket_whose_objects_may_not_be_read_fails(api: ScriptedApi, tmp_path: Path):
    bucket = ScriptedBucket(api)
    for name in ("a.csv", "b.csv"):
        bucket.put(name, b"<Error><Code>AccessDenied</Code></Error>", 403)
    done = load([bucket.source()], tmp_path / "work").finished("lake")
    assert (done["status"], done["transient"]) == ("failed", False)
    assert "permission denied" in done["reason"]


def test_rows_of_lost_objects_come_once(tmp_path: Path):
    put(tmp_path, a=b"x\n1\n", b=b"\x1f\x8bgzip")
    rows = read_rows(open_s3(folder_source(tmp_path), make_attempt(tmp_path)))
    assert values(rows, "source_object", "source_row") == [("2025-11-16/a.csv", 1), ("2025-11-16/b.csv", 0)]
