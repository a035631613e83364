"""What a run's summary says, taken apart for the closing box and for the report.

Everything is read from the content of `summary.json` and nothing is added to it: a figure that
is missing is None here, and an issue exists only where its figure is above zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from supervisor.common.text import measure, number, operator_sign, plain_text, plural, unit_of
from supervisor.goal.metrics import METRICS

QUALITY_METRICS = frozenset({"completeness", "accuracy", "consistency", "failure_rate"})

_PHASES = ("collect", "transform", "validate", "publish")
_DOWN = frozenset({"failed", "error", "unavailable", "down", "missing"})


@dataclass(frozen=True)
class SourceFacts:
    """One source of the day. Counts are records, `duration_s` seconds; None is not known."""

    name: str
    title: str
    loaded: bool
    status: str
    collected: Decimal | None
    quarantined: Decimal | None
    duplicates: Decimal | None
    published: Decimal | None
    expected: Decimal | None
    tries: int | None
    duration_s: Decimal | None
    reason: str
    location: str
    run_id: str
    fallback: bool

    @property
    def retries(self) -> int:
        """The tries after the first."""
        return max((self.tries or 1) - 1, 0)


def figure(summary: Mapping[str, Any], key: str) -> Decimal | None:
    """Return a figure of the summary, or None where it is missing or no number."""
    return number(summary.get(key))


def above_zero(value: Any) -> bool:
    """Tell whether there is a figure and it is above zero."""
    known = number(value)
    return known is not None and known > 0


def status_of(summary: Mapping[str, Any]) -> str:
    """Return the run's status in capitals; "FAILED" where the summary has none."""
    return plain_text(summary.get("status") or "FAILED", 40).upper()


def sources_of(summary: Mapping[str, Any]) -> list[SourceFacts]:
    """Return the sources in the order of the summary."""
    facts = []
    for name, entry in mapping(summary.get("sources")).items():
        info = mapping(entry)
        tries = number(info.get("tries"))
        status = plain_text(info.get("status") or "", 40)
        facts.append(
            SourceFacts(
                name=plain_text(name, 80),
                title=plain_text(info.get("title") or name, 80),
                loaded=status.lower() not in _DOWN,
                status=status,
                collected=number(info.get("collected")),
                quarantined=number(info.get("quarantined")),
                duplicates=number(info.get("duplicates")),
                published=number(info.get("published")),
                expected=number(info.get("expected")),
                tries=None if tries is None else int(tries),
                duration_s=number(info.get("duration_s")),
                reason=plain_text(info.get("reason"), 300),
                location=plain_text(info.get("endpoint") or info.get("location"), 300),
                run_id=plain_text(info.get("run_id"), 80),
                fallback=bool(info.get("fallback")),
            )
        )
    return facts


def phases_of(summary: Mapping[str, Any]) -> list[tuple[str, str, Decimal | None]]:
    """Return (name, status, seconds) of the phases, in the order in which they run."""
    phases = mapping(summary.get("phases"))
    names = [name for name in _PHASES if name in phases]
    names += [name for name in phases if name not in _PHASES]
    return [
        (
            plain_text(name, 40),
            plain_text(mapping(phases[name]).get("status"), 60),
            number(mapping(phases[name]).get("duration_s")),
        )
        for name in names
    ]


def was_published(summary: Mapping[str, Any]) -> bool:
    """Tell whether this run made the day visible to readers."""
    if status_of(summary) in {"SUCCESS", "PARTIAL"}:
        return True
    if status_of(summary) != "FAILED":
        return False
    publish = mapping(mapping(summary.get("phases")).get("publish"))
    return str(publish.get("status") or "").upper().startswith("COMPLETED")


def unaccounted(
    collected: Decimal | None,
    published: Decimal | None,
    quarantined: Decimal | None,
    duplicates: Decimal | None,
) -> Decimal | None:
    """Return collected - published - quarantined - duplicates; None if a figure is missing."""
    if collected is None or published is None or quarantined is None or duplicates is None:
        return None
    return collected - published - quarantined - duplicates


def repair_command_of(summary: Mapping[str, Any]) -> str:
    """Return the summary's repair command, "" for none."""
    return plain_text(summary.get("repair_command"), 1_000)


@dataclass(frozen=True)
class CriterionFacts:
    """One line of the goal.

    `met` is None for a line that is not checked (no `metric`) and for a figure that is not known.
    """

    text: str
    metric: str
    measured: str
    threshold: str
    met: bool | None
    raw_measured: Decimal | None
    raw_threshold: Decimal | None
    kind: str

    @property
    def checked(self) -> bool:
        """Whether the line is a check at all."""
        return bool(self.metric) or self.met is not None

    @property
    def mark(self) -> str:
        """The sign of the verdict: "✓", "✗" or "-"."""
        return "-" if self.met is None else "✓" if self.met else "✗"


def mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def entries(value: Any) -> list[Mapping[str, Any]]:
    """Return the mappings in the list `value`; anything else counts as none."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [entry for entry in value if isinstance(entry, Mapping)]
    return []


def criteria_of(summary: Mapping[str, Any]) -> list[CriterionFacts]:
    """Return the criteria of the goal with their figures formatted."""
    facts = []
    for entry in entries(summary.get("criteria")):
        metric = plain_text(entry.get("metric"), 80)
        known = METRICS.get(metric)
        kind = unit_of(metric, str(entry.get("unit") or (known.unit if known else "")))
        threshold, measured, met = (entry.get(key) for key in ("threshold", "measured", "met"))
        limit = "" if threshold is None else measure(threshold, kind)
        facts.append(
            CriterionFacts(
                text=_capital(plain_text(entry.get("text") or metric, 300)),
                metric=metric,
                measured="not measured" if measured is None else measure(measured, kind, against=threshold),
                threshold=f"{operator_sign(entry.get('operator'))} {limit}".strip(),
                met=met if isinstance(met, bool) else None,
                raw_measured=number(measured),
                raw_threshold=number(threshold),
                kind=kind,
            )
        )
    return facts


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def goal_tally(summary: Mapping[str, Any]) -> str:
    """Return how the goal stands, as in "10 of 13 criteria met, 1 not met, 2 not measured"."""
    checked = [one for one in criteria_of(summary) if one.checked]
    met = sum(one.met is True for one in checked)
    missed = sum(one.met is False for one in checked)
    unmeasured = len(checked) - met - missed
    parts = [f"{met} of {plural(len(checked), 'criterion', 'criteria')} met"]
    parts += [f"{missed} not met"] if missed else []
    parts += [f"{unmeasured} not measured"] if unmeasured else []
    return ", ".join(parts)
