"""One guarded HTTP request: same origin only, under a total deadline and a size cap."""

from __future__ import annotations

import ipaddress
import json
import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

from loaders.attempt import Deadline
from loaders.errors import SourceError
from loaders.failures import classify

_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_REDIRECTS = 5
_BLOCK_BYTES = 256 * 1024
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: what a request may never leave."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Return a URL's origin; a URL that has none gives one that equals no other."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
            return cls(parts.scheme, (parts.hostname or "").lower(), port)
        except ValueError:
            return cls("", url, 0)

    def check(self, url: str, what: str) -> None:
        """Refuse a URL of another origin, before anything is sent there.

        Raises:
            SourceError: Deterministic; names the origin that was refused.
        """
        other = Origin.of(url)
        if other == self:
            return
        shown = f"{other.scheme}://{other.host}"
        raise SourceError(
            f"refused, {what} leads to {_kind(other.host)}{shown} "
            f"and only {self.scheme}://{self.host}:{self.port} may be asked",
            code="refused",
            transient=False,
        )


def _kind(host: str) -> str:
    try:
        return "the link-local address " if ipaddress.ip_address(host).is_link_local else ""
    except ValueError:
        return ""


def request_line(request: Any) -> str:
    """Return `GET /path?query` of a request for messages: no host, userinfo or credential."""
    from requests import PreparedRequest
    from requests.exceptions import RequestException

    plain = PreparedRequest()
    # without its authentication, which may go into the query
    with suppress(RequestException, ValueError):
        plain.prepare_url(request.url, request.params)
    parts = urlsplit(plain.url or "")
    return f"{request.method} {parts.path or '/'}{'?' + parts.query if parts.query else ''}"


class GuardedSession:
    """Sends requests to one origin.

    Args:
        base_url: Its origin is the only one that is ever asked.
        deadline: Bounds every request as a whole: a server that sends a byte now and then
            satisfies every read timeout and still ends here.
        timeout_s: For connecting and for each read.
        max_bytes: Most bytes of a decoded body.
    """

    def __init__(self, base_url: str, deadline: Deadline, timeout_s: float, max_bytes: int) -> None:
        import requests

        self.origin = Origin.of(base_url)
        self._deadline = deadline
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self.session = requests.Session()
        # without this requests looks for the host in ~/.netrc
        self.session.auth = _no_auth

    def join(self, base_url: str, target: str, what: str) -> str:
        """Return an absolute URL of the same origin.

        Raises:
            SourceError: Deterministic, when the target is elsewhere or is no URL.
        """
        try:
            url = urljoin(base_url, target)
        except ValueError:
            url = target
        self.origin.check(url, what)
        return url

    def send(self, request: Any) -> Any:
        """Send a `requests.Request` and return its response, with the whole body read.

        Raises:
            SourceError: For any failure, statuses of 400 and above included.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            self.origin.check(request.url, "the request")
            response = self._in_time(request)
            if response.status_code not in _REDIRECTS:
                _check_status(response, request)
                return response
            target = self.join(response.url, response.headers.get("Location", ""), "a redirect")
            request.url, request.params = target, {}
        raise SourceError(
            f"refused, more than {_MAX_REDIRECTS} redirects, {request_line(request)}",
            code="refused",
            transient=False,
        )

    def _in_time(self, request: Any) -> Any:
        """Do the request in a thread, since no socket option bounds a request as a whole."""
        subject = request_line(request)
        self._deadline.check(subject)
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def work() -> None:
            try:
                answer.put(self._exchange(request))
            except Exception as error:
                answer.put(error)

        threading.Thread(target=work, daemon=True, name="request").start()
        try:
            result = answer.get(timeout=self._deadline.remaining() + 0.05)
        except queue.Empty:
            self._deadline.check(subject)
            raise
        if isinstance(result, Exception):
            raise classify(result, subject) from result
        return result

    def _exchange(self, request: Any) -> Any:
        from requests.exceptions import RequestException

        prepared = self.session.prepare_request(request)
        subject = request_line(request)
        timeout = max(0.05, min(self._timeout_s, self._deadline.remaining()))
        settings = self.session.merge_environment_settings(prepared.url or "", {}, True, None, None)
        try:
            response = self.session.send(prepared, timeout=timeout, allow_redirects=False, **settings)
        except RequestException:
            raise
        except ValueError as error:
            # requests looks at a redirect's target even when it must not follow it
            raise SourceError(
                f"refused, a redirect leads to no URL, {subject}", code="refused", transient=False
            ) from error
        blocks, size = [], 0
        for block in response.iter_content(_BLOCK_BYTES):
            size += len(block)
            if size > self._max_bytes:
                response.close()
                raise SourceError(
                    f"page too large, {subject}: more than {self._max_bytes} bytes",
                    code="page too large",
                    transient=False,
                )
            blocks.append(block)
            self._deadline.check(subject)
        # where requests itself keeps a body that was read
        response._content = b"".join(blocks)
        # requests prefers simplejson when it is installed, which refuses NaN
        response.json = partial(  # type: ignore[method-assign]
            json.loads, response._content
        )
        return response


def _no_auth(request: Any) -> Any:
    return request


def _check_status(response: Any, request: Any) -> None:
    status = response.status_code
    if status < 400 and status not in (204, 304):
        return
    transient = status in (408, 425, 429) or status >= 500
    raise SourceError(
        f"HTTP {status}, {request_line(request)}",
        code=f"HTTP {status}",
        transient=transient,
        retry_after_s=retry_after(response.headers.get("Retry-After")) if transient else None,
    )


def retry_after(header: str | None) -> float | None:
    """Return the seconds a Retry-After header asks for (a number or an HTTP date), or None."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return seconds if 0 < seconds < float("inf") else None
