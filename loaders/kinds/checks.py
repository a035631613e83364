"""What a check of a source gives back, for the `check` command."""

from __future__ import annotations

from dataclasses import dataclass

from loaders.failures import classify
from loaders.redact import redact

CHECK_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Check:
    """One thing that was tried; `missing_right` names what to grant when that is the cause."""

    name: str
    ok: bool
    detail: str
    missing_right: str | None = None


def failed_check(name: str, error: Exception, subject: str, right: str | None = None) -> Check:
    """Return the check that an error made fail; the right is named when its lack is the cause."""
    failure = classify(error, subject)
    denied = failure.code in ("permission denied", "HTTP 401", "HTTP 403")
    return Check(name, False, redact(failure.text), right if denied else None)
