"""Turn any exception of a driver into a `SourceError`: what happened, and can it pass by itself.

The drivers are recognized by the names of their classes, so that none must be imported here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from loaders.errors import SourceError
from loaders.redact import redact

_CERTIFICATES = {"SSLError", "SSLCertVerificationError"}
_CLASSES = {
    **dict.fromkeys(_CERTIFICATES, ("TLS error", False)),
    **dict.fromkeys(("Timeout", "ReadTimeoutError", "ConnectTimeoutError", "TimeoutError"), ("Timeout", True)),
    **dict.fromkeys(
        (
            "ConnectionError",
            "EndpointConnectionError",
            "ConnectionClosedError",
            "ChunkedEncodingError",
            "IncompleteRead",
            "IncompleteReadError",
            "ResponseStreamingError",
            "HTTPClientError",
            "ProtocolError",
        ),
        ("Connection lost", True),
    ),
}
"""What the names of exceptions mean, the first that fits; the label, and whether it can pass by itself."""
_SQLSTATES = {
    "28000": ("permission denied", False),
    "28P01": ("wrong password", False),
    "3D000": ("no such database", False),
    "3F000": ("no such schema", False),
    "40001": ("serialization failure", True),
    "40P01": ("deadlock", True),
    "42501": ("permission denied", False),
    "42703": ("no such column", False),
    "42P01": ("no such table", False),
    "53300": ("too many connections", True),
    "55P03": ("lock not available", True),
    "57014": ("Timeout", True),
    "57P01": ("backend terminated", True),
    "57P02": ("server crashed", True),
    "57P03": ("server is starting", True),
}
_S3_DENIED = {"AccessDenied", "Forbidden", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
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
    'database "[^"]*" does not exist': ("no such database", False),
}
_LIBPQ = re.compile(r"^.*\[libpq\].*?(?:ERROR|FATAL):\s*")
"""What ADBC puts before the words of the server."""


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
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    message = " ".join(str(link) for link in chain).lower()
    found = next(filter(None, (_by_response(link) or _by_sqlstate(link) for link in chain)), None)
    if not found and not names & _CERTIFICATES:
        # before the classes: a refused connection is a kind of timeout to urllib3
        found = next((said for text, said in _TEXTS.items() if re.search(text, message)), None)
    found = found or next((said for name, said in _CLASSES.items() if name in names), None)
    if found is None:
        # the class is for the log; its name tells people nothing
        kind = type(error).__name__
        text, detail = f"{subject}: {words_of_error}", f"{kind}: {words_of_error}"
        return SourceError(text, code=kind, transient=False, detail=detail)
    code, transient = found
    # what passes by itself needs no driver's words; what doesn't, does
    text = f"{code}, {subject}" if transient else f"{code}, {subject}: {words_of_error}"
    return SourceError(text, code=code, transient=transient, detail=words_of_error)


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
    if code in _S3_DENIED or code == "NoSuchBucket":
        return "permission denied" if code in _S3_DENIED else "no such bucket", False
    return f"HTTP {status} {code}", code in _S3_TRANSIENT or status == 429 or status >= 500


def _by_sqlstate(error: BaseException) -> tuple[str, bool] | None:
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    # class 08 is connection exceptions
    return _SQLSTATES.get(state, (f"SQLSTATE {state}", state.startswith("08"))) if state else None
