"""No secret gets out: not in events, not in logs, not in messages."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

import loaders.redact as redaction
from loaders.events import Events
from loaders.redact import log_to_file, redact, register_secrets


@pytest.fixture(autouse=True)
def no_secrets_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words that are secrets here must stay readable in other tests."""
    monkeypatch.setattr(redaction, "_secrets", {})


@pytest.fixture
def quiet_logging():
    root, dlt = logging.getLogger(), logging.getLogger("dlt")
    kept = root.handlers[:], root.level, dlt.handlers[:], dlt.propagate
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level, dlt.handlers[:], dlt.propagate = kept


def test_registered_secrets_are_replaced_as_whole_words():
    register_secrets(["canary-1/&x", "post"], public=["postgres"])
    assert redact("password canary-1/&x!") == "password ***!"
    assert redact("GET /?k=canary-1%2F%26x") == "GET /?k=***"
    assert redact("raw_postgres and postgres and post") == "raw_postgres and postgres and ***"


@pytest.mark.parametrize("secret", ["tOkEnOfMixedCase", "s3cr3t-v4lue", "onlylowercaselettersbutlong", 'k9/+=&"q2w'])
def test_a_secret_that_is_no_word_is_replaced_wherever_it_stands(secret: str):
    register_secrets([secret])
    for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
        assert redact(f"x{form}y, _{form}_ and 0{form}0") == "x***y, _***_ and 0***0"


@pytest.mark.parametrize(
    ("secret", "around"),
    [
        ("post", "postgres"),
        ("warehouse", "warehouses"),
        ("Warehouse", "Warehouses"),
        ("POSTGRES", "POSTGRES_HOST"),
        ("20251116", "120251116"),
        ("2025-11", "2025-1116"),
        ("a1b2", "a1b2c3"),
        ("aaaa1111", "aaaa11112"),
    ],
)
def test_a_secret_that_may_be_a_word_or_a_date_defaces_no_longer_one(secret: str, around: str):
    register_secrets([secret])
    assert redact(f"{around} and {secret}") == f"{around} and ***"


def test_a_secret_that_begins_with_another_is_replaced_whole():
    register_secrets(["n0t-short-1", "n0t-short-1-and-longer"])
    assert redact("n0t-short-1-and-longer") == "***"


def test_a_secret_that_is_a_public_name_does_not_deface_messages():
    register_secrets(["lake", "abc"], public=["lake"])
    assert redact("source 'lake' abc") == "source 'lake' abc"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://loader:hunter2@db/shop", "hunter2"),
        ("https://user@host/x", "user@"),
        ("postgresql://loader:p@ss-w0rd@db/shop", "ss-w0rd"),
        ("http://evil:p\\\\@good:80/x", "evil"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ("token=abc123&x=1", "abc123"),
        ('{"api_key": "abc123"}', "abc123"),
        ("aws_secret_access_key = abc123", "abc123"),
        ("X-Amz-Signature=abc123", "abc123"),
        ("password='abc 123'", "abc"),
    ],
)
def test_unregistered_secrets_are_known_by_their_place(text: str, hidden: str):
    assert hidden not in redact(text)


def test_events_are_redacted_whole_and_one_line_each():
    register_secrets(["canary-event"])
    stream = io.StringIO()
    events = Events(stream)
    events.emit("x", source="a", detail={"deep": ["line\nbreak canary-event"]}, number=1)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["detail"] == {"deep": ["line\nbreak ***"]}


def test_a_source_that_has_finished_says_nothing_more():
    stream = io.StringIO()
    events = Events(stream)
    events.emit("source_finished", source="a", status="failed")
    events.emit("attempt_failed", source="a")
    events.emit("source_finished", source="a", status="loaded")
    events.emit("source_progress", source="b")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "source_finished",
        "source_progress",
    ]


@pytest.mark.usefixtures("quiet_logging")
def test_the_log_file_holds_no_secret_not_even_in_a_traceback(tmp_path: Path):
    register_secrets(["canary-log"])
    logger = log_to_file(tmp_path / "loaders.log")
    try:
        raise ValueError("canary-log in an exception")
    except ValueError:
        logger.exception("failed with %s", "canary-log")
    logging.getLogger("dlt").warning("canary-log")
    text = (tmp_path / "loaders.log").read_text()
    assert "Traceback" in text
    assert "canary-log" not in text
