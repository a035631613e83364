"""What a person sees of a run: promises of the consoles and of the closing box."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from face_samples import REPAIR, RUN_ID, endings, failed, partial, success, with_every_text
from rich.cells import cell_len

from supervisor.common.text import duration, measure, plain_text, share
from supervisor.record.summary import Summary
from supervisor.show.box import Closing, Row, draw_box
from supervisor.show.closing import closing_of
from supervisor.show.console import LiveConsole, PlainConsole, QuietConsole, make_console
from supervisor.show.console_tree import PhaseTree, Signs

PROJECT = Path(__file__).parents[4]
HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold red]x[/] [/nope] \r\n\x00\u202eabc\u2028end \x9b2J"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


class Terminal(io.StringIO):
    """A stream in memory that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return True


def visible(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def play(console: Any, summary: dict[str, Any], text: str | None = None) -> None:
    """Run a short day through a console; `text` stands for every text that data may reach."""
    console.run_started(run_id=text or RUN_ID, date="2025-11-16", target="duckdb", notes=[text or "a note"])
    console.phase_started("collect", text or "Data Collection")
    console.step(("s3",), text or "S3 Collection", "running")
    console.step(("s3", "records"), text or "Records: 250,000", "info")
    console.step(("api", "1"), text or "Attempt 1: Timeout", "failed")
    console.step(("api", "2"), text or "Attempt 2: Success", "ok")
    console.step(("api",), text or "API Collection", "ok")
    console.message(text or "said in between")
    console.step(("s3",), "", "ok")
    console.phase_finished("collect", "COMPLETED", [text or "- Total records: 340,000"])
    console.message(text or "an error", error=True)
    console.run_finished(summary)


def plain_lines(summary: dict[str, Any], text: str | None = None) -> list[str]:
    stream = io.StringIO()
    play(PlainConsole(stream, clock=lambda: datetime(2025, 11, 16, 2, 0, 4, tzinfo=UTC)), summary, text)
    return stream.getvalue().splitlines()


def box(summary: dict[str, Any], width: int = 80, encoding: str = "utf-8") -> str:
    closing = closing_of(Summary.model_validate(summary))
    return "\n".join([closing.headline, *draw_box(closing, width, encoding), closing.repair])


def test_plain_lines_can_be_grepped_by_phase_and_source() -> None:
    lines = plain_lines(success())
    assert "2025-11-16T02:00:04Z  collect  s3  Records: 250,000" in lines
    assert "2025-11-16T02:00:04Z  collect  api  Attempt 1: Timeout  [failed]" in lines
    assert "2025-11-16T02:00:04Z  collect  phase  Phase 1: COMPLETED" in lines
    assert all(re.match(r"2025-11-16T02:00:04Z  \S+  \S+  \S", line) for line in lines)


def test_plain_lines_say_each_change_once() -> None:
    stream = io.StringIO()
    console = PlainConsole(stream)
    console.phase_started("collect", "Data Collection")
    for _ in range(3):
        console.step(("s3", "records"), "Records: 10", "info")
    console.step(("s3", "records"), "Records: 20", "info")
    assert stream.getvalue().count("Records: 10") == 1
    assert stream.getvalue().count("Records: 20") == 1


def test_plain_lines_hold_no_control_character_whatever_the_data() -> None:
    text = "\n".join(plain_lines(with_every_text(partial(), HOSTILE), HOSTILE))
    assert not CONTROL.search(text)
    assert "\x1b" not in text
    assert "[bold red]x[/]" in text


def test_the_repair_command_has_a_plain_line_of_its_own() -> None:
    assert [line for line in plain_lines(partial()) if line.endswith("  run  repair  " + REPAIR)]


def test_a_message_of_several_lines_stays_several_lines() -> None:
    stream = io.StringIO()
    PlainConsole(stream).message("Traceback:\n  File x\nError", error=True)
    assert [line.split("  run  error  ")[1] for line in stream.getvalue().splitlines()] == [
        "Traceback:",
        "File x",
        "Error",
    ]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_without_utf8_gets_signs_it_can_show(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    play(PlainConsole(stream), partial(), "Zürich ✓ 中文 → x")
    play(LiveConsole(stream, force=True), partial(), "Zürich ✓ 中文 → x")
    stream.flush()
    text = raw.getvalue().decode(encoding)
    assert "[ok]" in text
    assert "`-- " in text
    assert "\\u4e2d" in text


def test_lone_surrogates_do_not_break_a_console() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", errors="strict")
    play(PlainConsole(stream), success(), "a\ud800b")
    play(LiveConsole(stream, force=True), success(), "a\ud800b")
    stream.flush()
    assert b"ab" in raw.getvalue()


def test_quiet_says_nothing_when_all_is_well() -> None:
    for status in ("SUCCESS", "NOTHING_TO_DO"):
        stream = io.StringIO()
        console = QuietConsole(stream)
        console.run_started(run_id=RUN_ID, date="2025-11-16", target="duckdb", notes=[])
        console.phase_started("collect", "Data Collection")
        console.step(("s3",), "S3 Collection", "failed")
        console.message("words")
        console.phase_finished("collect", "COMPLETED", [])
        console.run_finished(endings()[status])
        assert stream.getvalue() == ""


def test_quiet_speaks_when_a_person_is_needed() -> None:
    stream = io.StringIO()
    console = QuietConsole(stream)
    console.message("no such source", error=True)
    console.run_finished(partial())
    assert "no such source" in stream.getvalue()
    assert REPAIR in stream.getvalue()


@pytest.mark.parametrize(
    ("env", "kind"),
    [
        ({"TERM": "xterm"}, LiveConsole),
        ({"TERM": "dumb"}, PlainConsole),
        ({"TERM": "xterm", "CI": "true"}, PlainConsole),
        ({"TERM": "xterm", "CI": "false"}, LiveConsole),
        ({"TERM": "xterm", "NO_COLOR": "1"}, LiveConsole),
    ],
)
def test_auto_draws_only_where_a_person_watches(env: dict[str, str], kind: type) -> None:
    assert isinstance(make_console("auto", stream=Terminal(), env=env), kind)
    assert isinstance(make_console("auto", stream=io.StringIO(), env=env), PlainConsole)


def test_an_unknown_mode_is_an_error_with_the_list() -> None:
    with pytest.raises(ValueError, match="auto, live, plain or quiet"):
        make_console("fancy")  # type: ignore[arg-type]


def test_a_finished_phase_stays_in_the_shape_of_the_transcript() -> None:
    stream = Terminal()
    play(LiveConsole(stream, force=True), success())
    text = visible(stream.getvalue())
    for line in (
        "Phase 1: Data Collection",
        "├── S3 Collection...",
        "│   ├── Records: 250,000",
        "│   └── ✓ COMPLETED",
        "└── API Collection...",
        "    ├── Attempt 1: ✗ Timeout",
        "    └── Attempt 2: ✓ Success",
        "Phase 1: ✓ COMPLETED",
        "- Total records: 340,000",
        f"│ Run ID: {RUN_ID}",
    ):
        assert re.search(rf"^{re.escape(line)}", text, re.MULTILINE), line


def test_a_failed_source_says_so_once() -> None:
    tree = PhaseTree("collect", "Data Collection", 1)
    tree.upsert(("api",), "API Collection", "running", 0)
    tree.upsert(("api", "end"), "FAILED (all retries exhausted)", "failed", 0)
    tree.upsert(("api", "end", "log"), "Logging failure: API unavailable", "info", 0)
    tree.upsert(("api",), "", "failed", 0)
    assert tree.lines(Signs.for_encoding("utf-8"), 80) == [
        "└── API Collection...",
        "    └── ✗ FAILED (all retries exhausted)",
        "        └── Logging failure: API unavailable",
    ]


def test_a_running_step_shows_its_age_and_the_tree_fits_a_low_terminal() -> None:
    tree = PhaseTree("collect", "Data Collection", 1)
    for source in ("s3", "postgres", "api"):
        tree.upsert((source,), f"{source} Collection", "running", 10.0)
        for number in range(9):
            tree.upsert((source, str(number)), f"line {number}", "info", 10.0)
    tree.upsert(("s3",), "", "ok", 11.0)
    signs = Signs.for_encoding("utf-8")
    assert any(re.search(r"api Collection\.\.\. . 5 s", line) for line in tree.lines(signs, 80, now=15.0))
    folded = tree.lines(signs, 80, now=15.0, height=22)
    assert "├── s3 Collection... ✓ COMPLETED" in folded
    low = tree.lines(signs, 80, now=15.0, height=8)
    assert len(low) == 8
    assert low[0].endswith("lines above")
    assert low[-1].endswith("line 8")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_is_wider_than_the_terminal(width: int, encoding: str) -> None:
    wide = "中文" * 70 + " " + "x" * 150
    for summary in [*endings().values(), with_every_text(partial(), wide)]:
        lines = draw_box(closing_of(Summary.model_validate(summary)), width, encoding)
        assert {cell_len(line) for line in lines} <= {cell_len(lines[0])}
        assert cell_len(lines[0]) <= width
    tree = PhaseTree("collect", "Data Collection", 1)
    tree.upsert(("a", "b", "c"), wide, "failed", 0)
    for now in (None, 1.0):
        assert all(cell_len(line) <= width for line in tree.lines(Signs.for_encoding(encoding), width, now=now))


def test_markup_in_data_is_shown_and_not_obeyed() -> None:
    stream = Terminal()
    play(LiveConsole(stream, force=True), with_every_text(partial(), HOSTILE), HOSTILE)
    text = stream.getvalue()
    assert "[bold red]x[/] [/nope]" in visible(text)
    assert "\x1b]0;title" not in text
    assert "\x1b[31mred" not in text
    assert "\u202e" not in text


def test_no_color_takes_the_colour() -> None:
    def colours(env: dict[str, str]) -> list[str]:
        stream = Terminal()
        play(make_console("live", stream=stream, env={"TERM": "xterm-256color", **env}), success())
        return re.findall(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", stream.getvalue())

    assert colours({"NO_COLOR": "1"}) == []


def test_a_console_survives_a_reader_that_is_gone() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise OSError(5, "Input/output error")

    for console in (PlainConsole(Gone()), LiveConsole(Gone(), force=True), QuietConsole(Gone())):
        play(console, partial())
        console.close()


def test_threads_may_report_at_once() -> None:
    plain, stream = io.StringIO(), Terminal()
    for console in (PlainConsole(plain), LiveConsole(stream, force=True)):
        console.phase_started("collect", "Data Collection")

        def report(source: int, to: Any = console) -> None:
            for number in range(200):
                to.step((f"source{source}", str(number)), f"Row {source}-{number}", "info")
                if number % 50 == 0:
                    to.message(f"message {source}-{number}")

        threads = [threading.Thread(target=report, args=(source,)) for source in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=20)
        assert not any(thread.is_alive() for thread in threads)
        console.phase_finished("collect", "COMPLETED", [])
    for text in (plain.getvalue(), visible(stream.getvalue())):
        rows = re.findall(r"Row (\d)-(\d+)\s*$", text, re.MULTILINE)
        assert len(set(rows)) == 800


def test_a_step_after_the_end_is_not_lost() -> None:
    stream = Terminal()
    console = LiveConsole(stream, force=True)
    console.step(("api",), "late news", "failed")
    assert "✗ late news" in visible(stream.getvalue())


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_no_way_to_end_leaves_the_terminal_insane(kind: signal.Signals) -> None:
    script = textwrap.dedent("""
        import contextlib, time
        from supervisor.show.console import make_console
        with contextlib.closing(make_console("auto")) as console:
            console.phase_started("collect", "Data Collection")
            console.step(("s3",), "S3 Collection", "running")
            time.sleep(30)
    """)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    env = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(PROJECT)}
    env.pop("CI", None)
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=slave,
        env=env,
        # whoever runs the tests in the background may have it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    seen = bytearray()

    def read() -> None:
        # linux says so when the other end is closed
        with contextlib.suppress(OSError):
            while chunk := os.read(master, 4096):
                seen.extend(chunk)

    # all the time: a terminal that nobody reads fills up, and whoever writes to it waits
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while b"S3 Collection" not in seen:
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(kind)
    child.wait(timeout=20)
    after = termios.tcgetattr(slave)
    os.close(slave)
    reader.join()
    os.close(master)
    text = seen.decode()
    if kind is signal.SIGINT:
        assert "Phase 1: ✗ INTERRUPTED" in visible(text)
    assert text.rfind("\x1b[?25h") >= text.rfind("\x1b[?25l")
    assert before == after


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


def test_the_live_repair_command_is_one_line_even_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    LiveConsole(stream, force=True).run_finished(partial())
    assert REPAIR in visible(stream.getvalue()).splitlines()


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
    inner = [line.strip("│ ") for line in draw_box(closing, 44)[3:-1]]
    assert " ".join(line.removesuffix("\\").strip() for line in inner) == closing.rows[0].text
    assert all(line.endswith("\\") for line in inner[:-1])


@pytest.mark.parametrize(
    ("value", "threshold", "shown"),
    [
        (0.97996, 0.98, "97.996%"),
        (0.979999999, 0.98, "97.9999999%"),
        (0.98, 0.98, "98%"),
        (0.9999999, 1.0, "99.99999%"),
        (0.020001, 0.02, "2.0001%"),
        (331_700 / 334_900, 0.95, "99.04%"),
        (0.000001, None, "0.0001%"),
        (Fraction(1, 3), 0.98, "33.33%"),
        (Decimal("0.97996"), Decimal("0.98"), "97.996%"),
        (None, 0.98, "unknown"),
        (float("nan"), 0.98, "unknown"),
    ],
)
def test_no_share_is_rounded_across_its_threshold(value: Any, threshold: Any, shown: str) -> None:
    assert share(value, against=threshold) == shown


def test_no_duration_and_no_memory_is_rounded_across_its_limit() -> None:
    assert duration(1800.4, against=1800) == "30 min 0.4 s"
    assert duration(1800, against=1800) == "30 min"
    assert measure(8000.4, "MB", against=8000) == "8.0004 GB"
    assert measure(3.999, "cores", against=4) == "3.999 cores"


def test_escape_sequences_leave_nothing_behind() -> None:
    assert plain_text("\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b]8;;x\x1b\\link\x9b2J") == "red link"
    assert plain_text("a\r\n\tb\x00c") == "a   bc"


def test_no_credential_reaches_a_console() -> None:
    text = plain_text("http://user:canary@host/x?api_key=canary&day=1 password=canary")
    assert "canary" not in text
    assert "day=1" in text
