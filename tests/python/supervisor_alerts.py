"""Real channels for alerts, on this machine."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CANARY = "c4n4ry-s3cr3t"


class Receiver:
    """A real HTTP server that keeps what it is sent."""

    def __init__(self, delay_s: float = 0.0, status: int = 200) -> None:
        received: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(delay_s)
                received.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"json://user:{CANARY}@127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def channels() -> Iterator[tuple[dict[str, str], Receiver]]:
    """The environment of a run that tells two channels, a dead one and then one that works; and the latter."""
    with closing(socket.socket()) as unused, closing(Receiver()) as receiver:
        unused.bind(("127.0.0.1", 0))
        dead = f"json://user:{CANARY}@127.0.0.1:{unused.getsockname()[1]}/"
        yield {"GOALKEEPER_ALERTS": f"{dead},{receiver.address}"}, receiver
