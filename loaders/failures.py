"""Turn any exception of a driver into a `SourceError`: what happened, and can it pass by itself.

The drivers are recognized by the names of their classes, so that none must be imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from loaders.errors import SourceError
from loaders.redact import redact

_TIMEOUTS = {"Timeout", "ReadTimeoutError", "ConnectTimeoutError", "TimeoutError"}
_CONNECTIONS = {
    "ConnectionError",
    "EndpointConnectionError",
    "ConnectionClosedError",
    "ChunkedEncodingError",
    "IncompleteRead",
    "IncompleteReadError",
    "ResponseStreamingError",
    "HTTPClientError",
    "ProtocolError",
}
_CERTIFICATES = {"SSLError", "SSLCertVerificationError"}
_SQLSTATES = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "53300": "too many connections",
    "55P03": "lock not available",
    "57P01": "backend terminated",
    "57P02": "server crashed",
    "57P03": "server is starting",
    "57014": "Timeout",
}
_DETERMINISTIC_SQLSTATES = {
    "28000": "permission denied",
    "28P01": "wrong password",
    "3D000": "no such database",
    "42501": "permission denied",
    "42703": "no such column",
    "42P01": "no such table",
    "3F000": "no such schema",
}
_S3_CODES = {
    "NoSuchBucket": "no such bucket",
    "AccessDenied": "permission denied",
    "Forbidden": "permission denied",
    "403": "permission denied",
    "InvalidAccessKeyId": "permission denied",
    "SignatureDoesNotMatch": "permission denied",
}
_S3_TRANSIENT = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling"}
_TEXTS = {
    # a stream that breaks off in the middle carries no SQLSTATE, only words
    "terminating connection": ("backend terminated", True),
    "canceling statement due to statement timeout": ("Timeout", True),
    "could not serialize access": ("serialization failure", True),
    "deadlock detected": ("deadlock", True),
    "the database system is": ("server is starting or stopping", True),
    "password authentication failed": ("wrong password", False),
    "no password supplied": ("wrong password", False),
    "permission denied": ("permission denied", False),
    "connection refused": ("Connection refused", True),
    "connection reset": ("Connection reset", True),
    "server closed the connection": ("Connection reset", True),
    "broken pipe": ("Connection reset", True),
    "no data left": ("Connection reset", True),
    "timeout expired": ("Timeout", True),
    "timed out": ("Timeout", True),
    "name or service not known": ("host not found", True),
    "temporary failure in name resolution": ("host not found", True),
    "could not translate host name": ("host not found", True),
    "network is unreachable": ("network unreachable", True),
    "no route to host": ("network unreachable", True),
    "could not set lock on file": ("warehouse file is locked", True),
    "no space left on device": ("no space left", False),
}
_LIBPQ = re.compile(r"^.*\[libpq\].*?(?:ERROR|FATAL):\s*")
"""What ADBC puts before the words of the server."""
_NO_DATABASE = re.compile(r'database "[^"]*" does not exist')


def classify(error: BaseException, subject: str) -> SourceError:
    """Return what an exception means for a source.

    Args:
        error: Anything a driver raised.
        subject: What was being done, such as `GET /events`; goes into the text.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, SourceError):
            return link
    # what dlt wraps around a driver's exception says only which step it was
    error = next((link for link in chain if not type(link).__module__.startswith("dlt.")), error)
    words_of_error = first_line(error)
    for link in chain:
        found = _by_response(link) or _by_sqlstate(link)
        if found:
            code, transient = found
            return _source_error(code, transient, subject, words_of_error)
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    message = " ".join(str(link) for link in chain).lower()
    if names & _CERTIFICATES:
        code, transient = "TLS error", False
    # before the classes: a refused connection is a kind of timeout to urllib3
    elif words := next((said for text, said in _TEXTS.items() if text in message), None):
        code, transient = words
    elif _NO_DATABASE.search(message):
        code, transient = "no such database", False
    elif names & _TIMEOUTS:
        code, transient = "Timeout", True
    elif names & _CONNECTIONS:
        code, transient = "Connection lost", True
    else:
        # the class is for the log; its name tells people nothing
        kind = type(error).__name__
        return SourceError(
            f"{subject}: {words_of_error}", code=kind, transient=False, detail=f"{kind}: {words_of_error}"
        )
    return _source_error(code, transient, subject, words_of_error)


def _source_error(code: str, transient: bool, subject: str, detail: str) -> SourceError:
    # what passes by itself needs no driver's words; what doesn't, does
    text = f"{code}, {subject}" if transient else f"{code}, {subject}: {detail}"
    return SourceError(text, code=code, transient=transient, detail=detail)


def first_line(error: BaseException, length: int = 300) -> str:
    """Return the first line of an exception's text, redacted and cut."""
    lines = _LIBPQ.sub("", str(error)).strip().splitlines()
    return redact(lines[0] if lines else type(error).__name__)[:length]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _by_response(error: BaseException) -> tuple[str, bool] | None:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _S3_CODES:
        return _S3_CODES[code], False
    if code in _S3_TRANSIENT or status == 429 or status >= 500:
        return f"HTTP {status} {code}", True
    return f"HTTP {status} {code}", False


def _by_sqlstate(error: BaseException) -> tuple[str, bool] | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not state:
        return None
    if state in _DETERMINISTIC_SQLSTATES:
        return _DETERMINISTIC_SQLSTATES[state], False
    if state in _SQLSTATES:
        return _SQLSTATES[state], True
    # class 08 is connection exceptions
    return f"SQLSTATE {state}", state.startswith("08")
