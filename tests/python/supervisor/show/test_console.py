"""What a person sees of a run: promises of the consoles."""

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from face_samples import REPAIR, RUN_ID, endings, partial, success, with_every_text

from supervisor.record.summary import Summary
from supervisor.show.console import LiveConsole, PlainConsole, QuietConsole, make_console

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
    console.run_finished(Summary.model_validate(summary))


def plain_lines(summary: dict[str, Any], text: str | None = None) -> list[str]:
    stream = io.StringIO()
    play(PlainConsole(stream, clock=lambda: datetime(2025, 11, 16, 2, 0, 4, tzinfo=UTC)), summary, text)
    return stream.getvalue().splitlines()


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
    assert "+-- " in text
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
        console.run_finished(Summary.model_validate(endings()[status]))
        assert stream.getvalue() == ""


def test_quiet_speaks_when_a_person_is_needed() -> None:
    stream = io.StringIO()
    console = QuietConsole(stream)
    console.message("no such source", error=True)
    console.run_finished(Summary.model_validate(partial()))
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
        import contextlib, signal
        from supervisor.show.console import make_console
        # a child that nobody ends must not outlive the test
        signal.alarm(60)
        with contextlib.closing(make_console("auto")) as console:
            console.phase_started("collect", "Data Collection")
            console.step(("s3",), "S3 Collection", "running")
            signal.pause()
    """)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(master)
    env = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(PROJECT)}
    env.pop("CI", None)
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=slave,
        env=env,
        # whoever runs the tests in the background may have it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(slave)
    seen = bytearray()
    is_told = False
    # linux says so when the child, the last one to hold the other end, is gone
    with contextlib.suppress(OSError):
        while chunk := os.read(master, 4096):
            seen.extend(chunk)
            if not is_told and b"S3 Collection" in seen:
                child.send_signal(kind)
                is_told = True
    child.wait()
    after = termios.tcgetattr(master)
    os.close(master)
    text = seen.decode()
    assert is_told, text
    if kind is signal.SIGINT:
        assert "Phase 1: ✗ INTERRUPTED" in visible(text)
    assert text.rfind("\x1b[?25h") >= text.rfind("\x1b[?25l")
    assert before == after


def test_the_live_repair_command_is_one_line_even_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    LiveConsole(stream, force=True).run_finished(Summary.model_validate(partial()))
    assert REPAIR in visible(stream.getvalue()).splitlines()
