"""A run tells people once of an incident and once of its end, whatever state the channels are in."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from end_to_end.helpers import ENGINE, GOLDEN_DAY, SCALE, Run, orchestrate
from supervisor_alerts import CANARY, Receiver

from sandbox.process import running_sandbox


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory, small_servers: dict[str, str]
) -> Iterator[tuple[list[Run], Receiver, Path]]:
    """A day that is partial, is tried in vain, and is repaired; beside a channel that works, another one is dead."""
    folder = tmp_path_factory.mktemp("alerting")
    with (
        closing(socket.socket()) as unused,
        closing(Receiver()) as receiver,
        running_sandbox(GOLDEN_DAY, SCALE, "api=down") as without_api,
    ):
        unused.bind(("127.0.0.1", 0))
        dead = f"json://user:{CANARY}@127.0.0.1:{unused.getsockname()[1]}/"
        runs = [
            orchestrate(
                folder, "--date", GOLDEN_DAY, "--json",
                env={
                    **servers, **ENGINE,
                    "GOALKEEPER_ALERTS": f"{dead},{receiver.address}",
                },
            )
            for servers in (without_api, without_api, small_servers)
        ]  # fmt: skip
        yield runs, receiver, folder


def test_the_first_run_alerts_the_second_is_silent_and_the_third_says_that_it_is_over(
    told: tuple[list[Run], Receiver, Path],
) -> None:
    runs, receiver, _ = told
    assert [run.exit_code for run in runs] == [3, 4, 0], [run.errors for run in runs]
    assert [message["type"] for message in receiver.received] == ["warning", "success"]
    assert [run.summary["alert"] and run.summary["alert"]["kind"] for run in runs] == ["partial", None, "recovered"]
    assert "--source-filter api" in receiver.received[0]["message"]
    assert runs[0].summary["run_id"] in receiver.received[1]["message"]


def test_a_dead_channel_is_said_and_fails_nothing(told: tuple[list[Run], Receiver, Path]) -> None:
    runs, _, _ = told
    assert runs[0].summary["alert"]["sent"] is True
    assert "json" in runs[0].summary["alert"]["problem"]
    assert "alert (partial)" in runs[0].errors


def test_no_address_of_a_channel_is_anywhere(told: tuple[list[Run], Receiver, Path]) -> None:
    runs, receiver, folder = told
    everything = [run.errors + run.output for run in runs] + [json.dumps(receiver.received)]
    assert not [text for text in everything if CANARY in text]
    holding = [path for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert holding == []
