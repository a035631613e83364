"""The closing words of a run, and the box around them."""

from __future__ import annotations

import io
import re
from typing import Any, cast

import pytest
from face_samples import REPAIR, RUN_ID, drawn, endings, failed, partial, success, with_every_text
from rich.cells import cell_len
from rich.console import Console

from supervisor.record.summary import Summary
from supervisor.show.box import Closing, Row, closing_box
from supervisor.show.closing import closing_of


def box(summary: dict[str, Any], width: int = 80, encoding: str = "utf-8") -> str:
    closing = closing_of(Summary.model_validate(summary))
    return "\n".join([closing.headline, *drawn(closing_box(closing, encoding), width, encoding), closing.repair])


def test_the_box_of_a_success_tells_the_whole_day() -> None:
    text = box(success(), 100)
    for line in (
        "Pipeline Execution: ✓ SUCCESS (18 s total)",
        "- S3: 250,000 records (2.5 s)",
        "- API: 15,000 records (2.5 s, 1 retry)",
        "- Total: 340,000 records",
        "- Transformed: 334,900 records (98.5%)",
        "- Failed: 5,100 records (1.5%, quarantined)",
        "- Completeness: 99.04% ✓",
        "- Accuracy: 99.91% ✓",
        "- Consistency: 100% ✓",
        "- Duplicates: 1,800 removed",
        "Goal: 7 of 7 criteria met",
        "- Warehouse: 333,100 records",
        "340,000 = 333,100 published + 5,100 quarantined + 1,800 duplicates ✓",
        "- API: Timeout (1 retry, resolved)",
        "- 5,100 transformation failures (quarantined)",
        "- 300 out-of-range values (flagged)",
        "- 250 statistical outliers (flagged for review)",
        "python orchestrate.py quarantine list --date 2025-11-16",
        f"reports/quality_{RUN_ID}.html",
    ):
        assert line in text, line


def test_the_box_of_a_partial_day_says_what_is_missing_and_how_to_repair_it() -> None:
    text = box(partial())
    assert "⚠ PARTIAL SUCCESS" in text
    assert "Data collected from 2/3 sources (API unavailable)" in text
    assert "Published: 318,500 records" in text
    assert "Missing: API source" in text
    assert "Investigate API: Connection refused (3 tries)" in text
    assert text.splitlines()[-1] == REPAIR


def test_the_box_of_an_escalation_shows_figure_threshold_and_offenders() -> None:
    text = box(endings()["ESCALATED"])
    for line in (
        "✗ ESCALATED - nothing was published",
        "Reason: accuracy is below its threshold after 3 iterations",
        "- Current: 97.996% ✗",
        "- Threshold: ≥ 98%",
        "- s3: 6,400 of 250,000 out of range",
        "- api: 211 of 15,000 out of range",
        "is unchanged",
        "Ask who changed the feed of s3",
        f"python orchestrate.py explain {RUN_ID}",
    ):
        assert line in text, line


def test_the_box_of_a_failure_says_why_and_that_nothing_changed() -> None:
    text = box(failed())
    assert "✗ FAILED" in text
    assert "no space left on device" in text
    assert "Nothing was published." in text


def test_a_complete_day_is_told_in_two_lines() -> None:
    closing = closing_of(Summary.model_validate(endings()["NOTHING_TO_DO"]))
    assert [row.text for row in closing.rows] == [
        f"2025-11-16 is complete: 333,100 records published by run {RUN_ID}.",
        "To run it again: python orchestrate.py --date 2025-11-16 --force",
    ]


def test_an_issue_is_named_only_if_its_figure_is_above_zero() -> None:
    summary = success()
    for key in ("quarantined", "missing_required", "flagged", "anomalies"):
        summary[key] = 0
    summary["sources"]["api"] |= {"tries": 1, "reason": None}
    text = box(summary)
    assert "Issues:" not in text
    assert "quarantine list" not in text


def test_sums_that_do_not_add_up_are_called_out() -> None:
    summary = success() | {"published": 333_088}
    assert "✗ 12 records unaccounted for" in box(summary, 100)


def test_commands_name_the_warehouse_when_it_is_not_the_default() -> None:
    assert "--date 2025-11-16 --target postgres" in box(success() | {"target": "postgres"})


def test_a_command_too_wide_for_the_box_still_pastes() -> None:
    closing = Closing("", "t", (Row("python orchestrate.py quarantine list --date 2025-11-16", "command"),))
    inner = [line.strip("│ ") for line in drawn(closing_box(closing, "utf-8"), 44)[3:-1]]
    assert " ".join(line.removesuffix("\\").strip() for line in inner) == closing.rows[0].text
    assert all(line.endswith("\\") for line in inner[:-1])


@pytest.mark.parametrize(
    ("encoding", "rule", "wall", "mark"), [("utf-8", "┌─┐├─┤└─┘", "│", "✓"), ("ascii", "+-++-++-+", "|", "[ok]")]
)
def test_the_title_of_the_box_stands_above_a_line(encoding: str, rule: str, wall: str, mark: str) -> None:
    closing = Closing("", "✓ done", (Row("Goal:", "heading"), Row(), Row("met ✓", "item")))
    top, middle, bottom = (rule[at] + rule[at + 1] * 62 + rule[at + 2] for at in (0, 3, 6))
    title, *rows = (f"{wall} {text.replace('✓', mark):60} {wall}" for text in ("✓ done", "Goal:", "", "- met ✓"))
    assert drawn(closing_box(closing, encoding), 80, encoding) == [top, title, middle, *rows, bottom]


def test_of_the_box_only_its_frame_and_dashes_are_dim() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", _environ={})
    console.print(closing_box(closing_of(Summary.model_validate(success())), "utf-8"))
    dim = re.findall(r"\x1b\[2m([^\x1b]*)", cast(io.StringIO, console.file).getvalue())
    assert {"│", "- "} <= set(dim)
    assert not re.search(r"\w", "".join(dim))


def test_an_item_hangs_below_its_dash_and_keeps_every_word() -> None:
    words = " ".join(f"word{number}" for number in range(40))
    inner = [line[2:-2] for line in drawn(closing_box(Closing("", "t", (Row(words, "item"),)), "utf-8"), 60)[3:-1]]
    assert inner[0].startswith("- word0 ")
    assert all(line.startswith("  word") for line in inner[1:])
    assert " ".join(line[2:].strip() for line in inner) == words


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_of_the_box_is_wider_than_the_terminal(width: int, encoding: str) -> None:
    wide = "中文" * 70 + " " + "x" * 150
    for summary in [*endings().values(), with_every_text(partial(), wide)]:
        lines = drawn(closing_box(closing_of(Summary.model_validate(summary)), encoding), width, encoding)
        assert {cell_len(line) for line in lines} == {cell_len(lines[0])}
        assert cell_len(lines[0]) <= min(width, 100)
