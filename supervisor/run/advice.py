"""What a person can do about a run that can't go on, and its evidence in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.common.command_line import command_line
from supervisor.common.request import Request
from supervisor.common.text import measure, operator_sign
from supervisor.goal.criteria import CriterionResult
from supervisor.goal.metrics import METRICS
from supervisor.judge.findings import Finding
from supervisor.record.ledger import LoadOutcome

_ADVICE = {
    "failure_rate": "see what the rejected records have in common ({quarantine}); have the feed fixed or map what is "
    "new in models/staging",
    "completeness": "ask the feed's owner why required fields are missing",
    "accuracy": "if the values are right, widen their range; if they can be corrected with evidence, add a rule to "
    "the corrections of the field, in the yml of the mart; otherwise have the feed fixed",
    "consistency": "check that what the records refer to is complete for the day",
    "records_lost": "a model drops or repeats records: see the conservation test's rows, and what changed in models/",
    "duplicates_published": "see what changed in int_duplicates: a record would be published twice",
    "records_collected": "see whether the source holds the whole day, and have the rest delivered",
    "volume": "see whether the source holds the whole day, once; where it does, publish it under a goal file without that line "
    "(--goal FILE)",
    "sources_failed": "bring the missing source back, or name it in goal.md as one that may be missing",
    "sources_loaded": "bring the missing sources back",
}


def recommendation(metrics: Sequence[str], request: Request) -> str:
    """Return what to do about unmet criteria, and the command that follows."""
    quarantine = command_line(request.date, request.target, "quarantine list")
    advice = [_ADVICE[metric].format(quarantine=quarantine) for metric in metrics if metric in _ADVICE]
    first = "; ".join(advice) or "see the failed tests in the report and what changed in the feeds or in models/"
    return f"{first}. Then run: {repair_command(request, ())}"


def fix_dbt(folder: Path, invocation: str, broken: Sequence[Finding]) -> str:
    """Return what to do when dbt can't do its work."""
    logs = f"dbt's own words: {folder}/dbt.log and {folder}/*-{invocation}/run_results.json"
    if any(finding.hung for finding in broken):
        time = "if it only needs more time, change the deadline in goal.md"
        return f"see what it was at; {time}, then run the same command ({logs})"
    if any(finding.transient for finding in broken):
        return f"bring the warehouse back, then run the same command ({logs})"
    return f"fix the model or the missing right, then run the same command ({logs})"


def repair_command(request: Request, missing: Sequence[str]) -> str:
    """Return the command that completes a partial day."""
    only = missing[0] if len(missing) == 1 else None
    return command_line(request.date, request.target, source_filter=only, options=request.options)


def repair_sources(request: Request, failed: Mapping[str, LoadOutcome]) -> str:
    """Return what to do when sources are down."""
    names = ", ".join(failed)
    return f"check that {names} can be reached, then run: {repair_command(request, list(failed))}"


def change(metric: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return how a metric moved, as in "99.1% to 98.7%"."""
    kind = "count" if metric == "records_lost" else "fraction"
    old = measure(before[metric], kind, against=after[metric])
    return f"{old} to {measure(after[metric], kind, against=before[metric])}"


def unmet(result: CriterionResult) -> str:
    """Return a criterion with its figure beside its limit, as in "accuracy is 97.2%, limit ≥ 98%"."""
    one, unit = result.criterion, str(result.criterion.unit)
    limit = f"{operator_sign(one.operator)} {measure(one.threshold, unit)}"
    name = METRICS[str(one.metric)].aliases[0] + (f" of {one.subject}" if one.subject else "")
    note = f" ({result.note})" if result.note else ""
    return f"{name} is {measure(result.measured, unit, against=one.threshold)}, limit {limit}{note}"
