"""Alerts: one message per incident to wherever people are, through apprise.

A day has an incident while it is partial or escalated. Its first run alerts; further runs stay silent as long as the
cause is the same, and the run that completes the day says that it has recovered. The channel may be dead or slow:
sending is a process of its own with a few seconds to live, and the run goes on without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from supervisor.common.command_line import command
from supervisor.common.errors import UsageError
from supervisor.common.processes import python_path
from supervisor.common.secrecy import read_secrets, redact
from supervisor.common.text import count, plain_text, share
from supervisor.record.summary import criteria_of, mapping, repair_command_of, sources_of, status_of
from supervisor.show.advice import escalation_lines

Kind = Literal["partial", "escalated", "failed", "recovered"]
VARIABLE = "GOALKEEPER_ALERTS"
# what a channel has to answer
TIMEOUT_S = 4.0
# what a Python process and the import of apprise may take besides, on a machine that is busy
STARTING_S = 15.0
# a comma separates addresses only where another one begins: some hold commas themselves
_SEPARATOR = re.compile(r"\s*\n\s*|\s*,\s*(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+")
_MARKS: Mapping[Kind, str] = {
    "partial": "⚠ PARTIAL",
    "escalated": "✗ ESCALATED",
    "failed": "✗ FAILED",
    "recovered": "✓ RECOVERED",
}


@dataclass(frozen=True)
class Incident:
    """What is wrong with a day, as far as people have been told.

    Attributes:
        cause: The same words for the same cause; figures and times are not in it.
        run_id: The run that began it.
    """

    kind: Kind
    cause: str
    run_id: str


@dataclass(frozen=True)
class Alert:
    """A message to people."""

    kind: Kind
    title: str
    body: str


def configured_addresses(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return where alerts go: GOALKEEPER_ALERTS, or `urls` under `[alerts]` in `.dlt/secrets.toml`; none for no alerts.

    Raises:
        UsageError: It is no list of apprise addresses, or `[alerts]` has another key. No address is shown.
    """
    environment = os.environ if environ is None else environ
    where, given = VARIABLE, environment.get(VARIABLE)
    if given is None:
        where, table = "[alerts] in .dlt/secrets.toml", read_secrets().get("alerts", {})
        if not isinstance(table, dict) or set(table) - {"urls"}:
            raise UsageError(f'{where}: the only key is urls, as in urls = ["json://alerts.example.com"]')
        urls = table.get("urls", [])
        given = "\n".join(map(str, urls)) if isinstance(urls, list) else str(urls)
    addresses = [address for address in _SEPARATOR.split(given.strip()) if address]
    for number, address in enumerate(addresses, start=1):
        if not _ADDRESS.fullmatch(address):
            raise UsageError(
                f"{where}: address {number} of {len(addresses)} is not one of apprise (scheme://...). "
                "See https://github.com/caronc/apprise for the forms"
            )
    return tuple(addresses)


def incident_of(summary: Mapping[str, Any]) -> Incident | None:
    """Return what is wrong with the day after a run; None when nothing is, or when a person stopped the run."""
    status, run_id = status_of(summary), str(summary.get("run_id"))
    missed = sorted(one.metric for one in criteria_of(summary) if one.met is False)
    if status == "ESCALATED":
        escalation = mapping(summary.get("escalation"))
        subjects = [str(subject) for subject in escalation.get("subjects") or ()]
        return Incident("escalated", " ".join([str(escalation.get("phase")), *(subjects or missed)]), run_id)
    if status == "FAILED":
        error = mapping(summary.get("error"))
        return None if error.get("type") == "StopRequested" else Incident("failed", str(error.get("type")), run_id)
    down = [source.name for source in sources_of(summary) if not source.loaded]
    if status in ("PARTIAL", "SUCCESS") and (down or missed):
        return Incident("partial", " ".join([*sorted(down), *missed]), run_id)
    return None


def alert_for(summary: Mapping[str, Any], known: Incident | None) -> Alert | None:
    """Choose what to tell people after a run, knowing what they have been told of the day: nothing, or one alert.

    Pure.
    """
    now = incident_of(summary)
    if now is not None:
        return None if _is_same(now, known) else _compose(now.kind, summary)
    if known is not None and status_of(summary) == "SUCCESS":
        return _compose(
            "recovered",
            summary,
            f"The incident that run {known.run_id} reported is over ({known.kind}: {known.cause}).",
        )
    return None


def _is_same(now: Incident, known: Incident | None) -> bool:
    """Whether people know: it is the same cause, or a partial day's missing source is missing still."""
    if known is None:
        return False
    missing_still = known.kind == "partial" and (now.kind, now.cause) == ("escalated", f"collect {known.cause}")
    return missing_still or (known.kind, known.cause) == (now.kind, now.cause)


def _compose(kind: Kind, summary: Mapping[str, Any], first: str = "") -> Alert:
    escalation, error = mapping(summary.get("escalation")), mapping(summary.get("error"))
    day, target = plain_text(summary.get("date"), 20), plain_text(summary.get("target"), 40)
    lines = [first]
    if reason := escalation.get("reason") or error.get("message"):
        lines.append(f"Reason: {plain_text(reason, 1_000)}")
    lines += [
        f"{source.title}: {source.reason or 'no reason recorded'}"
        for source in sources_of(summary)
        if not source.loaded
    ]
    lines += [
        f"Not met: {one.text}: {one.measured}, not {one.threshold}" for one in criteria_of(summary) if one.met is False
    ]
    lines += [f"- {line}" for line in escalation_lines(escalation.get("offenders"), 5)]
    if kind in ("partial", "recovered"):
        published, collected = count(summary.get("published")), count(summary.get("collected"))
        rate = share(summary.get("failure_rate"))
        lines.append(f"Published: {published} of {collected} collected records, failure rate {rate}")
    else:
        lines.append("Nothing was published. What was published before is unchanged.")
    if advice := escalation.get("recommendation"):
        lines.append(f"Recommendation: {plain_text(advice, 1_000)}")
    if repair := repair_command_of(summary):
        lines.append(f"Repair: {repair}")
    run_id = plain_text(summary.get("run_id"), 80)
    lines.append(f"Run {run_id}. More: {command(summary, f'explain {run_id}', dated=False)}")
    body = "\n".join(line for line in lines if line)
    return Alert(kind, f"Goalkeeper {_MARKS[kind]}: {day} ({target})", redact(body))


class Alerts:
    """Tells people of incidents, and remembers in `runs/.incidents/` what they have been told.

    Args:
        addresses: apprise's; with none nothing is sent and nothing remembered.
        work_dir: Where `runs/` is.
    """

    def __init__(self, addresses: Sequence[str], work_dir: Path) -> None:
        self._addresses = tuple(addresses)
        self._folder = work_dir / "runs" / ".incidents"

    def tell(self, summary: Mapping[str, Any]) -> dict[str, Any] | None:
        """Send what there is to be told after a run.

        Returns:
            `{"kind", "sent", "problem"}` for the run's summary; None when there was nothing to tell.
        """
        if not self._addresses:
            return None
        path = self._folder / f"{summary.get('target')}-{summary.get('date')}.json"
        alert = alert_for(summary, _read_incident(path))
        if alert is None:
            return None
        sent, problem = send(alert, self._addresses)
        if sent:
            # what nobody could be told is told by the next run, if it still holds then
            _remember(path, incident_of(summary))
        return {"kind": alert.kind, "sent": sent, "problem": problem}


def send(alert: Alert, addresses: Sequence[str], timeout_s: float = TIMEOUT_S) -> tuple[bool, str | None]:
    """Send an alert to all addresses at once.

    The addresses hold secrets, so they go through a pipe and never onto a command line.

    Returns:
        Whether anybody was told, and what went wrong, for people and without the addresses.
    """
    message = json.dumps({**asdict(alert), "addresses": list(addresses), "timeout_s": timeout_s})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.show.alert_worker"],
            input=message,
            capture_output=True,
            text=True,
            timeout=timeout_s + STARTING_S,
            check=False,
            env={**os.environ, "PYTHONPATH": python_path()},
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return False, f"no channel answered within {timeout_s:.0f} s"
    except OSError as error:
        return False, f"the sender can't be started: {error.strerror}"
    except ValueError:
        return False, f"the sender broke off with exit code {done.returncode}"
    failed = [f"{redact(scheme)}: {why}" for scheme, why in answer["failed"]]
    return bool(answer["delivered"]), "; ".join(failed) or None


def _read_incident(path: Path) -> Incident | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Incident(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _remember(path: Path, incident: Incident | None) -> None:
    # a full disk must not fail a run for its alert; then the next run alerts once more
    with contextlib.suppress(OSError):
        if incident is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(incident)), encoding="utf-8")
        partial.replace(path)
