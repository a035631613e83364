"""A real HTTP API for the sandbox: paged events with a primary and a fallback endpoint."""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from sandbox.faults import Faults
from sandbox.network import HOST, refusing_port

PATH = "/events"
_FOREVER_S = 86_400.0
_PER_REQUEST = ("timeout", "500", "429", "reset", "html", "error-object", "short", "slow")
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class ApiLogin:
    """How to reach the API."""

    base_url: str
    fallback_url: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response before it is written."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    retry_after_s: int | None = None


class ApiServer:
    """Serves the pages of one day on two ports."""

    def __init__(self, date: str, faults: Faults) -> None:
        """Prepare to serve `date` (YYYY-MM-DD); `faults` concern both endpoints alike."""
        self.faults = faults
        self.token = secrets.token_urlsafe(24)
        self._date = date
        self._pages: Sequence[bytes] = ()
        self._kept: list[socket.socket] = []
        # page numbers are scrambled, so that a cursor can't be guessed
        self._salt = secrets.token_hex(4)
        self._elsewhere = ""

    def start(self, pages: Sequence[bytes]) -> ApiLogin:
        """Serve `pages` (JSON arrays) from now on."""
        self._pages = [b"[]"] if self.faults.has("api=empty") or not pages else pages
        if self.faults.has("api=elsewhere"):
            self._elsewhere = f"http://localhost:{self._listen(_ElsewhereHandler)}{PATH}"
        down = self.faults.has("api=down")
        primary_down = down or self.faults.has("api=primary-down")
        primary = self._refuse() if primary_down else self._listen(_EventsHandler)
        fallback = self._refuse() if down else self._listen(_EventsHandler)
        return ApiLogin(f"http://{HOST}:{primary}", f"http://{HOST}:{fallback}", self.token)

    def answer(self, base_url: str, query: dict[str, list[str]]) -> Answer:
        """Return the page that a query asks for."""
        date = query.get("date", [""])[0]
        if not date:
            return _refusal(400, "parameter 'date' is missing")
        if date != self._date:
            return _page(b"[]", 1, None)
        cursor = query.get("cursor", [""])[0]
        try:
            number = self._page_number(cursor) if cursor else 0
        except ValueError:
            return _refusal(400, f"parameter 'cursor' is not valid: {cursor[:40]!r}")
        repeated = self.faults.has("api=repeat")
        at = max(0, number - 1) if repeated else number
        n_pages = len(self._pages) + repeated
        following: str | None = None
        if number == 0 and self._elsewhere:
            following = f"{self._elsewhere}?date={date}&cursor=1"
        elif number == 0 and self.faults.has("api=loop"):
            following = f"{base_url}{PATH}?date={date}"
        elif number + 1 < n_pages:
            following = f"{base_url}{PATH}?date={date}&cursor={self._salt}{number + 1:x}"
        return _page(self._pages[at], number + 1, following)

    def _page_number(self, cursor: str) -> int:
        number = int(cursor.removeprefix(self._salt), 16)
        if not cursor.startswith(self._salt) or not 0 < number <= len(self._pages):
            raise ValueError(cursor)
        return number

    def _listen(self, handler: type[BaseHTTPRequestHandler]) -> int:
        server = _Server((HOST, 0), handler, self)
        threading.Thread(target=server.serve_forever, name="api", daemon=True).start()
        return server.server_port

    def _refuse(self) -> int:
        holder, port = refusing_port()
        self._kept.append(holder)
        return port


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], api: ApiServer) -> None:
        self.api = api
        super().__init__(address, handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that hangs up is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error is for what a reader must know."""

    def start_answer(self, answer: Answer) -> None:
        """Write everything before the body."""
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.retry_after_s is not None:
            self.send_header("Retry-After", str(answer.retry_after_s))
        self.end_headers()


class _EventsHandler(_Handler):
    def do_GET(self) -> None:
        """Answer a request, or meet the fault that is due."""
        url = urlsplit(self.path)
        if url.path != PATH:
            return self._send(_refusal(404, f"no such path: {url.path[:80]}"))
        fault = self.server.api.faults.strike("api", _PER_REQUEST)
        if fault == "timeout":
            return self._hang()
        if self.headers.get("Authorization") != f"Bearer {self.server.api.token}":
            return self._send(_refusal(401, "a valid bearer token is required"))
        base_url = f"http://{HOST}:{self.server.server_port}"
        answer = self.server.api.answer(base_url, parse_qs(url.query))
        self._send(_faulty(answer, fault), fault)

    def _send(self, answer: Answer, fault: str | None = None) -> None:
        self.start_answer(answer)
        if fault in ("reset", "short"):
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.wfile.flush()
            self.close_connection = True
            if fault == "reset":
                # a close that lingers 0 s sends a reset, unless the server says goodbye before it
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                os.close(self.connection.detach())
        elif fault == "slow":
            for at in range(len(answer.body)):
                self.wfile.write(answer.body[at : at + 1])
                self.wfile.flush()
                time.sleep(1.0)
        else:
            self.wfile.write(answer.body)

    def _hang(self) -> None:
        # readable without a new request means that the client has hung up
        select.select([self.connection], [], [], _FOREVER_S)
        self.close_connection = True


class _ElsewhereHandler(_Handler):
    """Another host that no client should follow to; says on standard error when one does."""

    def do_GET(self) -> None:
        """Answer with an empty last page."""
        secret = "with" if self.headers.get("Authorization") else "without"
        sys.stderr.write(f"sandbox: api=elsewhere: another host was asked, {secret} credentials\n")
        answer = _page(b"[]", 2, None)
        self.start_answer(answer)
        self.wfile.write(answer.body)


def _faulty(answer: Answer, fault: str | None) -> Answer:
    if fault == "500":
        return _refusal(500, "internal error")
    if fault == "429":
        refusal = _refusal(429, "too many requests")
        return Answer(refusal.body, refusal.status, retry_after_s=1)
    if fault == "html":
        return Answer(b"<!doctype html><title>Maintenance</title><p>Be right back.", kind="text/html")
    if fault == "error-object":
        return Answer(b'{"error":{"code":"backend_unavailable","message":"try again later"}}')
    return answer


def _page(data: bytes, number: int, following: str | None) -> Answer:
    return Answer(b'{"data":%b,"page":%d,"next":%b}' % (data, number, _json(following)))


def _refusal(status: int, message: str) -> Answer:
    return Answer(b'{"error":%b}' % _json(message), status)


def _json(value: str | None) -> bytes:
    return json.dumps(value).encode()
