"""A file is there whole, or as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.common.files import replaced, write_file, write_json
from supervisor.common.processes import python_path

KILLED = """
import os, signal, sys
from pathlib import Path
from supervisor.common.files import replaced
with replaced(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("content", ["naïve\r\ntext\n", b"\x00\xff"])
def test_text_and_bytes_are_written_as_they_are(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new folder" / "file"
    write_file(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(path.parent.iterdir()) == [path]


def test_json_is_readable_and_ends_with_a_line_end(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "naïve", "path": tmp_path})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "naïve" in text
    assert json.loads(text) == {"name": "naïve", "path": str(tmp_path)}


def test_two_files_that_differ_in_their_ending_don_t_share_a_partial(tmp_path: Path) -> None:
    with replaced(tmp_path / "a.json") as one, replaced(tmp_path / "a.html") as other:
        one.write_text("1")
        other.write_text("2")
    assert ((tmp_path / "a.json").read_text(), (tmp_path / "a.html").read_text()) == ("1", "2")


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(TypeError), replaced(path) as partial:
        partial.write_text(3)  # type: ignore[arg-type]
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "before")]


def test_a_kill_leaves_the_file_as_it_was_and_the_next_write_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env={**os.environ, "PYTHONPATH": python_path()}, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "before"
    write_file(path, "after")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("file", "after")]
