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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

import pyarrow as pa

from loaders.attempt import Attempt, Deadline, Extraction, Stamp
from loaders.errors import ConfigurationError, SourceError
from loaders.fields import MIB, Section, secret
from loaders.formats.json import BrokenJson, NotThere, records, simple_path
from loaders.formats.raw import PAYLOAD, TEXT, clean_text, raw_schema, stamped, without_nul
from loaders.kinds.checks import Check, failed_check
from loaders.kinds.http import GuardedSession, request_line
from loaders.templates import check_template, fill_template

PAGINATORS = {
    "single_page": (),
    "auto": (),
    "json_link": (),
    "header_link": (),
    "header_cursor": (),
    "cursor": (),
    "offset": ("limit", "offset", "maximum_offset"),
    "page_number": ("base_page", "page", "maximum_page"),
}
"""Types of dlt's rest_api paginators, and which of their options are whole numbers."""
AUTHS = {
    "bearer": ("token",),
    "api_key": ("api_key",),
    "http_basic": ("username", "password"),
    "oauth2_client_credentials": ("access_token_url", "client_id", "client_secret"),
}
"""Types of dlt's rest_api authentication, and what each can't do without."""

_NEEDS_ONLY_A_LINK = {"single_page", "json_link", "header_link", "header_cursor", "cursor", "auto"}
"""Paginators that leave the first request as it is, so it can go out before dlt is imported."""
_ERROR_KEYS = ("error", "errors")


@dataclass(frozen=True)
class Page:
    """One page: its bytes as received, its records' texts, and the response it came in."""

    body: bytes
    records: list[str]
    response: Any


def open_rest_api(source: RestApiSource, attempt: Attempt) -> Extraction:
    """Ask for the first page, then return how to read all of them.

    Args:
        source: The endpoint.
        attempt: Its `retry` repeats single pages, so that a long read isn't begun again.

    Raises:
        SourceError: When the first page can't be had.
    """
    day = attempt.stamp.load_date
    deadline = Deadline(min(source.total_timeout_s, attempt.deadline.remaining()))
    session = GuardedSession(source.base_url, deadline, source.timeout_s, source.max_page_bytes)
    schema = raw_schema([])
    attempt.landing.mkdir(parents=True, exist_ok=True)
    for old in attempt.landing.glob("page-*.json"):
        # pages of an earlier try at another endpoint
        old.unlink()
    reader = _PageReader(source, session, day)
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

    def __init__(self, source: RestApiSource, session: GuardedSession, day: date) -> None:
        from requests import Request

        self._source = source
        self._session = session
        self._path = simple_path(source.data_selector)
        self._paginator: Any = None
        self._requests: set[str] = set()
        self._contents: dict[bytes, int] = {}
        self._request = Request(
            "GET",
            endpoint_url(source, source.base_url, day),
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


@dataclass(frozen=True)
class RestApiSource:
    """A paged JSON endpoint; `paginator` and `auth` are in the form of dlt's rest_api source."""

    name: str
    base_url: str
    fallback_url: str | None
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    data_selector: str | None
    table: str
    paginator: Mapping[str, Any]
    auth: Mapping[str, Any] = field(repr=False)
    timeout_s: float
    total_timeout_s: float
    max_page_bytes: int
    allow_empty: bool
    kind: ClassVar[str] = "rest_api"
    title: ClassVar[str] = "API"
    place: ClassVar[str] = "Endpoint"
    nothing_came: ClassVar[str] = "no page"
    retries_steps: ClassVar[bool] = True

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        url = endpoint_url(self, self.base_url, day)
        params = {key: fill_template(value, day) for key, value in self.params.items()}
        return f"{url}?{urlencode(params)}" if params else url

    def subject(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        return self.location(day)

    def fallback(self) -> tuple[str, RestApiSource] | None:
        """See `loaders.sources.Source`."""
        if self.fallback_url is None:
            return None
        return self.fallback_url, replace(self, base_url=self.fallback_url, fallback_url=None)

    def references(self) -> RestApiSource | None:
        """See `loaders.sources.Source`."""
        return None

    def reference_tables(self) -> tuple[str, ...]:
        """See `loaders.sources.Source`."""
        return ()

    def open(self, attempt: Attempt) -> Extraction:
        """See `loaders.sources.Source`."""
        return open_rest_api(self, attempt)

    def check(self, day: date, deadline: Deadline) -> list[Check]:
        """See `loaders.sources.Source`."""
        return _check(self, day, deadline)


def endpoint_url(source: RestApiSource, base_url: str, day: date) -> str:
    """Return an endpoint's URL at its primary or its fallback address, without parameters."""
    path = fill_template(source.path, day).lstrip("/")
    return f"{base_url.rstrip('/')}/{path}" if path else base_url


def read(name: str, section: Section) -> RestApiSource:
    """Return the REST source that a configuration section describes."""
    params = {
        key: check_template(str(value), f"{section.where}.params.{key}")
        for key, value in section.mapping("params").items()
    }
    fallback = section.text("fallback_url")
    return RestApiSource(
        name=name,
        base_url=_http_url(section, "base_url", section.required("base_url", "https://host/v1")),
        fallback_url=_http_url(section, "fallback_url", fallback) if fallback else None,
        path=section.template("path", "") or "",
        params=params,
        headers={key: str(value) for key, value in section.mapping("headers").items()},
        data_selector=section.text("data_selector"),
        table=section.name("table", "events"),
        paginator=_read_paginator(section.raw("paginator"), section.where),
        auth=_read_auth(name, section.raw("auth"), section.where),
        timeout_s=section.number("timeout_s", 30, 0.1),
        total_timeout_s=section.number("total_timeout_s", 600, 0.1),
        max_page_bytes=int(section.number("max_page_bytes", 256 * MIB, 1)),
        allow_empty=section.flag("allow_empty"),
    )


def _read_paginator(value: Any, where: str) -> dict[str, Any]:
    options: dict[str, Any] = dict(value or {}) if not isinstance(value, str) else {"type": value}
    options.setdefault("type", "auto" if options else "single_page")
    kind = options["type"]
    if kind not in PAGINATORS:
        raise ConfigurationError(f"{where}.paginator.type = {kind!r} is not one of: {', '.join(PAGINATORS)}.")
    for key in PAGINATORS[kind]:
        if key in options:
            options[key] = int(Section(options, f"{where}.paginator").number(key, 0, 0))
    return options


def _read_auth(name: str, value: Any, where: str) -> dict[str, Any]:
    options = {"type": value} if isinstance(value, str) else dict(value or {})
    if not options:
        return {}
    kind = options.setdefault("type", "bearer")
    if kind not in AUTHS:
        raise ConfigurationError(f"{where}.auth.type = {kind!r} is not one of: {', '.join(AUTHS)}.")
    for key in AUTHS[kind]:
        options[key] = options.get(key) or secret(name, key, Section({}, f"{where}.auth"))
    return options


def _http_url(section: Section, key: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ConfigurationError(
            f"{section.where}.{key} must be an http or https URL without a user in it; "
            f"credentials go into {section.where}.auth."
        )
    return value


class _Once:
    """A retry that doesn't: a check shows what happens at the first try."""

    def __call__(self, step: Callable[[], Any], within: Deadline | None = None) -> Any:
        """Run the step."""
        return step()


def _check(source: RestApiSource, day: date, deadline: Deadline) -> list[Check]:
    checks = []
    endpoints = {"reach": source.base_url, "fallback": source.fallback_url}
    for name, base_url in endpoints.items():
        if base_url is None:
            continue
        with TemporaryDirectory() as folder:
            stamp = Stamp(day, "check", datetime.now(UTC))
            attempt = Attempt(stamp, Path(folder), deadline, lambda _: None, _Once())
            try:
                extraction = open_rest_api(replace(source, base_url=base_url), attempt)
                rows = 0
                for _, table in extraction.tables:
                    # the first page is enough
                    rows = table.num_rows
                    break
            except Exception as error:
                # a passing failure means that nothing answers; any other one is an answer
                right = "a valid credential" if isinstance(error, SourceError) else None
                checks.append(failed_check(name, error, base_url, right))
                continue
        checks.append(Check(name, True, f"{base_url} answers"))
        if name == "reach":
            checks.append(Check("day", rows > 0 or source.allow_empty, f"{rows} records on page 1"))
    return checks
