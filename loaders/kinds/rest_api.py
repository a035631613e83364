"""Collect a paged JSON endpoint with dlt's `RESTClient`: its paginators, its authentication, its configuration.

What dlt's client leaves open is closed below it, in the session that it sends its requests with (`loaders.kinds.http`):
other origins, a `next` that never ends, an error object in a 200, a deadline.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlencode

import pyarrow as pa
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.dataclasses import dataclass as settings_dataclass
from requests import PreparedRequest, Response
from requests.auth import HTTPBasicAuth

from loaders.attempt import Attempt, Deadline, Extraction, Stamp
from loaders.errors import ConfigurationError, SourceError
from loaders.failures import first_line
from loaders.fields import SETTINGS, Count, Name, Seconds, Template, as_table, secret, settings
from loaders.formats.files import MIB
from loaders.formats.json import BrokenJson, NotThere, records, simple_path
from loaders.formats.raw import PAYLOAD, TEXT, clean_text, raw_schema, stamped, without_nul
from loaders.imports import import_alone
from loaders.kinds.checks import Check, failed_check
from loaders.kinds.http import GuardedSession, origin_as_sent, refused, request_line
from loaders.kinds.one_endpoint import OneEndpoint
from loaders.redact import register_secrets
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
"""Types of dlt's rest_api paginators, and which of their options are whole numbers; those with some add to the first request."""
AUTHS = {
    "bearer": ("token",),
    "api_key": ("api_key",),
    "http_basic": ("username", "password"),
    "oauth2_client_credentials": ("access_token_url", "client_id", "client_secret"),
}
"""Types of dlt's rest_api authentication, and what each can't do without."""

_ERROR_KEYS = ("error", "errors")
_UNSAFE = re.compile(r"[\s\\\x00-\x1f]")
_MAX_DIGITS = 4000


def open_rest_api(source: RestApiSource, attempt: Attempt) -> Extraction:
    """Ask for the first page, then return how to read all of them.

    Args:
        source: The endpoint.
        attempt: Its `retry` repeats single pages, so that a long read isn't begun again.

    Raises:
        SourceError: When the first page can't be had.
    """
    attempt.landing.mkdir(parents=True, exist_ok=True)
    for old in attempt.landing.glob("page-*.json"):
        # pages of an earlier try at another endpoint
        old.unlink()
    day = attempt.stamp.load_date
    pages = _Pages(source, attempt)
    request = {
        "method": source.method,
        "headers": {"Accept": "application/json", **source.headers},
        "params": source.query(day),
        "json": _each_text(source.json, lambda text: fill_template(text, day)) or None,
    }
    url = endpoint_url(source, source.base_url, day)
    if not PAGINATORS[source.paginator["type"]]:
        pages.ask_ahead(url, request)
    schema = raw_schema([])
    detail: dict[str, Any] = {"pages": 0}

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for number, page in enumerate(_paginate(source, pages, url, request), start=1):
            name = f"page-{number:05d}"
            (attempt.landing / f"{name}.json").write_bytes(page.response.content)
            detail["pages"] = number
            if page:
                texts = pa.array([without_nul(text) for text in page], TEXT)
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

    return Extraction({source.table: schema}, tables(), detail=detail)


def _paginate(source: RestApiSource, pages: _Pages, url: str, request: Mapping[str, Any]) -> Iterator[Any]:
    """Yield dlt's pages, each the list of its records' texts."""
    import_alone("dlt.sources.rest_api")
    from dlt.sources.helpers.rest_client.client import RESTClient
    from dlt.sources.rest_api.config_setup import create_paginator

    class Client(RESTClient):
        def extract_response(self, response: Response, data_selector: Any) -> list[Any]:
            """Return the records as received: dlt's way is by way of Python values."""
            return pages.records_of(response)

    client = Client(source.base_url, paginator=create_paginator(dict(source.paginator)), session=pages)  # type: ignore[arg-type]
    try:
        # the selector only keeps dlt from guessing one
        yield from client.paginate(url, data_selector="$", **request)
    except ValueError as error:
        raise refused(f"the page after {pages.subject} can't be asked for: {first_line(error)}") from error


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return a request body with its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _each_text(item, change) for key, item in value.items()}
    return [_each_text(item, change) for item in value] if isinstance(value, list) else value


class _Pages(GuardedSession):
    """Sends for one page at a time: signed, tried again, read, and never the same one twice."""

    def __init__(self, source: RestApiSource, attempt: Attempt) -> None:
        deadline = Deadline(min(source.total_timeout_s, attempt.deadline.remaining()))
        limits = deadline, source.timeout_s, source.max_page_bytes
        super().__init__(source.base_url, *limits, self._read_page, "")
        self._source = source
        self._retry = attempt.retry
        self._sign = _make_auth(source.auth, limits)
        # the elements of a list are what a plain path to it gives
        self._path = simple_path((source.data_selector or "").removesuffix("[*]"))
        self._requests: dict[tuple[Any, ...], Response | None] = {}
        self._contents: dict[bytes, int] = {}

    def ask_ahead(self, url: str, request: dict[str, Any]) -> None:
        """Ask for the first page now, and hand it out when dlt asks: importing dlt takes a second."""
        response = self.request(url=url, **request)
        (key,) = self._requests
        self._requests[key] = response

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Return a page.

        Raises:
            SourceError: Also when it was read already; as transient, when a 200 holds no JSON or nothing at the selector.
        """
        if not options.get("allow_redirects", True):
            # one hop of a page that is on its way
            return super().send(request, **options)
        self.subject = request_line(request)
        key = (request.method, request.url, request.body)
        if key in self._requests:
            ahead, self._requests[key] = self._requests[key], None
            if ahead is not None:
                return ahead
            raise SourceError(
                f"endless pages, the page after {len(self._requests)} is one already read ({self.subject})",
                code="endless pages",
                transient=False,
            )
        self._requests[key] = None
        return self._retry(lambda: self._send_signed(request, options), self.deadline)

    def _send_signed(self, request: PreparedRequest, options: dict[str, Any]) -> Response:
        # not as `auth` of the request: a token is fetched within the tries, and no message holds a key of the query
        return super().send(self._sign(request.copy()), **options)

    def records_of(self, response: Response) -> list[str]:
        """Return the texts of a page's records."""
        found: list[str] = response.records  # type: ignore[attr-defined]
        return found

    def _read_page(self, response: Response) -> None:
        body = response.content
        try:
            encoding = json.detect_encoding(body)
            if encoding == "utf-8" and (response.encoding or "").lower() == "iso-8859-1":
                # requests assumes latin-1 for text/*; JSON is UTF-8 unless that fails
                encoding = _utf8_or(body, "iso-8859-1")
            text = body.decode(encoding)
            found = self._records(text)
        except (BrokenJson, UnicodeDecodeError) as error:
            kind = "HTML" if body.lstrip()[:1] == b"<" else "a cut or broken body"
            raise self._bad_page(f"no JSON but {kind}", str(error)) from error
        except NotThere as error:
            message = f"no records at data_selector {self._source.data_selector!r}"
            raise self._bad_page(message, body[:200].decode("utf-8", "replace")) from error
        self._check_repeated(found)
        response.records = found  # type: ignore[attr-defined]
        # for paginators; requests prefers simplejson when it is installed, which refuses NaN
        response.json = lambda **_: json.loads(text, parse_int=_integer)  # type: ignore[method-assign]

    def _bad_page(self, text: str, detail: str) -> SourceError:
        return SourceError(f"bad page, {self.subject}: {text}", code="bad page", transient=True, detail=detail)

    def _records(self, text: str) -> list[str]:
        single = self._source.single_record
        by_path = self._records_by_jsonpath if self._path is None else self._records_at_path
        found = by_path(text)
        if single and found in ([], ["null"]):
            raise NotThere("null")
        if (single or not found) and any(f'"{key}"' in text for key in _ERROR_KEYS):
            document = json.loads(text)
            if isinstance(document, dict) and any(document.get(key) for key in _ERROR_KEYS):
                raise NotThere("data beside an error")
        return found

    def _records_at_path(self, text: str) -> list[str]:
        # null and an object are what a server says instead of records
        return list(records(text, self._path or [], list_only=not self._source.single_record))

    def _records_by_jsonpath(self, text: str) -> list[str]:
        from dlt.common import jsonpath

        selector = str(self._source.data_selector)
        try:
            found = jsonpath.find_values(selector, json.loads(text))
        except ValueError as error:
            raise BrokenJson(str(error), 0) from error
        is_list = len(found) == 1 and isinstance(found[0], list)
        # a path with a wildcard, a filter or a slice leads to records, every other one to their list
        if not found or not (is_list or self._source.single_record or re.search(r"[*?:]", selector)):
            raise NotThere(selector)
        return [json.dumps(item, ensure_ascii=False) for item in (found[0] if is_list else found)]

    def _check_repeated(self, found: list[str]) -> None:
        if not found:
            return
        digest = hashlib.sha256("\n".join(found).encode("utf-8", "surrogatepass")).digest()
        number = len(self._requests)
        earlier = self._contents.setdefault(digest, number)
        if earlier != number:
            raise SourceError(
                f"repeated page, page {number} has the same records as page {earlier} ({self.subject})",
                code="repeated page",
                transient=False,
            )


def _utf8_or(body: bytes, other: str) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return other
    return "utf-8"


def _integer(digits: str) -> int | str:
    # Python refuses to read longer ones, and no paginator needs them
    return int(digits) if len(digits) < _MAX_DIGITS else digits


def _make_auth(
    options: Mapping[str, Any], limits: tuple[Deadline, float, int]
) -> Callable[[PreparedRequest], PreparedRequest]:
    """Return what signs a request.

    The simple types are built here, the same as dlt's, so that the first request need not wait
    for dlt's import; every other type is dlt's.
    """
    kind = options.get("type")
    header = {}
    if kind == "http_basic":
        return HTTPBasicAuth(options["username"], options["password"])
    if kind == "bearer":
        header = {"Authorization": f"Bearer {options['token']}"}
    elif kind == "api_key" and options.get("location", "header") == "header":
        header = {options.get("name", "Authorization"): options["api_key"]}
    if header or kind is None:

        def sign(request: PreparedRequest) -> PreparedRequest:
            request.headers.update(header)
            return request

        return sign
    import_alone("dlt.sources.rest_api")
    from dlt.sources.rest_api.config_setup import create_auth

    auth: Any = create_auth(dict(options))  # type: ignore[arg-type]
    if kind == "oauth2_client_credentials":
        auth.session = _token_session(options["access_token_url"], limits)
    return auth  # type: ignore[no-any-return]


def _token_session(url: str, limits: tuple[Deadline, float, int]) -> GuardedSession:
    subject = f"POST {url}"

    def read(response: Response) -> None:
        """Register the token, so that no message holds it."""
        try:
            answer = response.json()
            register_secrets([answer["access_token"]])
            int(answer.get("expires_in", 0))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            text = f"bad token answer, {subject}: no access_token in it, or no whole number in expires_in"
            raise SourceError(text, code="bad token answer", transient=True) from error

    return GuardedSession(url, *limits, read, subject)


def _check(source: RestApiSource, day: date, deadline: Deadline) -> list[Check]:
    checks = []
    elsewhere = source.fallback()
    endpoints = [("reach", source.base_url, source), *([("fallback", *elsewhere)] if elsewhere else [])]
    for name, url, endpoint in endpoints:
        with TemporaryDirectory() as folder:
            stamp = Stamp(day, "check", datetime.now(UTC))
            # a check shows what happens at the first try
            attempt = Attempt(stamp, Path(folder), deadline, lambda _: None, lambda step, within=None: step())
            try:
                # the first page is enough
                rows = next((page.num_rows for _, page in open_rest_api(endpoint, attempt).tables), 0)
            except Exception as error:
                # a passing failure means that nothing answers; any other one is an answer
                right = "a valid credential" if isinstance(error, SourceError) else None
                checks.append(failed_check(name, error, url, right))
                continue
        checks.append(Check(name, True, f"{url} answers"))
        if name == "reach":
            checks.append(Check("day", rows > 0 or source.allow_empty, f"{rows} records on page 1"))
    return checks


def _http_url(url: str) -> str:
    try:
        origin_as_sent(url)
        if not _UNSAFE.search(url):
            return url
    except ValueError:
        pass
    raise ValueError("must be an http or https URL without a user in it; credentials go into auth.")


_Url = Annotated[str, AfterValidator(_http_url), Field(examples=["https://host/v1"])]
_Text = Annotated[str, BeforeValidator(str)]


@settings_dataclass(frozen=True, config=SETTINGS)
class RestApiSource(OneEndpoint):
    """A paged JSON endpoint; `paginator` and `auth` are in the form of dlt's rest_api source.

    With `single_record` the selector leads to one record and not to a list of them.
    """

    name: str
    base_url: _Url
    fallback_url: _Url | None = None
    path: Template = ""
    params: Mapping[str, Annotated[_Text, AfterValidator(check_template)]] = field(default_factory=dict)
    headers: Mapping[str, _Text] = field(default_factory=dict, repr=False)
    data_selector: str | None = None
    table: Name = "events"
    paginator: Mapping[str, Any] = field(default_factory=lambda: {"type": "single_page"})
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout_s: Seconds = 30
    total_timeout_s: Seconds = 600
    max_page_bytes: Count = 256 * MIB
    allow_empty: bool = False
    method: Annotated[Literal["GET", "POST"], BeforeValidator(lambda value: str(value).upper())] = "GET"
    json: Annotated[Mapping[str, Any], AfterValidator(lambda body: _each_text(body, check_template))] = field(
        default_factory=dict
    )
    single_record: bool = False
    kind: ClassVar[str] = "rest_api"
    title: ClassVar[str] = "API"
    place: ClassVar[str] = "Endpoint"
    nothing_came: ClassVar[str] = "no page"
    libraries: ClassVar[tuple[str, ...]] = ("requests",)
    open = open_rest_api
    check = _check
    retries_steps: ClassVar[bool] = True

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        url = endpoint_url(self, self.base_url, day)
        return f"{url}?{urlencode(self.query(day))}" if self.params else url

    def query(self, day: date) -> dict[str, str]:
        """Return the parameters of the first request."""
        return {key: fill_template(value, day) for key, value in self.params.items()}

    def subject(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        return self.location(day)

    def fallback(self) -> tuple[str, RestApiSource] | None:
        """See `loaders.sources.Source`."""
        if self.fallback_url is None:
            return None
        return self.fallback_url, replace(self, base_url=self.fallback_url, fallback_url=None)


def endpoint_url(source: RestApiSource, base_url: str, day: date) -> str:
    """Return an endpoint's URL at its primary or its fallback address, without parameters."""
    path = fill_template(source.path, day).lstrip("/")
    return f"{base_url.rstrip('/')}/{path}" if path else base_url


def read(name: str, values: Mapping[str, Any], where: str) -> RestApiSource:
    """Return the REST source that a configuration section describes."""
    return settings(
        RestApiSource,
        values,
        where,
        name=name,
        paginator=_read_paginator(values.get("paginator"), f"{where}.paginator"),
        auth=_read_auth(values.get("auth"), f"{where}.auth"),
        # an empty text is a value here
        **{key: as_table(values[key], f"{where}.{key}") for key in ("params", "headers", "json") if key in values},
    )


def _options(value: Any, default: str, known: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what dlt takes as options, or as nothing but their type."""
    is_type = isinstance(value, str) and not value.lstrip().startswith("{")
    options = {"type": value} if is_type and value else dict(as_table(value, where))
    kind = options.setdefault("type", default)
    if kind not in known:
        raise ConfigurationError(f"{where}.type = {kind!r} is not one of: {', '.join(known)}.")
    return options


def _read_paginator(value: Any, where: str) -> dict[str, Any]:
    options = _options(value, "auto" if value else "single_page", PAGINATORS, where)
    for key in PAGINATORS[options["type"]]:
        if key in options:
            try:
                options[key] = int(options[key])
            except (TypeError, ValueError) as error:
                raise ConfigurationError(
                    f"{where}.{key} = {options[key]!r} is not a whole number. Correct it."
                ) from error
    return options


def _read_auth(value: Any, where: str) -> dict[str, Any]:
    if not value:
        return {}
    options = _options(value, "bearer", AUTHS, where)
    options |= {key: secret(key, options, where) for key in AUTHS[options["type"]]}
    if "access_token_url" in options:
        try:
            _http_url(options["access_token_url"])
        except ValueError as error:
            raise ConfigurationError(f"{where}.access_token_url {error}") from error
    return options
