"""Summaries as a run leaves them: the golden day of 2025-11-16, and its other endings."""

from __future__ import annotations

import copy
import io
from typing import Any

from rich.console import Console, RenderableType

RUN_ID = "20251116_020000"
REPAIR = "python orchestrate.py --date 2025-11-16 --source-filter api"


def _source(title: str, *counts: int, tries: int = 1, reason: str | None = None) -> dict[str, Any]:
    names = ("collected", "quarantined", "duplicates", "published")
    figures = dict(zip(names, counts, strict=True))
    return {"title": title, "status": "loaded", "tries": tries, "reason": reason,
            "duration_s": 2.5, "run_id": RUN_ID, "location": f"{title.lower()}/2025/11/16/",
            **figures}  # fmt: skip


def _criterion(text: str, metric: str | None, *check: Any) -> dict[str, Any]:
    operator, threshold, measured, met = check or (None, None, None, None)
    return {"text": text, "metric": metric, "operator": operator, "threshold": threshold,
            "measured": measured, "met": met}  # fmt: skip


def success() -> dict[str, Any]:
    """The golden day, every figure of it as in the design."""
    return {
        "schema_version": 1,
        "run_id": RUN_ID,
        "date": "2025-11-16",
        "target": "duckdb",
        "status": "SUCCESS",
        "exit_code": 0,
        "started_at": "2025-11-16T02:00:00.123+00:00",
        "finished_at": "2025-11-16T02:00:17.807+00:00",
        "duration_s": 17.684,
        "peak_memory_mb": 812,
        "phases": {
            "collect": {"status": "COMPLETED", "duration_s": 6.2},
            "transform": {"status": "COMPLETED", "duration_s": 5.4},
            "validate": {"status": "COMPLETED", "duration_s": 3.9},
            "publish": {"status": "RUNNING"},
        },
        "sources": {
            "s3": _source("S3", 250_000, 3_800, 1_200, 245_000),
            "postgres": _source("PostgreSQL", 75_000, 1_000, 500, 73_500),
            "api": _source("API", 15_000, 300, 100, 14_600, tries=2, reason="Timeout"),
        },
        "collected": 340_000,
        "transformed": 334_900,
        "quarantined": 5_100,
        "defaults_applied": 2_500,
        "missing_required": 3_200,
        "out_of_range": 1_500,
        "corrected": 1_200,
        "flagged": 300,
        "duplicates": 1_800,
        "anomalies": 250,
        "published": 333_100,
        "completeness": 331_700 / 334_900,
        "accuracy": 334_600 / 334_900,
        "consistency": 1.0,
        "failure_rate": 5_100 / 340_000,
        "criteria": [
            _criterion("All available sources successfully ingested", "sources_accounted",
                       "==", 1.0, 1.0, True),
            _criterion("< 2% transformation failure rate", "failure_rate",
                       "<", 0.02, 0.015, True),
            _criterion("completeness ≥ 95%", "completeness",
                       ">=", 0.95, 331_700 / 334_900, True),
            _criterion("accuracy ≥ 98%", "accuracy", ">=", 0.98, 334_600 / 334_900, True),
            _criterion("consistency = 100%", "consistency", "==", 1.0, 1.0, True),
            _criterion("Pipeline completes within 30 minutes", "duration_s",
                       "<=", 1800, 17.684, True),
            _criterion("8GB RAM", "peak_memory_mb", "<=", 8000, 812, True),
            _criterion("Somebody is happy (not checked)", None),
        ],
        "decisions": [
            {"phase": "collect", "observed": "api: attempt 1 failed: Timeout",
             "decision": "retry in 2 s", "outcome": "attempt 2 succeeded"},
            {"phase": "validate", "observed": "1,500 records out of range",
             "decision": "cleanse with tier 1", "outcome": "1,200 corrected"},
        ],
        "repair_command": None,
        "report": f"reports/quality_{RUN_ID}.html",
        "escalation": None,
    }  # fmt: skip


def partial() -> dict[str, Any]:
    """The day with the API down."""
    summary = success()
    summary |= {"status": "PARTIAL", "exit_code": 3, "collected": 325_000, "transformed": 320_200,
                "quarantined": 4_800, "duplicates": 1_700, "published": 318_500,
                "repair_command": REPAIR}  # fmt: skip
    summary["sources"]["api"] |= {"status": "failed", "collected": 0, "quarantined": 0,
                                  "duplicates": 0, "published": 0, "tries": 3,
                                  "reason": "Connection refused"}  # fmt: skip
    return summary


def escalated() -> dict[str, Any]:
    """The day with an accuracy that misses its threshold by a hair."""
    summary = success()
    summary |= {"status": "ESCALATED", "exit_code": 4, "published": 0, "accuracy": 0.97996,
                "escalation": {
                    "phase": "validate",
                    "reason": "accuracy is below its threshold after 3 iterations",
                    "recommendation": "Ask who changed the feed of s3",
                    "offenders": ["s3: 6,400 of 250,000 out of range", "api: 211 of 15,000 out of range"],
                }}  # fmt: skip
    accuracy = next(one for one in summary["criteria"] if one["metric"] == "accuracy")
    accuracy |= {"measured": 0.97996, "met": False}
    return summary


def failed() -> dict[str, Any]:
    """A run that died of an unexpected error before it published."""
    summary = success()
    summary |= {"status": "FAILED", "exit_code": 1, "published": 0, "criteria": [],
                "error": {"type": "OSError", "message": "OSError: no space left on device"}}  # fmt: skip
    return summary


def nothing_to_do() -> dict[str, Any]:
    """A day that was complete already: the summary of the run that published it."""
    return success() | {"status": "NOTHING_TO_DO"}


def endings() -> dict[str, dict[str, Any]]:
    """Every ending by its status."""
    runs = (success(), partial(), escalated(), failed(), nothing_to_do())
    return {run["status"]: run for run in runs}


def with_every_text(summary: dict[str, Any], text: str) -> dict[str, Any]:
    """Return the summary with each free text replaced; status, dates and metrics stay."""
    kept = {"status", "metric", "date", "schema_version", "started_at", "finished_at"}

    def replaced(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: replaced(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [replaced(inner, key) for inner in value]
        return text if isinstance(value, str) and key not in kept else value

    result: dict[str, Any] = replaced(copy.deepcopy(summary))
    return result


def drawn(content: RenderableType, width: int, encoding: str = "utf-8") -> list[str]:
    """Return the lines that rich writes to a stream of this width and encoding, not cropped."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, errors="strict") as stream:
        Console(file=stream, width=width).print(content, crop=False)
        stream.flush()
        return raw.getvalue().decode(encoding).splitlines()
