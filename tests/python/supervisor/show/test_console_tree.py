"""The tree of a phase: its shape, and how it fits a terminal."""

from __future__ import annotations

import re

import pytest
from face_samples import drawn
from rich.cells import cell_len

from supervisor.show.console_tree import PhaseTree, draw_tree


def test_a_failed_source_says_so_once() -> None:
    tree = PhaseTree("collect", "Data Collection")
    tree.upsert(("api",), "API Collection", "running", 0)
    tree.upsert(("api", "end"), "FAILED (all retries exhausted)", "failed", 0)
    tree.upsert(("api", "end", "log"), "Logging failure: API unavailable", "info", 0)
    tree.upsert(("api",), "", "failed", 0)
    assert drawn(draw_tree(tree, "utf-8"), 80) == [
        "Phase 1: Data Collection",
        "└── API Collection...",
        "    └── ✗ FAILED (all retries exhausted)",
        "        └── Logging failure: API unavailable",
    ]


def test_a_running_step_shows_its_age_and_the_tree_fits_a_low_terminal() -> None:
    tree = PhaseTree("collect", "Data Collection")
    for source in ("s3", "postgres", "api"):
        tree.upsert((source,), f"{source} Collection", "running", 10.0)
        for number in range(9):
            tree.upsert((source, str(number)), f"line {number}", "info", 10.0)
    tree.upsert(("s3",), "", "ok", 11.0)
    lines = drawn(draw_tree(tree, "utf-8", now=15.0), 80)
    assert lines[0] == "Phase 1: Data Collection [In Progress]"
    assert any(re.search(r"api Collection\.\.\. . 5 s", line) for line in lines)
    folded = drawn(draw_tree(tree, "utf-8", now=15.0, height=23), 80)
    assert "├── s3 Collection... ✓ COMPLETED" in folded
    low = drawn(draw_tree(tree, "utf-8", now=15.0, height=8), 80)
    assert len(low) == 8
    assert low[0] == lines[0]
    assert low[1] == f"… {len(folded) - 7} lines above"
    assert low[-1].endswith("line 8")


def test_a_stream_without_utf8_gets_a_tree_of_ascii() -> None:
    tree = PhaseTree("validate", "Quality Validation")
    tree.upsert(("tests",), "dbt tests", "failed", 0)
    tree.upsert(("duplicates",), "Duplicate detection", "running", 0)
    tree.upsert(("duplicates", "found"), "Found: 中", "ok", 0)
    assert drawn(draw_tree(tree, "ascii", now=2.0), 80, "ascii") == [
        "Phase 3: Quality Validation [In Progress]",
        "+-- dbt tests... [x] FAIL",
        "`-- Duplicate detection... | 2 s",
        "    `-- Found: [ok] \\u4e2d",
    ]


def test_a_drawn_tree_does_not_change_with_the_phase() -> None:
    phase = PhaseTree("collect", "Data Collection")
    phase.upsert(("s3",), "S3 Collection", "ok", 0)
    tree = draw_tree(phase, "utf-8")
    phase.upsert(("s3", "records"), "Records: 10", "info", 0)
    assert drawn(tree, 80) == ["Phase 1: Data Collection", "└── S3 Collection... ✓ COMPLETED"]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_of_the_tree_is_wider_than_the_terminal(width: int, encoding: str) -> None:
    tree = PhaseTree("collect", "Data Collection")
    tree.upsert(("a", "b", "c"), "中文" * 70 + " " + "x" * 150, "failed", 0)
    finished = drawn(draw_tree(tree, encoding), width, encoding)
    running = drawn(draw_tree(tree, encoding, now=1.0), width, encoding)
    assert all(cell_len(line) <= width for line in [*finished, *running])
    assert "".join(finished).count("x") == 150 + (encoding == "ascii")
    assert len(running) == 4
