"""Collect a paged JSON endpoint with dlt's `RESTClient`: its paginators, its authentication, its configuration.

What dlt's client leaves open is closed below it, in the session that it sends its requests with (`loaders.kinds.http`):
other origins, a `next` that never ends, an error object in a 200, a deadline.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass as settings_dataclass
from requests import PreparedRequest, Response
from requests.auth import HTTPBasicAuth

from loaders.attempt import Attempt, Deadline, Extraction, Stamp
from loaders.errors import ConfigurationError, SourceError, no_data_error
from loaders.failures import first_line
from loaders.fields import (
    SETTINGS,
    Count,
    Days,
    Name,
    Seconds,
    Template,
    as_table,
    check_window,
    secret,
    sections,
    settings,
)
from loaders.formats.files import MIB
from loaders.formats.json import BrokenJson, NotThere, records, simple_path
from loaders.formats.raw import PAYLOAD, TEXT, raw_schema, stamped, without_nul
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

_ERRORS = ("error", "errors")
_FAILED: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_ERRORS, bool),
    "success": lambda value: value is False,
    "ok": lambda value: value is False,
    "status": lambda value: value in ("error", "fail", "failed", "failure"),
}
"""What of a page without records says that the server failed, whatever the HTTP status is."""
E = TypeVar("E")
Limits = tuple[Deadline, float, int]
Signature = Callable[[PreparedRequest], PreparedRequest]
_UNSAFE = re.compile(r"[\s\\\x00-\x1f]")
_MAX_DIGITS = 4000
_IN_WINDOW = """
select "row", payload, moment is null as lost
from (select "row", payload, try_cast(try(payload ->> $path) as timestamptz) as moment from page)
where moment is null or (moment >= $start and moment < $end)
order by "row"
"""


def open_rest_api(source: RestApiSource, attempt: Attempt) -> Extraction:
    """Ask for the first page, then return how to read all pages of all endpoints.

    Args:
        source: The endpoints.
        attempt: Its `retry` repeats single pages, so that a long read isn't begun again.

    Raises:
        SourceError: When the first page can't be had.
    """
    attempt.landing.mkdir(parents=True, exist_ok=True)
    for old in attempt.landing.rglob("page-*.json"):
        # pages of an earlier try, maybe at another address
        old.unlink()
    deadline = Deadline(min(source.total_timeout_s, attempt.deadline.remaining()))
    limits = deadline, source.timeout_s, source.max_page_bytes
    sign = _make_auth(source.auth, limits)
    lists = [_Pages(source, endpoint, attempt, limits, sign) for endpoint in source.lists()]
    lists[0].ask_ahead()
    schema = raw_schema([])
    detail: dict[str, Any] = {"pages": 0}

    def tables() -> Iterator[tuple[str, pa.Table]]:
        for pages in lists:
            for table in _read(pages, schema, attempt, detail):
                yield pages.endpoint.table, table

    tables_of = {endpoint.table: schema for endpoint in source.lists()}
    return Extraction(tables_of, tables(), frozenset(source.reference_tables()), detail)


def _read(pages: _Pages, schema: pa.Schema, attempt: Attempt, detail: dict[str, Any]) -> Iterator[pa.Table]:
    """Yield the rows of an endpoint, page by page.

    Raises:
        SourceError: Also, as transient, when a page begins with a record of the page before; when nothing came.
    """
    endpoint, day = pages.endpoint, attempt.stamp.load_date
    order, kept, came = PageOrder(endpoint.allow_overlap), 0, 0
    for number, page in enumerate(pages, start=1):
        name = f"page-{number:05d}"
        pages.folder.mkdir(exist_ok=True)
        (pages.folder / f"{name}.json").write_bytes(page.response.content)
        detail["pages"] += 1
        order.check(page, number, pages.subject)
        columns, rows = {PAYLOAD: pa.array(page, TEXT)}, pa.array(range(1, len(page) + 1), pa.int64())
        if endpoint.cursor:
            columns, rows = in_window(columns[PAYLOAD], rows, endpoint, day)
        came, kept = came + len(page), kept + len(rows)
        if len(rows):
            yield stamped(
                schema, columns, len(rows), stamp=attempt.stamp, source_object=f"{pages.label}/{name}", source_rows=rows
            )
    if came > kept:
        detail.setdefault("outside_window", {})[pages.label] = came - kept
        attempt.progress(
            f"{pages.label}: {came - kept:,} records left out, their {endpoint.cursor} is not in the window"
        )
    if not kept and not endpoint.allow_empty:
        why = f"has no record in the window of {endpoint.cursor}" if came else "is empty"
        raise no_data_error(f"no data: {pages.location} {why}")


def in_window(
    payloads: pa.Array, rows: pa.Array, endpoint: Endpoint, day: date
) -> tuple[dict[str, pa.Array], pa.Array]:
    """Return the records whose cursor lies in the window, and those in which it can't be read, as rejected ones."""
    import_alone("duckdb")
    import duckdb

    keys = simple_path(endpoint.cursor) or []
    first = datetime.combine(day, time.min, UTC)
    window = {
        "path": "$" + "".join(f'."{key}"' for key in keys),
        "start": first - timedelta(days=endpoint.late_days),
        "end": first + timedelta(days=1),
    }
    with duckdb.connect(config={"threads": 1}) as engine:
        engine.execute("set timezone = 'UTC'")
        engine.register("page", pa.table({"row": rows, "payload": payloads}))
        found: Any = engine.sql(_IN_WINDOW, params=window).to_arrow_table()
    lost = found["lost"]
    told = f"{endpoint.cursor} is no date or time in ISO 8601"
    columns = {
        PAYLOAD: found["payload"],
        "reject_reason": pc.if_else(lost, "cursor_unreadable", pa.scalar(None, TEXT)),
        "reject_detail": pc.if_else(lost, told, pa.scalar(None, TEXT)),
    }
    return columns, found["row"]


class PageOrder:
    """Notices pages that repeat or share records: then what lies between them is not sure to be whole."""

    def __init__(self, allow_overlap: bool) -> None:
        self._allow_overlap = allow_overlap
        self._before: list[str] = []
        self._digests: dict[bytes, int] = {}

    def check(self, page: list[str], number: int, subject: str) -> None:
        """Compare a page with those before it; an empty one says nothing.

        Raises:
            SourceError: As transient when the pages moved while they were read.
        """
        if not page:
            return
        digest = hashlib.sha256("\n".join(page).encode("utf-8", "surrogatepass")).digest()
        earlier = self._digests.setdefault(digest, number)
        if earlier != number:
            text = f"repeated page, page {number} has the same records as page {earlier} ({subject})"
            raise SourceError(text, code="repeated page", transient=False)
        if page[0] in self._before and not self._allow_overlap:
            text = f"overlapping pages, page {number} begins with a record of the page before: what is read changes meanwhile, or "
            text += f"pages share their ends, which allow_overlap = true accepts ({subject})"
            raise SourceError(text, code="overlapping pages", transient=True)
        self._before = page


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return a request body with its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _each_text(item, change) for key, item in value.items()}
    return [_each_text(item, change) for item in value] if isinstance(value, list) else value


class _Pages(GuardedSession):
    """The pages of an endpoint: each signed, tried again, read, and never asked for twice."""

    def __init__(
        self, source: RestApiSource, endpoint: Endpoint, attempt: Attempt, limits: Limits, sign: Signature
    ) -> None:
        super().__init__(source.base_url, *limits, self._read_page, "")
        self.endpoint = endpoint
        self.label = endpoint.name if source.endpoints else endpoint.table
        self.folder = attempt.landing / (endpoint.name if source.endpoints else "")
        day = attempt.stamp.load_date
        self.location = endpoint.first_page(source.base_url, day)
        self._base_url = source.base_url
        self._url = endpoint.url(source.base_url, day)
        self._request: dict[str, Any] = {
            "method": endpoint.method,
            "headers": {"Accept": "application/json", **endpoint.headers},
            "params": endpoint.query(day),
            "json": _each_text(endpoint.json, lambda text: fill_template(text, day, endpoint.late_days)) or None,
        }
        self._retry = attempt.retry
        self._sign = sign
        # the elements of a list are what a plain path to it gives
        self._path = simple_path((endpoint.data_selector or "").removesuffix("[*]"))
        self._requests: dict[tuple[Any, ...], Response | None] = {}

    def ask_ahead(self) -> None:
        """Ask for the first page now, and hand it out when dlt asks: importing dlt takes a second."""
        if not PAGINATORS[self.endpoint.paginator["type"]]:
            response = self.request(url=self._url, **self._request)
            (key,) = self._requests
            self._requests[key] = response

    def __iter__(self) -> Iterator[Any]:
        """Yield dlt's pages, each the list of its records' texts."""
        import_alone("dlt.sources.rest_api")
        from dlt.sources.helpers.rest_client.client import RESTClient
        from dlt.sources.rest_api.config_setup import create_paginator

        class Client(RESTClient):
            def extract_response(self, response: Any, data_selector: Any) -> list[Any]:
                """Return the records as received: dlt's way is by way of Python values."""
                return response.records  # type: ignore[no-any-return]

        paginator: Any = dict(self.endpoint.paginator)
        client = Client(self._base_url, paginator=create_paginator(paginator), session=self)
        try:
            # the selector only keeps dlt from guessing one
            yield from client.paginate(self._url, data_selector="$", **self._request)
        except ValueError as error:
            raise refused(f"the page after {self.subject} can't be asked for: {first_line(error)}") from error

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
            text = f"endless pages, the page after {len(self._requests)} is one already read ({self.subject})"
            raise SourceError(text, code="endless pages", transient=False)
        self._requests[key] = None
        return self._retry(lambda: self._send_signed(request, options), self.deadline)

    def _send_signed(self, request: PreparedRequest, options: dict[str, Any]) -> Response:
        # not as `auth` of the request: a token is fetched within the tries, and no message holds a key of the query
        return super().send(self._sign(request.copy()), **options)

    def _read_page(self, response: Response) -> None:
        body = response.content
        try:
            text = _decoded(body, response.encoding or "")
            document = functools.cache(lambda: json.loads(text, parse_int=_integer))
            found = self._records(text, document)
        except (BrokenJson, UnicodeDecodeError) as error:
            kind = "HTML" if body.lstrip()[:1] == b"<" else "a cut or broken body"
            raise self._bad_page(f"no JSON but {kind}", str(error)) from error
        except NotThere as error:
            message = f"no records at data_selector {self.endpoint.data_selector!r}"
            raise self._bad_page(message, body[:200].decode("utf-8", "replace")) from error
        # json for paginators; requests prefers simplejson when it is installed, which refuses NaN
        vars(response).update(records=found, json=lambda **_: document())

    def _bad_page(self, text: str, detail: str) -> SourceError:
        return SourceError(f"bad page, {self.subject}: {text}", code="bad page", transient=True, detail=detail)

    def _records(self, text: str, document: Callable[[], Any]) -> list[str]:
        single = self.endpoint.single_record
        # null and an object are what a server says instead of records
        found = self._records_by_jsonpath(text) if self._path is None else [*records(text, self._path, not single)]
        if single and found in ([], ["null"]):
            raise NotThere("null")
        if single or not found:
            # what else a single record says of itself is its own
            keys = [key for key in (_ERRORS if single else _FAILED) if f'"{key}"' in text]
            if keys and isinstance(page := document(), dict) and any(_FAILED[key](page.get(key)) for key in keys):
                raise NotThere("data beside an error")
        return found

    def _records_by_jsonpath(self, text: str) -> list[str]:
        from dlt.common import jsonpath

        selector = str(self.endpoint.data_selector)
        try:
            found = jsonpath.find_values(selector, json.loads(text))
        except ValueError as error:
            raise BrokenJson(str(error), 0) from error
        is_list = len(found) == 1 and isinstance(found[0], list)
        # a path with a wildcard, a filter or a slice leads to records, every other one to their list
        if not found or not (is_list or self.endpoint.single_record or re.search(r"[*?:]", selector)):
            raise NotThere(selector)
        # no target stores half of a surrogate pair
        return [without_nul(json.dumps(item, ensure_ascii=False)) for item in (found[0] if is_list else found)]


def _decoded(body: bytes, said: str) -> str:
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        # requests assumes latin-1 for text/*; JSON is UTF-8 unless that fails
        if said.lower() != "iso-8859-1":
            raise
        return body.decode(said)


def _integer(digits: str) -> int | str:
    # Python refuses to read longer ones, and no paginator needs them
    return int(digits) if len(digits) < _MAX_DIGITS else digits


def _make_auth(options: Mapping[str, Any], limits: Limits) -> Signature:
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


def _token_session(url: str, limits: Limits) -> GuardedSession:
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
    addresses = {"reach": source, **({"fallback": found[1]} if (found := source.fallback()) else {})}
    checks = []
    for name, address in addresses.items():
        for endpoint in address.lists():
            # without endpoints of its own the source is its only one
            one = replace(address, endpoints=(endpoint,)) if address.endpoints else address
            where = endpoint.url(address.base_url, day) if address.endpoints else address.base_url
            try:
                rows = _rows_on_first_page(one, day, deadline)
            except Exception as error:
                # a passing failure means that nothing answers; any other one is an answer
                right = "a valid credential" if isinstance(error, SourceError) else None
                checks.append(failed_check(name, error, where, right))
                continue
            checks.append(Check(name, True, f"{where} answers"))
            if name == "reach":
                told = f"{rows} records on page 1" + (f" of {endpoint.name}" if address.endpoints else "")
                checks.append(Check("day", rows > 0 or endpoint.allow_empty, told))
    return checks


def _rows_on_first_page(source: RestApiSource, day: date, deadline: Deadline) -> int:
    with TemporaryDirectory() as folder:
        # a check shows what happens at the first try
        stamp = Stamp(day, "check", datetime.now(UTC))
        attempt = Attempt(stamp, Path(folder), deadline, lambda _: None, lambda step, within=None: step())
        try:
            return next((page.num_rows for _, page in open_rest_api(source, attempt).tables), 0)
        except SourceError as error:
            if error.no_data:
                return 0
            raise


def _http_url(url: str) -> str:
    try:
        origin_as_sent(url)
        if not _UNSAFE.search(url):
            return url
    except ValueError:
        pass
    raise ValueError("must be an http or https URL without a user in it; credentials go into auth.")


def _path_of_names(value: str) -> str:
    if not simple_path(value):
        raise ValueError(f"= {value!r} is not a field or a path such as meta.updated_at.")
    return value


_Url = Annotated[str, AfterValidator(_http_url), Field(examples=["https://host/v1"])]
_Text = Annotated[str, BeforeValidator(str)]


@settings_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class Endpoint:
    """A paged list of records; `path`, `params` and `json` are templates, `paginator` is in the form of dlt's rest_api source.

    With `single_record` the selector leads to one record and not to a list of them. With a `cursor` the records of the day are
    those whose field of that name lies in the window: the day, and `late_days` before it.
    """

    name: str
    path: Template = ""
    params: Mapping[str, Annotated[_Text, AfterValidator(check_template)]] = field(default_factory=dict)
    headers: Mapping[str, _Text] = field(default_factory=dict, repr=False)
    data_selector: str | None = None
    table: Name = "events"
    paginator: Mapping[str, Any] = field(default_factory=lambda: {"type": "single_page"})
    method: Annotated[Literal["GET", "POST"], BeforeValidator(lambda value: str(value).upper())] = "GET"
    json: Annotated[Mapping[str, Any], AfterValidator(lambda body: _each_text(body, check_template))] = field(
        default_factory=dict
    )
    single_record: bool = False
    allow_empty: bool = False
    allow_overlap: bool = False
    reference: bool = False
    cursor: Annotated[str, AfterValidator(_path_of_names)] | None = None
    late_days: Days = 0

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if not getattr(self, "endpoints", ()):
            check_window(self.cursor, self.late_days, self.reference)
        return self

    def url(self, base_url: str, day: date) -> str:
        """Return its URL at the primary or the fallback address, without parameters."""
        path = fill_template(self.path, day, self.late_days).lstrip("/")
        return f"{base_url.rstrip('/')}/{path}" if path else base_url

    def query(self, day: date) -> dict[str, str]:
        """Return the parameters of the first request."""
        return {key: fill_template(value, day, self.late_days) for key, value in self.params.items()}

    def first_page(self, base_url: str, day: date) -> str:
        """Return the URL of the first page."""
        url = self.url(base_url, day)
        return f"{url}?{urlencode(self.query(day))}" if self.params else url


@settings_dataclass(frozen=True, config=SETTINGS, kw_only=True)
class RestApiSource(Endpoint, OneEndpoint):
    """Endpoints of one API; without any of its own it is its only one. `auth` is in the form of dlt's rest_api source."""

    base_url: _Url
    fallback_url: _Url | None = None
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout_s: Seconds = 30
    total_timeout_s: Seconds = 600
    max_page_bytes: Count = 256 * MIB
    endpoints: tuple[Endpoint, ...] = ()
    kind: ClassVar[str] = "rest_api"
    title: ClassVar[str] = "API"
    place: ClassVar[str] = "Endpoint"
    nothing_came: ClassVar[str] = "no page"
    libraries: ClassVar[tuple[str, ...]] = ("requests",)
    open = open_rest_api
    check = _check

    def lists(self) -> tuple[Endpoint, ...]:
        """Return what is read."""
        return self.endpoints or (self,)

    def location(self, day: date) -> str:
        """See `loaders.sources.Source`."""
        daily = [endpoint for endpoint in self.lists() if not endpoint.reference] or self.lists()
        return ", ".join(endpoint.first_page(self.base_url, day) for endpoint in daily)

    subject = location

    def fallback(self) -> tuple[str, RestApiSource] | None:
        """See `loaders.sources.Source`."""
        if self.fallback_url is None:
            return None
        return self.fallback_url, replace(self, base_url=self.fallback_url, fallback_url=None)

    def references(self) -> RestApiSource | None:
        """See `loaders.sources.Source`."""
        endpoints = tuple(endpoint for endpoint in self.endpoints if endpoint.reference)
        return replace(self, endpoints=endpoints) if endpoints else self if self.reference else None

    def reference_tables(self) -> tuple[str, ...]:
        """See `loaders.sources.Source`."""
        return tuple(dict.fromkeys(endpoint.table for endpoint in self.lists() if endpoint.reference))


def read(name: str, values: Mapping[str, Any], where: str) -> RestApiSource:
    """Return the REST source that a configuration section describes."""
    own = {trait.name for trait in fields(Endpoint)} - {"table"}
    # what stands at the source holds for each endpoint that does not say otherwise
    shared = {key: value for key, value in values.items() if key in own}
    endpoints = [
        _read_endpoint(Endpoint, {"table": key, **shared, **found}, f"{where}.endpoints.{key}", name=key)
        for key, found in sections(values.get("endpoints"), f"{where}.endpoints").items()
    ]
    tables: dict[str, bool] = {}
    for endpoint in endpoints:
        if tables.setdefault(endpoint.table, endpoint.reference) != endpoint.reference:
            raise ConfigurationError(
                f"{where}.endpoints: table {endpoint.table!r} holds either records or a reference, not both."
            )
    auth = _read_auth(values.get("auth"), f"{where}.auth")
    if endpoints:
        allow_empty = all(endpoint.allow_empty for endpoint in endpoints if not endpoint.reference)
        values = {**values, "allow_empty": allow_empty}
    return _read_endpoint(RestApiSource, values, where, name=name, auth=auth, endpoints=tuple(endpoints))


def _read_endpoint(model: type[E], values: Mapping[str, Any], where: str, **read: Any) -> E:
    tables = {key: as_table(values[key], f"{where}.{key}") for key in ("params", "headers", "json") if key in values}
    # an empty text is a value here
    paginator = _read_paginator(values.get("paginator"), f"{where}.paginator")
    return settings(model, values, where, paginator=paginator, **tables, **read)


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
