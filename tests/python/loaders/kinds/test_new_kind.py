"""A new kind of source is one file and a line of the registry: nothing else has to know it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loader_helpers import DAY, load

from loaders.config import configured_source_names, read_sources
from loaders.kinds import MODULES
from loaders.sources import check_source

KIND = '''
"""Lines of a text that stands in the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import pyarrow as pa

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.formats.raw import PAYLOAD, TEXT, raw_schema, stamped
from loaders.kinds.checks import Check
from loaders.kinds.one_endpoint import OneEndpoint


@dataclass(frozen=True)
class TextSource(OneEndpoint):
    name: str
    text: str
    allow_empty: bool = False
    kind: ClassVar[str] = "text"
    title: ClassVar[str] = "Text"
    place: ClassVar[str] = "Words"
    nothing_came: ClassVar[str] = "no lines"
    libraries: ClassVar[tuple[str, ...]] = ()

    def location(self, day: date) -> str:
        return self.text[:10]

    def subject(self, day: date) -> str:
        return "text"

    def open(self, attempt: Attempt) -> Extraction:
        lines = self.text.split("|")
        schema = raw_schema([])
        rows = stamped(
            schema, {PAYLOAD: pa.array(lines, TEXT)}, len(lines),
            stamp=attempt.stamp, source_object="text", source_rows=1,
        )
        return Extraction({"lines": schema}, iter([("lines", rows)]))

    def check(self, day: date, deadline: Deadline) -> list[Check]:
        return [Check("reach", True, "it is here")]


def read(name: str, values: dict[str, Any], where: str) -> TextSource:
    return TextSource(name, values["text"])
'''


@pytest.fixture
def text_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "text_kind.py").write_text(KIND)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(MODULES, "text", "text_kind")
    monkeypatch.setenv("SOURCES__NOTES__KIND", "text")
    monkeypatch.setenv("SOURCES__NOTES__TEXT", "one|two|three")
    yield
    sys.modules.pop("text_kind", None)


@pytest.mark.usefixtures("text_kind")
def test_a_new_kind_is_configured_checked_and_loaded(tmp_path: Path) -> None:
    assert configured_source_names() == ["notes"]
    (source,) = read_sources()
    assert [check.ok for check in check_source(source, DAY)] == [True]
    loaded = load([source], tmp_path / "work")
    (started,) = loaded.of("source_started", "notes")
    assert (started["title"], started["place"], started["location"]) == ("Text", "Words", "one|two|th")
    finished = loaded.finished("notes")
    assert (finished["status"], finished["collected"]) == ("loaded", 3), json.dumps(finished)
    rows = loaded.query("select payload, source_row from raw_notes.lines order by source_row")
    assert rows == [("one", 1), ("two", 2), ("three", 3)]
