"""Who is told what, and when: pure rules, and a real channel on this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from supervisor_alerts import CANARY, Receiver

from supervisor.common.errors import UsageError
from supervisor.common.outcome import Outcome
from supervisor.common.secrecy import register_known_secrets
from supervisor.record.summary import Summary
from supervisor.show.alerts import (
    Alerts,
    Incident,
    alert_for,
    configured_addresses,
    incident_of,
    send,
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as one:
        yield one


def summary(status: str = "SUCCESS", down: tuple[str, ...] = (), run_id: str = "r1", **more: Any) -> Summary:
    sources = {
        name: {
            "title": name,
            "status": "failed" if name in down else "loaded",
            "reason": f"source '{name}': refused" if name in down else None,
        }
        for name in ("s3", "api")
    }
    return Summary.model_validate({
        "status": status, "exit_code": Outcome.of(status).exit_code, "run_id": run_id, "date": "2025-11-16",
        "started_at": "2025-11-17T02:00:00Z", "finished_at": "2025-11-17T02:01:00Z", "duration_s": 60.0,
        "target": "duckdb", "sources": sources, "collected": 100, "published": 90, "failure_rate": 0.015,
        "repair_command": "python orchestrate.py --date 2025-11-16 --source-filter api" if down else None, **more,
    })  # fmt: skip


def escalated(subject: str = "accuracy_meets_threshold", figure: str = "97.1%", run_id: str = "r1") -> Summary:
    escalation = {
        "phase": "validate", "reason": f"accuracy is {figure}", "subjects": [subject],
        "offenders": ["s3: 9 records, amount out of range"], "recommendation": "fix the feed",
    }  # fmt: skip
    return summary("ESCALATED", run_id=run_id, escalation=escalation)


LATE = {
    "text": "within 30 minutes",
    "metric": "duration_s",
    "operator": "<=",
    "threshold": 1800,
    "measured": 2000,
    "met": False,
}
SITUATIONS: dict[str, tuple[Incident | None, Summary, str | None]] = {
    "all is well": (None, summary(), None),
    "a source is missing": (None, summary("PARTIAL", ("api",)), "partial"),
    "it is missing still": (Incident("partial", "api", "r0"), summary("PARTIAL", ("api",)), None),
    "another one is missing as well": (Incident("partial", "api", "r0"), summary("PARTIAL", ("api", "s3")), "partial"),
    "published too late": (None, summary(criteria=[LATE], exit_code=3), "partial"),
    "escalated": (None, escalated(), "escalated"),
    "escalated again, with other figures": (
        Incident("escalated", "validate accuracy_meets_threshold", "r0"), escalated(figure="96.9%"), None),
    "escalated again, for another reason": (
        Incident("escalated", "validate accuracy_meets_threshold", "r0"), escalated("completeness_meets_threshold"),
        "escalated"),
    "partial, then escalated": (Incident("partial", "api", "r0"), escalated(), "escalated"),
    "escalated, then partial": (
        Incident("escalated", "validate accuracy_meets_threshold", "r0"), summary("PARTIAL", ("api",)), "partial"),
    "a partial day run again, and its source is missing still": (
        Incident("partial", "api", "r0"),
        summary("ESCALATED", ("api",), escalation={"phase": "collect", "reason": "refused", "subjects": ["api"]}),
        None),
    "complete again": (Incident("partial", "api", "r0"), summary(), "recovered"),
    "an unexpected error": (None, summary("FAILED", error={"type": "KeyError", "message": "KeyError: 'x'"}), "failed"),
    "stopped by a person": (None, summary("FAILED", error={"type": "StopRequested", "message": ""}), None),
    "stopped by a person while an incident is open": (
        Incident("partial", "api", "r0"), summary("FAILED", error={"type": "StopRequested", "message": ""}), None),
    "nothing to do": (None, summary("NOTHING_TO_DO"), None),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_an_incident_is_told_once(situation: str) -> None:
    known, now, kind = SITUATIONS[situation]
    alert = alert_for(now, known)
    assert (alert.kind if alert else None) == kind


def test_an_alert_says_what_to_do() -> None:
    partial = alert_for(summary("PARTIAL", ("api",)), None)
    assert partial is not None
    assert "2025-11-16" in partial.title
    for words in ("refused", "90 of 100", "--source-filter api", "explain r1"):
        assert words in partial.body
    worse = alert_for(escalated(), None)
    assert worse is not None
    for words in ("97.1%", "amount out of range", "fix the feed", "Nothing was published"):
        assert words in worse.body


def test_no_secret_is_in_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__SHOP__CREDENTIALS__PASSWORD", CANARY)
    monkeypatch.setenv("SOURCES__FEED__CREDENTIALS", f"postgresql://me:{CANARY}2@db/shop")
    register_known_secrets()
    reason = (
        f"connect to db failed with {CANARY}, postgresql://me:{CANARY}2@db/shop, Authorization: Bearer abcdefgh12345"
    )
    alert = alert_for(summary("PARTIAL", sources={"api": {"status": "failed", "reason": reason}}), None)
    assert alert is not None
    assert CANARY not in alert.body
    assert "abcdefgh12345" not in alert.body


def test_one_alert_per_incident_reaches_a_real_channel(receiver: Receiver, tmp_path: Path) -> None:
    alerts = Alerts([receiver.address], tmp_path)
    told = [alerts.tell(summary("PARTIAL", ("api",), run_id=f"r{number}")) for number in range(3)]
    told.append(alerts.tell(escalated(run_id="r3")))
    told.append(alerts.tell(escalated(figure="90%", run_id="r4")))
    told.append(alerts.tell(summary(run_id="r5")))
    told.append(alerts.tell(summary(run_id="r6")))
    assert [one and one["kind"] for one in told] == ["partial", None, None, "escalated", None, "recovered", None]
    assert [message["type"] for message in receiver.received] == ["warning", "failure", "success"]
    assert [message["title"].split(":")[0] for message in receiver.received] == [
        "Goalkeeper ⚠ PARTIAL", "Goalkeeper ✗ ESCALATED", "Goalkeeper ✓ RECOVERED",
    ]  # fmt: skip
    assert CANARY not in json.dumps(receiver.received)


def test_another_day_is_another_incident(receiver: Receiver, tmp_path: Path) -> None:
    alerts = Alerts([receiver.address], tmp_path)
    alerts.tell(summary("PARTIAL", ("api",)))
    alerts.tell(summary("PARTIAL", ("api",), date="2025-11-17"))
    assert len(receiver.received) == 2


def test_what_could_not_be_told_is_told_by_the_next_run(tmp_path: Path) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"json://u:{CANARY}@127.0.0.1:{unused.getsockname()[1]}/"
    told = Alerts([dead], tmp_path).tell(summary("PARTIAL", ("api",)))
    assert told is not None
    assert told["sent"] is False
    assert "json" in told["problem"]
    assert CANARY not in told["problem"]
    with closing(Receiver()) as alive:
        assert Alerts([alive.address], tmp_path).tell(summary("PARTIAL", ("api",))) is not None
        assert len(alive.received) == 1


def test_a_slow_channel_keeps_no_other_from_being_told(receiver: Receiver, tmp_path: Path) -> None:
    with closing(Receiver(delay_s=60)) as slow:
        told = Alerts([slow.address, receiver.address], tmp_path).tell(summary("PARTIAL", ("api",)))
    assert told is not None
    assert told["sent"] is True
    assert "no answer in time" in told["problem"]
    assert len(receiver.received) == 1


def test_a_channel_that_refuses_is_named(tmp_path: Path) -> None:
    alert = alert_for(escalated(), None)
    assert alert is not None
    with closing(Receiver(status=403)) as closed:
        assert send(alert, [closed.address]) == (False, "json: not delivered")
    assert send(alert, [f"nonsense://{CANARY}"]) == (False, "nonsense: not an address that apprise understands")


def test_without_addresses_nothing_is_remembered(tmp_path: Path) -> None:
    assert Alerts([], tmp_path).tell(escalated()) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", ()),
        ("json://a", ("json://a",)),
        ("json://a, json://b", ("json://a", "json://b")),
        ("mailto://u:p@h?to=x@h,y@h\njson://b\n", ("mailto://u:p@h?to=x@h,y@h", "json://b")),
    ],
)
def test_addresses_are_separated_by_commas_or_lines(text: str, addresses: tuple[str, ...]) -> None:
    assert configured_addresses({"GOALKEEPER_ALERTS": text}) == addresses


def test_addresses_come_from_secrets_toml_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dlt").mkdir()
    secrets = tmp_path / ".dlt" / "secrets.toml"
    secrets.write_text('[alerts]\nurls = ["json://a", "json://b"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "none"))
    assert configured_addresses({}) == ("json://a", "json://b")
    assert configured_addresses({"GOALKEEPER_ALERTS": ""}) == ()
    secrets.write_text('[alerts]\nurl = "json://a"\n')
    with pytest.raises(UsageError, match="the only key is urls"):
        configured_addresses({})


def test_what_is_no_address_is_an_error_that_does_not_show_it() -> None:
    with pytest.raises(UsageError) as error:
        configured_addresses({"GOALKEEPER_ALERTS": f"json://a, json://b\n{CANARY}"})
    assert CANARY not in str(error.value)
    assert "address 3 of 3" in str(error.value)


def test_the_cause_names_what_is_wrong_and_no_figures() -> None:
    assert incident_of(escalated(figure="97%")) == incident_of(escalated(figure="1%"))
    assert incident_of(summary()) is None
