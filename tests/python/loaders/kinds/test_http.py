"""The guarded session's own rules: what an origin is, and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from loaders.kinds.http import origin_as_sent, origin_of, retry_after


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("0", None, None),
        ("2", 2, 2),
        ("86400", 86400, 86400),
        (format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True), 100, 1000),
        (format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("inf", None, None),
        (None, None, None),
    ],
    # a time in an id would let two workers collect two tests
    ids=["zero", "seconds", "a day", "a date to come", "a date gone by", "a word", "negative", "infinite", "none"],
)
def test_retry_after_is_read(header: str | None, least: float | None, most: float | None):
    seconds = retry_after(header)
    if least is None or most is None:
        assert seconds is None
    else:
        assert seconds is not None
        assert least <= seconds <= most


def test_origins_are_compared_with_their_ports():
    assert origin_of("http://a/x") == origin_of("http://A:80/y?z")
    assert origin_of("https://a") != origin_of("http://a")
    assert origin_of("http://a:81") != origin_of("http://a")


@pytest.mark.parametrize(
    "url",
    [
        "http://evil:1\\@good:2/x",
        "http://g%6fod/x",
        "http://user@good/x",
        "http://good:2\t/x",
        " http://good/x",
        "http:///good",
        "http:good",
        "//good",
        "file:///etc/passwd",
        "ftp://good/",
        "http://[bad/",
        "http://good:port/",
        "",
    ],
)
def test_a_url_that_can_be_read_in_two_ways_has_no_origin(url: str):
    with pytest.raises(ValueError, match=r"no http URL|Invalid|Failed to parse|Port|port"):
        origin_of(url)


def test_the_origin_is_of_the_url_as_it_is_sent():
    assert origin_as_sent("http://evil:1\\@good:2/x") == "http://evil:1"
    assert origin_as_sent("http://b\u00fccher.example/x") == "http://xn--bcher-kva.example:80"
    assert origin_as_sent("https://[::1]/x") == "https://[::1]:443"
