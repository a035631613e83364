"""A real S3 protocol endpoint (moto's) for the sandbox, with faults in front of it."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import S3Backend, s3_backends
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.faults import Faults
from sandbox.network import HOST

BUCKET = "data-lake"
REGION = "us-east-1"
_SLOW_CHUNK = 4_096
_FOREVER_S = 86_400.0
# a Parquet file ends with its footer, the footer's length and a magic word
_CUT = 4_096

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class S3Login:
    """How to reach the bucket."""

    endpoint_url: str
    bucket: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


class S3Server:
    """Serves one bucket on a free port."""

    def __init__(self, faults: Faults) -> None:
        """Bind a port; `faults` are those in front of the requests."""
        self.faults = faults
        self._key = "AK" + secrets.token_hex(9).upper()
        self._secret = secrets.token_urlsafe(30)
        self._backend: S3Backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._backend.create_bucket(BUCKET, REGION)
        app = self._guarded(create_backend_app("s3"))
        self._server: BaseWSGIServer = make_server(HOST, 0, app, threaded=True, request_handler=_QuietHandler)

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        self._backend.put_object(BUCKET, key, content)

    def start(self) -> S3Login:
        """Serve from now on."""
        threading.Thread(target=self._server.serve_forever, name="s3", daemon=True).start()
        endpoint = f"http://{HOST}:{self._server.server_port}"
        return S3Login(endpoint, BUCKET, REGION, self._key, self._secret)

    def _guarded(self, app: Wsgi) -> Wsgi:
        def guarded(environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
            fault = self.faults.strike("s3", ("500", "hang", "slow"))
            if fault == "hang":
                time.sleep(_FOREVER_S)
            if fault == "500":
                return _error(respond, "500 Internal Server Error", "InternalError")
            # moto would let everybody in
            if (key := _access_key(environ)) != self._key:
                code = "InvalidAccessKeyId" if key else "AccessDenied"
                return _error(respond, "403 Forbidden", code)
            body = app(environ, respond)
            return _trickle(body) if fault == "slow" else body

        return guarded


def without_footer(content: bytes) -> bytes:
    """Return a Parquet file as it is when its writer died before the end."""
    return content[: max(len(content) // 2, len(content) - _CUT)]


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: standard error is for what a reader must know."""


def _access_key(environ: dict[str, Any]) -> str | None:
    signed = environ.get("HTTP_AUTHORIZATION", "") + environ.get("QUERY_STRING", "")
    found = re.search(r"Credential=([^/%]+)(/|%2F)", signed)
    return found[1] if found else None


def _error(respond: Callable[..., Any], status: str, code: str) -> Iterable[bytes]:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
    respond(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body.encode()]


def _trickle(body: Iterable[bytes]) -> Iterator[bytes]:
    for part in body:
        for at in range(0, len(part), _SLOW_CHUNK):
            yield part[at : at + _SLOW_CHUNK]
            time.sleep(1.0)
