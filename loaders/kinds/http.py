"""A guarded `requests` session: one origin only, under a total deadline and a size cap, on every hop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import parse_url

from loaders.attempt import Deadline
from loaders.errors import SourceError
from loaders.failures import classify

_MAX_REDIRECTS = 5
_BLOCK_BYTES = 256 * 1024
_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Return scheme, host and port that `requests` connects to for a URL as it is sent.

    Raises:
        ValueError: When it is no http URL, has a user in it, or two readers of URLs would connect to different hosts.
    """
    parts, seen = urlsplit(url), parse_url(url)
    host, other = parts.hostname, (seen.host or "").strip("[]").lower()
    if parts.scheme not in _PORTS or not host or (host, parts.port) != (other, seen.port) or "@" in parts.netloc:
        raise ValueError("no http URL, or one with a user in it, or one that can be read in two ways")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{parts.port or _PORTS[parts.scheme]}"


def origin_as_sent(url: str) -> str:
    """Return the origin of a URL after `requests` has prepared it; see `origin_of`."""
    return origin_of(requests.Request("GET", url).prepare().url or "")


def request_line(request: requests.PreparedRequest) -> str:
    """Return `GET /path?query` for messages: no host and no userinfo."""
    parts = urlsplit(request.url or "")
    return f"{request.method} {parts.path or '/'}{'?' + parts.query if parts.query else ''}"


def refused(text: str) -> SourceError:
    """Return the error for a request that must not be sent."""
    return SourceError(f"refused, {text}", code="refused", transient=False)


class _Transport(HTTPAdapter):
    """Carries every request as it is sent, each hop of a redirect too."""

    def __init__(self, session: GuardedSession) -> None:
        super().__init__()
        self._session = session

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Check the origin where `requests` chooses what to connect to."""
        allowed, other = self._session.origin, origin_of(request.url)
        if other != allowed:
            raise refused(f"{self._session.subject} leads to {other} and only {allowed} may be asked")
        return super().build_connection_pool_key_attributes(request, verify, cert)

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        """Do one exchange in a thread, since no socket option bounds a request as a whole."""
        deadline, subject = self._session.deadline, self._session.subject
        deadline.check(subject)
        answer: Future[requests.Response] = Future()
        options |= {"stream": True, "timeout": max(0.05, min(self._session.timeout_s, deadline.remaining()))}

        def work() -> None:
            try:
                answer.set_result(self._exchange(request, options))
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=work, daemon=True, name="request").start()
        try:
            return answer.result(timeout=deadline.remaining() + 0.05)
        except TimeoutError:
            deadline.check(subject)
            raise

    def _exchange(self, request: requests.PreparedRequest, options: dict[str, Any]) -> requests.Response:
        response = super().send(request, **options)
        session, body = self._session, bytearray()
        for block in response.iter_content(_BLOCK_BYTES):
            body += block
            if len(body) > session.max_bytes:
                response.close()
                text = f"page too large, {session.subject}: more than {session.max_bytes} bytes"
                raise SourceError(text, code="page too large", transient=False)
            session.deadline.check(session.subject)
        # where requests itself keeps a body that was read
        response._content = bytes(body)
        status = response.status_code
        if (status >= 300 and not response.is_redirect) or status == 204:
            transient = status in (408, 425, 429) or status >= 500
            raise SourceError(
                f"HTTP {status}, {session.subject}",
                code=f"HTTP {status}",
                transient=transient,
                retry_after_s=retry_after(response.headers.get("Retry-After")) if transient else None,
            )
        return response


class GuardedSession(requests.Session):
    """Sends requests to one origin; whatever fails is a `SourceError`, statuses of 300 and above included.

    Args:
        url: Its origin is the only one that is ever asked, by a redirect neither.
        deadline: Bounds every request as a whole: a server that sends a byte now and then
            satisfies every read timeout and still ends here.
        timeout_s: For connecting and for each read.
        max_bytes: Most bytes of a decoded body.
        read: Called with every answer that is no redirect; may refuse it with a `SourceError`.
        subject: What is asked, for messages, without a credential.
    """

    def __init__(
        self,
        url: str,
        deadline: Deadline,
        timeout_s: float,
        max_bytes: int,
        read: Callable[[requests.Response], None],
        subject: str,
    ) -> None:
        super().__init__()
        self.origin = origin_as_sent(url)
        self.deadline = deadline
        self.timeout_s = timeout_s
        self.max_bytes = max_bytes
        self.subject = subject
        self._read = read
        self.max_redirects = _MAX_REDIRECTS
        # without this requests looks for the host in ~/.netrc
        self.auth = lambda request: request
        for scheme in _PORTS:
            self.mount(f"{scheme}://", _Transport(self))

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        """Keep the headers on a redirect: it can't leave the origin, and ~/.netrc is not asked."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and follow its redirects; the whole body is read.

        Raises:
            SourceError: For any failure.
        """
        try:
            response = super().send(request, **options)
            if not response.is_redirect:
                self._read(response)
            return response
        except SourceError:
            raise
        except requests.TooManyRedirects as error:
            raise refused(f"{self.subject} leads to more than {_MAX_REDIRECTS} redirects") from error
        except ValueError as error:
            raise refused(f"{self.subject} leads to what is no http URL") from error
        except Exception as error:
            raise classify(error, self.subject) from error


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
