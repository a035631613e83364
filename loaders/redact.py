"""One place that keeps secrets out of events, logs, errors and tables."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

MASK = "***"
_MIN_SECRET_LENGTH = 4

_USERINFO = re.compile(r"(?<=://)[^/\s@]*:?[^/\s@]*@")
_ASSIGNMENT = re.compile(
    r"(?i)\b((?:[\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key(?:[_-]id)?|"
    r"signature|credential)[\w-]*))(\"?'?\s*[=:]\s*\"?'?)([^\s&,;\"')}]+)"
)
_AUTHORIZATION = re.compile(r"(?i)\b(authorization\"?'?\s*[=:]\s*\"?'?)([^\"'\r\n,;]+)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")

_secrets: dict[str, re.Pattern[str]] = {}


def register_secrets(values: Iterable[str | None], public: Iterable[str] = ()) -> None:
    """Make `redact` replace these values from now on.

    Args:
        values: Secrets as configured; empty ones and ones under four characters are passed over,
            because replacing them would make every message unreadable.
        public: Words that must stay readable even when a secret equals them (source names).
    """
    readable = set(public)
    for value in values:
        if value is None or len(value) < _MIN_SECRET_LENGTH or value in readable:
            continue
        for form in {value, quote(value, safe=""), quote(value)}:
            # a whole word only: a password such as "post" must not deface "postgres"
            pattern = rf"(?<![A-Za-z0-9_]){re.escape(form)}(?![A-Za-z0-9_])"
            _secrets[form] = re.compile(pattern)


def redact(text: str) -> str:
    """Return `text` without registered secrets, userinfo in URLs and credential assignments."""
    for pattern in list(_secrets.values()):
        text = pattern.sub(MASK, text)
    text = _USERINFO.sub(f"{MASK}@", text)
    text = _AUTHORIZATION.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _ASSIGNMENT.sub(rf"\1\2{MASK}", text)


class RedactingHandler(logging.FileHandler):
    """A log file that can't hold a secret: the whole formatted record is redacted."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, traceback included, and redact it."""
        return redact(super().format(record))


def log_to_file(path: Path) -> logging.Logger:
    """Send the loaders' and dlt's log records to `path`, redacted, and to nowhere else."""
    handler = RedactingHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    dlt_logger = logging.getLogger("dlt")
    # dlt reuses a handler that is already there instead of writing to stderr
    dlt_logger.handlers[:] = [handler]
    dlt_logger.propagate = False
    logging.captureWarnings(True)
    logger = logging.getLogger("loaders")
    logger.setLevel(logging.INFO)
    return logger
