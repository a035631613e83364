"""Tries and pauses: how many, how long, and what is reported."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from loaders.attempt import Deadline
from loaders.errors import SourceError
from loaders.events import Events
from loaders.retry import BACKOFF_S, JITTER_S, MAX_TRIES, PAUSES_S, Retries


class Steps:
    """A step that fails with what it is given, then succeeds."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def passing(retry_after_s: float | None = None) -> SourceError:
    return SourceError("HTTP 503, GET /", code="HTTP 503", transient=True, retry_after_s=retry_after_s)


@pytest.fixture
def reported() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make(reported: io.StringIO) -> Callable[..., Retries]:
    return lambda seconds=60, **changes: Retries(
        "api", "GET /", Deadline(seconds), Events(reported), **{"backoff_s": 0.001, **changes}
    )


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_pauses_double_from_the_first(make: Callable[..., Retries], reported: io.StringIO):
    assert len(PAUSES_S) == MAX_TRIES - 1
    assert PAUSES_S[0] == BACKOFF_S
    slept: list[float] = []
    retries = make(backoff_s=BACKOFF_S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenacity.nap.time.sleep", slept.append)
        assert retries(Steps(passing(), passing())) == "done"
    for pause, configured in zip(slept, PAUSES_S, strict=True):
        assert configured <= pause <= configured + JITTER_S
    assert retries.tries == MAX_TRIES
    assert [event["attempt"] for event in events(reported)] == [1, 2]


def test_tries_end_with_the_last_error(make: Callable[..., Retries], reported: io.StringIO):
    step = Steps(*(passing() for _ in range(MAX_TRIES + 1)))
    with pytest.raises(SourceError, match="HTTP 503"):
        make()(step)
    assert step.calls == MAX_TRIES
    assert [event["retry_in_s"] is None for event in events(reported)] == [False] * (MAX_TRIES - 1) + [True]


def test_what_cannot_pass_is_tried_once(make: Callable[..., Retries]):
    step = Steps(SourceError("HTTP 403", code="HTTP 403", transient=False))
    with pytest.raises(SourceError, match="HTTP 403"):
        make()(step)
    assert step.calls == 1


@pytest.mark.parametrize("within", [None, 5])
def test_no_pause_passes_a_deadline(make: Callable[..., Retries], within: float | None):
    step = Steps(passing(retry_after_s=30))
    retries = make(60 if within else 5)
    with pytest.raises(SourceError) as caught:
        retries(step, Deadline(within) if within else None)
    assert "the next try would be in 30 s and " in caught.value.text
    assert step.calls == 1


def test_an_unknown_error_is_classified_and_named(make: Callable[..., Retries]):
    step = Steps(ConnectionResetError("connection reset by peer"))
    retries = make()
    assert retries(step) == "done"
    with pytest.raises(SourceError) as caught:
        retries(Steps(KeyError("x")))
    assert (caught.value.code, caught.value.transient) == ("KeyError", False)


def test_numbers_go_on_from_earlier_tries(make: Callable[..., Retries], reported: io.StringIO):
    with pytest.raises(SourceError):
        make(tries=1, before=3)(Steps(passing()))
    assert [event["attempt"] for event in events(reported)] == [4]
