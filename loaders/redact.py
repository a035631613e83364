"""One place that keeps secrets out of events, logs, errors and tables."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

MASK = "***"
_MIN_SECRET_LENGTH = 4
_MIN_LENGTH_ANYWHERE = 8
_MIN_LENGTH_OF_NO_WORD = 24

# up to the last @: a password may hold one
_USERINFO = re.compile(r"(?<=://)[^/\s\"'<>]*@")
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
            because replacing them would make every message unreadable. One that could be a word or a
            date is replaced as a whole word only: a password such as "post" must not deface "postgres".
        public: Words that must stay readable even when a secret equals them (source names).
    """
    global _secrets
    known = dict(_secrets)
    readable = set(public)
    for value in values:
        if value is None or len(value) < _MIN_SECRET_LENGTH or value in readable:
            continue
        for form in {value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1]}:
            pattern = re.escape(form)
            if not _stands_out(value):
                pattern = rf"(?<![A-Za-z0-9_]){pattern}(?![A-Za-z0-9_])"
            known[form] = re.compile(pattern)
    # the longest first: a secret may begin with another one; at once: other threads redact meanwhile
    _secrets = dict(sorted(known.items(), key=lambda item: len(item[0]), reverse=True))


def _stands_out(value: str) -> bool:
    """Whether a value is nothing that messages hold by chance: long, or of letters mixed with digits or in both cases."""
    inner = value[1:]
    mixed = (
        any(mark.isalpha() for mark in value)
        and len(set(value.lower())) > 3
        and (any(mark.isdigit() for mark in value) or (inner != inner.lower() and value != value.upper()))
    )
    return len(value) >= _MIN_LENGTH_OF_NO_WORD or (mixed and len(value) >= _MIN_LENGTH_ANYWHERE)


def redact(text: str) -> str:
    """Return `text` without registered secrets, userinfo in URLs and credential assignments."""
    for pattern in _secrets.values():
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
