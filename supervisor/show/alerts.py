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
from typing import TYPE_CHECKING, Any

from supervisor.common.command_line import command_line
from supervisor.common.errors import UsageError
from supervisor.common.files import write_json
from supervisor.common.outcome import Mark, Outcome
from supervisor.common.processes import python_path
from supervisor.common.secrecy import read_secrets, redact
from supervisor.common.text import count
from supervisor.show.advice import offender_lines

if TYPE_CHECKING:
    from supervisor.record.summary import Summary

RECOVERED = "recovered"
VARIABLE = "GOALKEEPER_ALERTS"
# what a channel has to answer
TIMEOUT_S = 4.0
# what a Python process and the import of apprise may take besides, on a machine that is busy
STARTING_S = 15.0
# a comma separates addresses only where another one begins: some hold commas themselves
_SEPARATOR = re.compile(r"\s*\n\s*|\s*,\s*(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+")


@dataclass(frozen=True)
class Incident:
    """What is wrong with a day, as far as people have been told.

    Attributes:
        kind: "partial", or the status of a run that published nothing, in small letters.
        cause: The same words for the same cause; figures and times are not in it.
        run_id: The run that began it.
    """

    kind: str
    cause: str
    run_id: str


@dataclass(frozen=True)
class Alert:
    """A message to people; `mark` says how bad it is."""

    kind: str
    mark: Mark
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


def incident_of(summary: Summary) -> Incident | None:
    """Return what is wrong with the day after a run; None when nothing is, or when a person stopped the run."""
    kind = summary.outcome.incident
    if not kind or (summary.error and summary.error.type == "StopRequested"):
        return None
    missed = sorted(str(one.metric) for one in summary.missed)
    if summary.escalation:
        cause = [summary.escalation.phase, *(summary.escalation.subjects or missed)]
    elif summary.error:
        cause = [summary.error.type]
    else:
        down = sorted(name for name, source in summary.sources.items() if not source.is_loaded)
        cut = sorted(f"{name}: {source.unread}" for name, source in summary.sources.items() if source.incomplete)
        cause = [*down, *cut, *missed]
    return Incident(kind, " ".join(cause), summary.run_id)


def alert_for(summary: Summary, known: Incident | None) -> Alert | None:
    """Choose what to tell people after a run, knowing what they have been told of the day: nothing, or one alert.

    Pure.
    """
    now = incident_of(summary)
    if now is not None:
        return None if _is_same(now, known) else _compose(now.kind, summary)
    if known is not None and summary.outcome is Outcome.SUCCESS:
        first = f"The incident that run {known.run_id} reported is over ({known.kind}: {known.cause})."
        return _compose(RECOVERED, summary, first)
    return None


def _is_same(now: Incident, known: Incident | None) -> bool:
    """Whether people know: it is the same cause, or a partial day's missing source is missing still."""
    if known is None:
        return False
    still_missing = Incident(Outcome.ESCALATED.incident, f"collect {known.cause}", now.run_id)
    is_still_missing = known.kind == Outcome.PARTIAL.incident and now == still_missing
    return is_still_missing or (known.kind, known.cause) == (now.kind, now.cause)


def _compose(kind: str, summary: Summary, first: str = "") -> Alert:
    summary = summary.plain()
    outcome, escalation = summary.outcome, summary.escalation
    lines = [first]
    if escalation or summary.error:
        lines.append(f"Reason: {escalation.reason if escalation else summary.error and summary.error.message}")
    lines += [f"{source.title}: {source.cause}" for source in summary.missing]
    lines += [f"{source.title}: {source.unread} could not be read" for source in summary.incomplete]
    lines += [f"Not met: {one.title}: {one.evidence}, not {one.limit}" for one in summary.missed]
    lines += [f"- {line}" for line in offender_lines(summary, 5)]
    if outcome.is_published:
        records = f"{count(summary.published)} of {count(summary.collected)} collected records"
        lines.append(f"Published: {records}, failure rate {summary.share_of('failure_rate')}")
    else:
        lines.append("Nothing was published. What was published before is unchanged.")
    if escalation and escalation.recommendation:
        lines.append(f"Recommendation: {escalation.recommendation}")
    if summary.repair_command:
        lines.append(f"Repair: {summary.repair_command}")
    explain = command_line(None, summary.target, f"explain {summary.run_id}")
    lines.append(f"Run {summary.run_id}. More: {explain}")
    title = f"Goalkeeper {outcome.sign} {kind.upper()}: {summary.date} ({summary.target})"
    return Alert(kind, outcome.mark, title, redact("\n".join(line for line in lines if line)))


class Alerts:
    """Tells people of incidents, and remembers in `runs/.incidents/` what they have been told.

    Args:
        addresses: apprise's; with none nothing is sent and nothing remembered.
        work_dir: Where `runs/` is.
    """

    def __init__(self, addresses: Sequence[str], work_dir: Path) -> None:
        self._addresses = tuple(addresses)
        self._folder = work_dir / "runs" / ".incidents"

    def tell(self, summary: Summary) -> dict[str, Any] | None:
        """Send what there is to be told after a run.

        Returns:
            `{"kind", "sent", "problem"}` for the run's summary; None when there was nothing to tell.
        """
        if not self._addresses:
            return None
        path = self._folder / f"{summary.target}-{summary.date}.json"
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
        write_json(path, asdict(incident))
