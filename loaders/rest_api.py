"""Collect a paged JSON endpoint.

Paginators and authentication are dlt's own, built from the same configuration as its `rest_api`
source takes. The loop around them is not dlt's `RESTClient.paginate`: that sends its
authentication wherever a `next` link points, follows a `next` for ever, takes an error object for
an empty page, and has no deadline (RELIABILITY.md has the trials).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from loaders.attempt import Attempt, Deadline, Extraction
from loaders.errors import SourceError
from loaders.http import GuardedSession, request_line
from loaders.jsontext import BrokenJson, NotThere, records, simple_path
from loaders.raw import PAYLOAD, TEXT, clean_text, raw_schema, stamped, without_nul
from loaders.sources import RestApiSource, endpoint_url
from loaders.templates import fill_template

_NEEDS_ONLY_A_LINK = {"single_page", "json_link", "header_link", "header_cursor", "cursor", "auto"}
"""Paginators that leave the first request as it is, so it can go out before dlt is imported."""
_ERROR_KEYS = ("error", "errors")


@dataclass(frozen=True)
class Page:
    """One page: its bytes as received, its records' texts, and the response it came in."""

    body: bytes
    records: list[str]
    response: Any


def open_rest_api(source: RestApiSource, attempt: Attempt, base_url: str) -> Extraction:
    """Ask for the first page, then return how to read all of them.

    Args:
        source: The endpoint.
        attempt: Its `retry` repeats single pages, so that a long read isn't begun again.
        base_url: The primary or the fallback address.

    Raises:
        SourceError: When the first page can't be had.
    """
    day = attempt.stamp.load_date
    deadline = Deadline(min(source.total_timeout_s, attempt.deadline.remaining()))
    session = GuardedSession(base_url, deadline, source.timeout_s, source.max_page_bytes)
    schema = raw_schema([])
    attempt.landing.mkdir(parents=True, exist_ok=True)
    for old in attempt.landing.glob("page-*.json"):
        # pages of an earlier try at another endpoint
        old.unlink()
    reader = _PageReader(source, session, day, base_url)
    first = attempt.retry(reader.fetch, deadline)
    detail: dict[str, Any] = {"pages": 0}

    def tables() -> Iterator[tuple[str, pa.Table]]:
        page = first
        for number in itertools.count(1):
            name = f"page-{number:05d}"
            (attempt.landing / f"{name}.json").write_bytes(page.body)
            detail["pages"] = number
            if page.records:
                texts = pa.array([without_nul(text) for text in page.records], TEXT)
                yield (
                    source.table,
                    stamped(
                        schema,
                        {PAYLOAD: clean_text(texts)},
                        len(texts),
                        stamp=attempt.stamp,
                        source_object=f"{source.table}/{name}",
                        source_rows=1,
                    ),
                )
            if not reader.advance(page):
                return
            page = attempt.retry(reader.fetch, deadline)

    return Extraction({source.table: schema}, tables(), detail=detail)


def make_auth(options: Mapping[str, Any]) -> Any:
    """Return what signs a request, None when nothing does.

    The simple types are built here, the same as dlt's, so that the first request need not wait
    for dlt's import; every other type is dlt's.
    """
    kind = options.get("type")
    if kind is None:
        return None
    if kind == "http_basic":
        from requests.auth import HTTPBasicAuth

        return HTTPBasicAuth(options["username"], options["password"])
    where = options.get("location", "header")
    if kind == "bearer":
        return lambda request: _with_header(request, "Authorization", f"Bearer {options['token']}")
    if kind == "api_key" and where == "header":
        name = options.get("name", "Authorization")
        return lambda request: _with_header(request, name, options["api_key"])
    from dlt.sources.rest_api.config_setup import create_auth

    return create_auth(dict(options))  # type: ignore[arg-type]


def make_paginator(options: Mapping[str, Any], response: Any) -> Any:
    """Return dlt's paginator of the configured type; `auto` is judged from a first response."""
    from dlt.sources.helpers.rest_client.detector import PaginatorFactory
    from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator
    from dlt.sources.rest_api.config_setup import create_paginator

    paginator = create_paginator(dict(options))  # type: ignore[arg-type]
    if paginator is None:
        paginator, _ = PaginatorFactory().create_paginator(response)
    return paginator or SinglePagePaginator()


def _with_header(request: Any, name: str, value: str) -> Any:
    request.headers[name] = value
    return request


class _PageReader:
    """Holds the request for the next page and moves it on with dlt's paginator."""

    def __init__(self, source: RestApiSource, session: GuardedSession, day: date, base_url: str) -> None:
        from requests import Request

        self._source = source
        self._session = session
        self._path = simple_path(source.data_selector)
        self._paginator: Any = None
        self._requests: set[str] = set()
        self._contents: dict[bytes, int] = {}
        self._request = Request(
            "GET",
            endpoint_url(source, base_url, day),
            headers={"Accept": "application/json", **source.headers},
            params={key: fill_template(value, day) for key, value in source.params.items()},
        )
        self._request.auth = make_auth(source.auth)
        if source.paginator["type"] not in _NEEDS_ONLY_A_LINK:
            self._paginator = make_paginator(source.paginator, None)
            self._paginator.init_request(self._request)
        self._remember_request()

    def subject(self) -> str:
        """Return the request for messages."""
        return request_line(self._request)

    def fetch(self) -> Page:
        """Ask for the current page.

        Raises:
            SourceError: Also, as transient, when a 200 holds no JSON or nothing at the selector.
        """
        response = self._session.send(self._request)
        body = response.content
        try:
            encoding = json.detect_encoding(body)
            if encoding == "utf-8" and (response.encoding or "").lower() == "iso-8859-1":
                # requests assumes latin-1 for text/*; JSON is UTF-8 unless that fails
                encoding = _utf8_or(body, "iso-8859-1")
            found = self._records(body.decode(encoding))
        except (BrokenJson, UnicodeDecodeError) as error:
            kind = "HTML" if body.lstrip()[:1] == b"<" else "a cut or broken body"
            raise self._bad_page(f"no JSON but {kind}", str(error)) from error
        except NotThere as error:
            message = f"nothing at data_selector {self._source.data_selector!r}"
            raise self._bad_page(message, body[:200].decode("utf-8", "replace")) from error
        self._check_repeated(found)
        return Page(body, found, response)

    def _bad_page(self, text: str, detail: str) -> SourceError:
        return SourceError(f"bad page, {self.subject()}: {text}", code="bad page", transient=True, detail=detail)

    def _records(self, text: str) -> list[str]:
        if self._path is None:
            return self._records_by_jsonpath(text)
        found = list(records(text, self._path))
        if not self._path and text.lstrip()[:1] != "[":
            # without a selector the page is the list; an object is an error message
            raise NotThere("$")
        if not found and self._path and any(f'"{key}"' in text for key in _ERROR_KEYS):
            document = json.loads(text)
            if isinstance(document, dict) and any(document.get(key) for key in _ERROR_KEYS):
                raise NotThere("data beside an error")
        return found

    def _records_by_jsonpath(self, text: str) -> list[str]:
        from dlt.common import jsonpath

        try:
            document = json.loads(text)
        except ValueError as error:
            raise BrokenJson(str(error), 0) from error
        found = jsonpath.find_values(str(self._source.data_selector), document)
        if not found:
            raise NotThere(self._source.data_selector)
        items = found[0] if len(found) == 1 and isinstance(found[0], list) else found
        return [json.dumps(item, ensure_ascii=False) for item in items]

    def _check_repeated(self, found: list[str]) -> None:
        if not found:
            return
        digest = hashlib.sha256("\n".join(found).encode("utf-8", "surrogatepass")).digest()
        number = len(self._requests)
        earlier = self._contents.setdefault(digest, number)
        if earlier != number:
            raise SourceError(
                f"repeated page, page {number} has the same records as page {earlier} ({self.subject()})",
                code="repeated page",
                transient=False,
            )

    def advance(self, page: Page) -> bool:
        """Move the request on to the next page; False when there is none.

        Raises:
            SourceError: When the next page was read already or is at another origin.
        """
        if self._source.paginator["type"] == "single_page":
            return False
        if self._paginator is None:
            self._paginator = make_paginator(self._source.paginator, page.response)
        self._paginator.update_state(page.response, page.records)
        if not self._paginator.has_next_page:
            return False
        try:
            self._paginator.update_request(self._request)
        except ValueError:
            # a link that is no URL
            self._request.url = ""
        self._session.origin.check(str(self._request.url), "the next page")
        self._remember_request()
        return True

    def _remember_request(self) -> None:
        prepared = self._session.session.prepare_request(self._request)
        key = f"{prepared.url}\n{prepared.body!r}"
        if key in self._requests:
            raise SourceError(
                f"endless pages, the page after {len(self._requests)} is one already read ({self.subject()})",
                code="endless pages",
                transient=False,
            )
        self._requests.add(key)


def _utf8_or(body: bytes, other: str) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return other
    return "utf-8"
