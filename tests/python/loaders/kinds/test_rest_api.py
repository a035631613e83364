"""The paged API: what a server can do wrong, done by a real one."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from loader_helpers import DAY, Answer, Loaded, ScriptedApi, load, make_attempt, read_rows, values

from loaders.errors import ConfigurationError, SourceError
from loaders.kinds.rest_api import RestApiSource, open_rest_api, read
from loaders.redact import redact
from loaders.sources import check_source, references_of


def rows_of(source: RestApiSource, folder: Path) -> list[dict[str, object]]:
    return read_rows(open_rest_api(source, make_attempt(folder)))


def failure_of(source: RestApiSource, folder: Path, deadline_s: float = 30) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read_rows(open_rest_api(source, make_attempt(folder, deadline_s)))
    return caught.value


def load_api(source: RestApiSource, folder: Path, **changes: object) -> Loaded:
    return load([source], folder / "work", **changes)


def page(*records: object, next_url: str | None = None) -> Answer:
    return Answer(json.dumps({"data": records, "next": next_url}).encode())


def test_pages_become_payload_rows_and_are_saved_as_received(api: ScriptedApi, tmp_path: Path):
    body = b'{"data": [ {"id": 1.10} ,{"n": 1180591620717411303424}, 5], "next": null} '
    api.script = lambda path, number: Answer(body)
    rows = rows_of(api.source(), tmp_path)
    assert values(rows, "source_object", "source_row", "payload") == [
        ("events/page-00001", 1, '{"id": 1.10}'),
        ("events/page-00001", 2, '{"n": 1180591620717411303424}'),
        ("events/page-00001", 3, "5"),
    ]
    assert (tmp_path / "landing" / "page-00001.json").read_bytes() == body
    assert api.requests[0][0] == "/events?date=2025-11-16"


def test_pages_are_followed_and_numbered(api: ScriptedApi, tmp_path: Path):
    api.pages([1, 2], [3], [4, 5])
    rows = rows_of(api.source(), tmp_path)
    assert values(rows, "source_object", "source_row", "payload") == [
        ("events/page-00001", 1, "1"),
        ("events/page-00001", 2, "2"),
        ("events/page-00002", 1, "3"),
        ("events/page-00003", 1, "4"),
        ("events/page-00003", 2, "5"),
    ]
    assert len(list((tmp_path / "landing").iterdir())) == 3


def test_nan_and_odd_text_are_kept(api: ScriptedApi, tmp_path: Path):
    body = b'{"data": [{"x": NaN, "y": Infinity, "s": "\\ud800"}, null], "next": null}'
    api.script = lambda path, number: Answer(body)
    assert values(rows_of(api.source(), tmp_path), "payload") == [
        '{"x": NaN, "y": Infinity, "s": "\\ud800"}',
        "null",
    ]


@pytest.mark.parametrize("selector", ["data", "$.data", "data[*]", "$.data[*]"])
def test_every_way_to_name_the_list_keeps_the_text(api: ScriptedApi, tmp_path: Path, selector: str):
    api.script = lambda path, number: Answer(b'{"data": [{"n": 1180591620717411303424, "a" : 1.10}, 1E5]}')
    rows = rows_of(api.source(data_selector=selector), tmp_path)
    assert values(rows, "payload") == ['{"n": 1180591620717411303424, "a" : 1.10}', "1E5"]


def test_a_number_longer_than_python_reads_is_kept(api: ScriptedApi, tmp_path: Path):
    number = "9" * 5000
    api.script = lambda path, _: Answer(f'{{"data": [{number}], "next": null}}'.encode())
    assert values(rows_of(api.source(), tmp_path), "payload") == [number]


@pytest.mark.parametrize(
    ("paginator", "selector"),
    [
        ({"type": "offset", "limit": 2, "total_path": None}, "data"),
        ({"type": "page_number", "base_page": 0, "page_param": "n", "total_path": None}, "$.data"),
        ({"type": "cursor", "cursor_path": "after", "cursor_param": "after"}, "data[*]"),
        ({"type": "header_link"}, "data"),
        ({"type": "auto"}, "data"),
    ],
)
def test_dlts_paginators_are_used(api: ScriptedApi, tmp_path: Path, paginator: dict[str, object], selector: str):
    data = [{"i": number} for number in range(5)]

    def script(path: str, number: int) -> Answer:
        part = data[2 * number - 2 : 2 * number]
        following = f"{api.url}/events?page={number}" if number < 3 else None
        link = {"Link": f'<{following}>; rel="next"'} if following else {}
        after = number if number < 3 else None
        body = {"data": part, "next": following, "after": after}
        return Answer(json.dumps(body).encode(), headers=link)

    api.script = script
    rows = rows_of(api.source(paginator=paginator, data_selector=selector), tmp_path)
    assert [json.loads(payload) for payload in values(rows, "payload")] == data


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "bearer", "token": "t0ken"}, "Authorization", "Bearer t0ken"),
        ({"type": "api_key", "name": "X-Api-Key", "api_key": "k3y"}, "X-Api-Key", "k3y"),
        (
            {"type": "http_basic", "username": "u", "password": "p"},
            "Authorization",
            "Basic " + base64.b64encode(b"u:p").decode(),
        ),
    ],
)
def test_authentication_is_sent(api: ScriptedApi, tmp_path: Path, auth: dict[str, str], header: str, value: str):
    api.pages([1], [2])
    rows_of(api.source(auth=auth), tmp_path)
    assert [headers[header] for _, headers in api.requests] == [value, value]


def test_an_api_key_can_go_into_the_query(api: ScriptedApi, tmp_path: Path):
    api.pages([1])
    auth = {"type": "api_key", "name": "key", "api_key": "k3y", "location": "query"}
    rows_of(api.source(auth=auth), tmp_path)
    assert api.requests[0][0].endswith("key=k3y")


OAUTH = {
    "type": "oauth2_client_credentials",
    "client_id": "canary-id",
    "client_secret": "canary-of-client",
}


def test_an_oauth_token_is_fetched_once_and_sent(api: ScriptedApi, tmp_path: Path):
    api.pages([1], [2])
    with ScriptedApi() as login:
        login.script = lambda path, number: Answer(b'{"access_token": "canary-token-1", "expires_in": 600}')
        rows = rows_of(api.source(auth={**OAUTH, "access_token_url": f"{login.url}/token"}), tmp_path)
        assert login.bodies == [b"client_id=canary-id&client_secret=canary-of-client&grant_type=client_credentials"]
    assert values(rows, "payload") == ["1", "2"]
    assert [headers["Authorization"] for _, headers in api.requests] == ["Bearer canary-token-1"] * 2
    assert redact("got canary-token-1") == "got ***"


def test_a_token_endpoint_is_tried_again_as_a_page_is(api: ScriptedApi, tmp_path: Path):
    api.pages([1])
    with ScriptedApi() as login:
        login.script = lambda path, number: (
            Answer(status=503) if number < 3 else Answer(b'{"access_token": "canary-token-2"}')
        )
        loaded = load_api(api.source(auth={**OAUTH, "access_token_url": f"{login.url}/token"}), tmp_path)
        assert len(login.requests) == 3
    assert [event["error"] for event in loaded.of("attempt_failed")] == ["HTTP 503", "HTTP 503"]
    done = loaded.finished("partner")
    assert (done["status"], done["tries"]) == ("loaded", 3)


@pytest.mark.parametrize(
    ("answer", "code", "transient"),
    [
        (Answer(status=503), "HTTP 503", True),
        (Answer(status=401), "HTTP 401", False),
        (Answer(reset=True), "Connection reset", True),
        (Answer(delay_s=60), "Timeout", True),
        (Answer(b'{"access_token": "x"}', dribble_s=0.1), "Timeout", True),
        (Answer(b"<html>"), "bad token answer", True),
        (Answer(b'{"error": "invalid_client"}'), "bad token answer", True),
        (Answer(b'{"access_token": "canary-token-3", "expires_in": "soon"}'), "bad token answer", True),
        (Answer(b'{"access_token": "' + b"x" * 2**21 + b'"}'), "page too large", False),
    ],
)
def test_a_failing_token_endpoint_is_named(
    api: ScriptedApi, tmp_path: Path, answer: Answer, code: str, transient: bool
):
    with ScriptedApi() as login:
        login.script = lambda path, number: answer
        url = f"{login.url}/token"
        failure = failure_of(api.source(auth={**OAUTH, "access_token_url": url}, total_timeout_s=1), tmp_path)
    assert (failure.code, failure.transient) == (code, transient)
    assert f"POST {url}" in failure.text
    assert api.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_client_secret_is_sent_to_no_other_host(api: ScriptedApi, tmp_path: Path, status: int):
    with ScriptedApi() as login, ScriptedApi() as other:
        login.script = lambda path, number: Answer(status=status, headers={"Location": f"{other.url}/token"})
        url = f"{login.url}/token"
        failure = failure_of(api.source(auth={**OAUTH, "access_token_url": url}), tmp_path)
        assert failure.code == "refused"
        assert f"POST {url}" in failure.text
        assert other.requests == []
    assert api.requests == []


def test_the_endpoint_can_be_posted_to_with_the_day_and_the_page_in_the_body(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(
        json.dumps({"data": [number], "after": number if number < 3 else None}).encode()
    )
    paginator = {"type": "cursor", "cursor_path": "after", "cursor_body_path": "page.after"}
    body = {"day": "{date:%Y-%m-%d}", "kinds": ["{date:%d}"], "limit": 2}
    source = api.source(params={}, method="POST", json=body, paginator=paginator)
    assert values(rows_of(source, tmp_path), "payload") == ["1", "2", "3"]
    first = {"day": "2025-11-16", "kinds": ["16"], "limit": 2}
    assert [json.loads(each) for each in api.bodies] == [
        first,
        {**first, "page": {"after": 1}},
        {**first, "page": {"after": 2}},
    ]


def test_the_netrc_file_is_not_asked(api: ScriptedApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login u password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    api.pages([1])
    rows_of(api.source(), tmp_path)
    assert "Authorization" not in api.requests[0][1]


@pytest.mark.parametrize(
    "target",
    [
        "http://{other}/events",
        "https://127.0.0.1:{port}/events",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "//{other}/events",
        "http://user:pw@{other}/events",
        "http://127.0.0.1:{port}@{other}/",
        "ftp://127.0.0.1:{port}/events",
        "http://[bad/",
        # one library reads this host and another one that
        "http://{other}\\@127.0.0.1:{port}/x",
        "http://{other}%5C@127.0.0.1.:{port}/x",
        "http://{other}#@127.0.0.1:{port}/x",
        "http://{other}?@127.0.0.1:{port}/x",
        "http://[::1]:{port}/x",
        "http://[::ffff:127.0.0.1]:{port}/x",
        "http://127.0.0.1.:{port}/x",
        "http://127.1:{port}/x",
        "http://%3127.0.0.2:{port}/x",
    ],
)
@pytest.mark.parametrize("way", ["next", "redirect"])
def test_nothing_is_sent_to_another_origin(api: ScriptedApi, tmp_path: Path, target: str, way: str):
    with ScriptedApi() as other:
        place = target.format(other=other.url.removeprefix("http://"), port=api.url.rpartition(":")[2])
        if way == "next":
            api.script = lambda path, number: page(1, next_url=place)
        else:
            api.script = lambda path, number: Answer(status=302, headers={"Location": place})
        auth = {"type": "api_key", "name": "X-Api-Key", "api_key": "canary"}
        failure = failure_of(api.source(auth=auth), tmp_path)
        assert failure.code == "refused"
        assert not failure.transient
        assert other.requests == []
        assert len(api.requests) == 1


def test_a_backslash_that_a_request_sends_as_part_of_the_path_leads_nowhere_else(api: ScriptedApi, tmp_path: Path):
    with ScriptedApi() as other:
        place = f"{api.url}\\@{other.url.removeprefix('http://')}/x"
        api.script = lambda path, number: page(number, next_url=place if number == 1 else None)
        assert values(rows_of(api.source(auth={"type": "bearer", "token": "canary"}), tmp_path), "payload") == [
            "1",
            "2",
        ]
        assert api.requests[1][0].startswith("/%5C@")
        assert other.requests == []


def test_a_redirect_within_the_origin_is_followed_with_its_headers(api: ScriptedApi, tmp_path: Path):
    def script(path: str, number: int) -> Answer:
        if path.startswith("/events"):
            return Answer(status=307, headers={"Location": "/v2/events?date=x"})
        return page(1)

    api.script = script
    rows = rows_of(api.source(auth={"type": "bearer", "token": "t"}), tmp_path)
    assert values(rows, "payload") == ["1"]
    assert api.requests[1][1]["Authorization"] == "Bearer t"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_after_a_redirect_the_next_page_is_asked_as_the_first(api: ScriptedApi, tmp_path: Path, status: int):
    def script(path: str, number: int) -> Answer:
        if path.startswith("/events"):
            return Answer(status=status, headers={"Location": path.replace("/events", "/v2/events")})
        return Answer(json.dumps({"data": [number], "after": number if number < 5 else None}).encode())

    api.script = script
    paginator = {"type": "cursor", "cursor_path": "after", "cursor_param": "after"}
    rows = rows_of(api.source(paginator=paginator), tmp_path)
    assert values(rows, "payload") == ["2", "4", "6"]
    day = "date=2025-11-16"
    assert [path for path, _ in api.requests] == [
        f"{place}?{query}" for query in (day, f"{day}&after=2", f"{day}&after=4") for place in ("/events", "/v2/events")
    ]


def test_redirects_end(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(status=302, headers={"Location": f"/{number}"})
    failure = failure_of(api.source(), tmp_path)
    assert "redirects" in failure.text


def test_a_next_that_was_read_before_ends_with_an_error(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: page(number, next_url=f"{api.url}/events?date=2025-11-16")
    failure = failure_of(api.source(), tmp_path)
    assert (failure.code, failure.transient) == ("endless pages", False)
    assert len(api.requests) == 1


def test_pages_that_come_twice_end_with_an_error(api: ScriptedApi, tmp_path: Path):
    api.pages([1, 2], [3], [1, 2], [4])
    failure = failure_of(api.source(), tmp_path)
    assert (failure.code, failure.transient) == ("repeated page", False)
    assert "page 3 has the same records as page 1" in failure.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "over quota"}',
        b'{"data": null, "error": {"code": 7}}',
        b'{"data": [], "errors": ["x"]}',
        b"<html><body>Maintenance</body></html>",
        b'{"data": [1, 2',
        b'{"data": [1, 2]',
        b"",
        b"[1]",
        b'{"data": ["\xff"]}',
        b'{"data": null}',
        b'{"next": null}',
        b'{"data": {"a": 1}}',
        b'{"data": {}}',
        b'{"data": "maintenance"}',
        b"null",
    ],
)
@pytest.mark.parametrize("selector", ["data", "$..data"])
def test_a_200_that_is_no_page_is_transient_and_empties_no_day(
    api: ScriptedApi, tmp_path: Path, body: bytes, selector: str
):
    api.script = lambda path, number: Answer(body)
    failure = failure_of(api.source(data_selector=selector, allow_empty=True), tmp_path)
    assert (failure.code, failure.transient) == ("bad page", True)


@pytest.mark.parametrize("selector", ["data", "$..data", None])
def test_a_page_can_be_a_single_record_where_the_source_says_so(api: ScriptedApi, tmp_path: Path, selector: str | None):
    source = api.source(data_selector=selector, single_record=True)
    record = b'{"a": 1.5}'
    api.script = lambda path, number: Answer(b'{"data": ' + record + b"}" if selector else record)
    assert values(rows_of(source, tmp_path / "one"), "payload") == [record.decode()]
    for body in (
        b'{"data": null}' if selector else b"null",
        b'{"error": "over quota"}',
        b'{"data": [], "errors": ["x"]}',
    ):
        api.script = lambda path, number, body=body: Answer(body)
        failure = failure_of(source, tmp_path / "none")
        assert (failure.code, failure.transient) == ("bad page", True)


def test_without_a_selector_an_object_is_no_page(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(b'{"message": "hello"}')
    assert failure_of(api.source(data_selector=None), tmp_path).code == "bad page"


def test_a_page_list_needs_no_selector(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(b'[{"a":1},2]')
    source = api.source(data_selector=None, paginator={"type": "single_page"})
    assert values(rows_of(source, tmp_path), "payload") == ['{"a":1}', "2"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": null, "message": "over quota"}',
        b'{"data": {"message": "over quota"}}',
        b'{"message": "over quota"}',
        b'{"data": [], "success": false}',
        b'{"data": [], "ok": false}',
        b'{"data": [], "status": "error", "message": "over quota"}',
    ],
)
def test_an_error_on_a_later_page_is_no_short_day(api: ScriptedApi, tmp_path: Path, body: bytes):
    api.script = lambda path, number: page(1, next_url=f"{api.url}/2") if number == 1 else Answer(body)
    failure = failure_of(api.source(allow_empty=True), tmp_path)
    assert (failure.code, failure.transient) == ("bad page", True)
    assert "GET /2" in failure.text


def test_a_page_without_records_that_says_it_is_well_is_the_last(api: ScriptedApi, tmp_path: Path):
    well = b'{"data": [], "error": null, "errors": [], "success": true, "ok": true, "status": "success"}'
    api.script = lambda path, number: page(1, next_url=f"{api.url}/2") if number == 1 else Answer(well)
    assert values(rows_of(api.source(), tmp_path), "payload") == ["1"]


@pytest.mark.parametrize("second", [[2, 3], [1, 3]], ids=["the end of the page before", "its first record"])
def test_pages_that_share_a_record_are_read_again_from_the_first(api: ScriptedApi, tmp_path: Path, second: list[int]):
    api.pages([1, 2], second)
    moving = api.script
    # a record that came in meanwhile moved the others by one
    api.script = lambda path, number: (
        moving(path, number)
        if number <= 2
        else page(*([0, 1, 2], [3])[number == 4], next_url=None if number == 4 else f"{api.url}/events?cursor=1")
    )
    loaded = load_api(api.source(), tmp_path)
    (failed,) = loaded.of("attempt_failed")
    assert failed["error"] == "overlapping pages"
    assert "page 2 begins with a record of the page before" in failed["detail"]
    done = loaded.finished("partner")
    assert (done["status"], done["tries"], done["collected"]) == ("loaded", 2, 4)
    assert loaded.query("select payload from raw_partner.events order by 1") == [("0",), ("1",), ("2",), ("3",)]


def test_pages_that_always_overlap_fail_unless_that_is_accepted(api: ScriptedApi, tmp_path: Path):
    api.pages([1, 2], [2, 3])
    done = load_api(api.source(), tmp_path / "refused").finished("partner")
    assert (done["status"], done["tries"]) == ("failed", 3)
    assert "allow_overlap = true" in done["reason"]
    rows = rows_of(api.source(allow_overlap=True), tmp_path / "accepted")
    assert values(rows, "payload") == ["1", "2", "2", "3"]


def shop(api: ScriptedApi, **endpoints: dict[str, object]) -> RestApiSource:
    """Returns the source with these endpoints, read as from the configuration."""
    values = {"base_url": api.url, "data_selector": "data", "timeout_s": 5, "endpoints": endpoints}
    return read("shop", values, "sources.shop")


def lists(api: ScriptedApi, **pages: list[object]) -> None:
    """Serve these records, each list in a single page at the path of its name."""
    api.script = lambda path, number: page(*pages[path.strip("/").partition("?")[0]])


def test_endpoints_share_what_stands_at_the_source(api: ScriptedApi, tmp_path: Path):
    paginator = {"type": "json_link", "next_url_path": "next"}

    def script(path: str, number: int) -> Answer:
        if path.startswith("/v2/lines"):
            return page("line 1", next_url=f"{api.url}/more") if "2025-11-16" in path else page()
        return page("line 2") if path == "/more" else page("order 1", "order 2")

    api.script = script
    with ScriptedApi() as login:
        login.script = lambda path, number: Answer(b'{"access_token": "canary-token-9"}')
        source = read(
            "shop",
            {
                "base_url": api.url,
                "auth": {**OAUTH, "access_token_url": f"{login.url}/token"},
                "data_selector": "data",
                "paginator": paginator,
                "params": {"day": "{date:%Y-%m-%d}"},
                "endpoints": {
                    "orders": {"path": "orders", "params": {"all": "1"}},
                    "web_lines": {"path": "v2/lines", "table": "lines"},
                    "shop_lines": {"path": "orders", "table": "lines", "paginator": "single_page"},
                },
            },
            "sources.shop",
        )
        extraction = open_rest_api(source, make_attempt(tmp_path))
        rows = sorted(
            (name, *row)
            for name, table in extraction.tables
            for row in zip(
                *(table.column(key).to_pylist() for key in ("source_object", "source_row", "payload")), strict=True
            )
        )
        assert len(login.requests) == 1
    assert rows == [
        ("lines", "shop_lines/page-00001", 1, '"order 1"'),
        ("lines", "shop_lines/page-00001", 2, '"order 2"'),
        ("lines", "web_lines/page-00001", 1, '"line 1"'),
        ("lines", "web_lines/page-00002", 1, '"line 2"'),
        ("orders", "orders/page-00001", 1, '"order 1"'),
        ("orders", "orders/page-00001", 2, '"order 2"'),
    ]
    assert extraction.detail["pages"] == 4
    assert {headers["Authorization"] for _, headers in api.requests} == {"Bearer canary-token-9"}
    assert sorted(path for path, _ in api.requests) == [
        "/more",
        "/orders?all=1",
        "/orders?day=2025-11-16",
        "/v2/lines?day=2025-11-16",
    ]
    landed = {str(file.relative_to(tmp_path / "landing")) for file in (tmp_path / "landing").rglob("*.json")}
    assert landed == {f"{row[1]}.json" for row in rows}


def test_a_reference_endpoint_is_a_snapshot_and_holds_no_records_of_the_day(api: ScriptedApi, tmp_path: Path):
    lists(api, orders=[1, 2], customers=[3, 4, 5])
    source = shop(api, orders={"path": "orders"}, customers={"path": "customers", "reference": True})
    assert source.location(DAY) == f"{api.url}/orders"
    loaded = load([source], tmp_path / "work")
    done = loaded.finished("shop")
    assert (done["status"], done["collected"]) == ("loaded", 2)
    assert done["detail"]["tables"] == {"orders": 2, "customers": 3}
    (only,) = references_of([source])
    assert (only.reference_tables(), only.location(DAY)) == (("customers",), f"{api.url}/customers")
    done = load([only], tmp_path / "again", run_id="run-2", references_only=True).finished("shop")
    assert (done["status"], done["collected"], done["detail"]["tables"]) == ("loaded", 0, {"customers": 3})


def test_a_source_may_hold_nothing_but_references(api: ScriptedApi, tmp_path: Path):
    lists(api, customers=[1])
    for number, source in enumerate(
        (shop(api, customers={"path": "customers", "reference": True}), api.source(path="customers", reference=True))
    ):
        done = load([source], tmp_path / str(number), run_id=f"run-{number}").finished(source.name)
        assert (done["status"], done["collected"], done["reason"]) == ("loaded", 0, None)


def test_an_empty_endpoint_is_no_data_beside_a_full_one_unless_allowed(api: ScriptedApi, tmp_path: Path):
    lists(api, orders=[1], lines=[])
    source = shop(api, orders={"path": "orders"}, lines={"path": "lines"})
    done = load([source], tmp_path / "one").finished("shop")
    assert (done["status"], done["no_data"], done["tries"]) == ("failed", True, 1)
    assert f"{api.url}/lines is empty" in done["reason"]
    checks = check_source(source, DAY)
    assert [(check.name, check.ok) for check in checks] == [
        ("reach", True),
        ("day", False),
        ("reach", True),
        ("day", True),
    ]
    assert checks[1].detail == "0 records on page 1 of lines"
    source = shop(api, orders={"path": "orders"}, lines={"path": "lines", "allow_empty": True})
    assert load([source], tmp_path / "two", run_id="run-2").finished("shop")["status"] == "loaded"


def test_all_endpoints_fall_back_together(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(status=500) if path == "/orders" else page(1)
    with ScriptedApi() as fallback:
        lists(fallback, orders=[2], lines=[3])
        source = shop(api, lines={"path": "lines"}, orders={"path": "orders"})
        loaded = load([replace(source, fallback_url=fallback.url)], tmp_path / "work")
    assert loaded.finished("shop")["status"] == "loaded"
    assert loaded.query(
        "select payload from raw_shop.lines union all select payload from raw_shop.orders order by 1"
    ) == [
        ("2",),
        ("3",),
    ]


TIMES = [
    "2025-11-15T23:59:59.999999Z",
    "2025-11-16T00:00:00Z",
    "2025-11-16T00:59:59+01:00",
    "2025-11-16 12:00",
    "2025-11-16",
    "2025-11-16T23:59:59.999999-00:00",
    "2025-11-17T00:00:00Z",
    "infinity",
]


def test_a_cursor_takes_the_day_to_the_microsecond(api: ScriptedApi, tmp_path: Path):
    body = ",".join(
        f'{{"n": {number}, "x": NaN, "big": 1180591620717411303424, "meta": {{"at": "{at}"}}}}'
        for number, at in enumerate(TIMES)
    )
    api.script = lambda path, number: Answer(f'{{"data": [{body}]}}'.encode())
    params = {"from": "{date:%Y-%m-%d}", "to": "{end:%Y-%m-%dT%H:%M:%SZ}"}
    source = api.source(cursor="meta.at", params=params, paginator={"type": "single_page"})
    said: list[str] = []
    extraction = open_rest_api(source, replace(make_attempt(tmp_path), progress=said.append))
    rows = read_rows(extraction)
    assert values(rows, "source_row", "reject_reason") == [(2, None), (4, None), (5, None), (6, None)]
    assert (
        rows[0]["payload"]
        == '{"n": 1, "x": NaN, "big": 1180591620717411303424, "meta": {"at": "2025-11-16T00:00:00Z"}}'
    )
    assert extraction.detail["outside_window"] == {"events": 4}
    assert said == ["events: 4 records left out, their meta.at is not in the window"]
    assert api.requests[0][0] == "/events?from=2025-11-16&to=2025-11-17T00%3A00%3A00Z"


def test_a_record_whose_cursor_can_not_be_read_is_rejected(api: ScriptedApi, tmp_path: Path):
    records = [{"at": "2025-11-16"}, {"at": None}, {}, 5, {"at": "yesterday"}, {"at": 1763251200}]
    api.script = lambda path, number: page(*records)
    done = load_api(api.source(cursor="at"), tmp_path)
    assert (done.finished("partner")["collected"], done.finished("partner")["rejected"]) == (6, 5)
    rows = done.query("select payload, reject_reason, reject_detail from raw_partner.events order by source_row")
    assert rows == [
        (
            json.dumps(record),
            *((None, None) if not number else ("cursor_unreadable", "at is no date or time in ISO 8601")),
        )
        for number, record in enumerate(records)
    ]


def test_late_days_reach_back_and_days_take_every_record(api: ScriptedApi, tmp_path: Path):
    records = [{"n": number, "at": f"2025-11-{number:02}T12:00:00Z"} for number in range(10, 20)]
    api.script = lambda path, number: page(*records)
    params = {"from": "{start:%Y-%m-%d}", "to": "{end:%Y-%m-%d}", "day": "{date:%d}"}
    source = api.source(cursor="at", late_days=2, params=params)
    found = {}
    for day in (15, 16, 17):
        attempt = make_attempt(tmp_path / str(day))
        attempt = replace(attempt, stamp=replace(attempt.stamp, load_date=date(2025, 11, day)))
        rows = read_rows(open_rest_api(source, attempt))
        assert {row["load_date"] for row in rows} == {date(2025, 11, day)}
        found[day] = [json.loads(row["payload"])["n"] for row in rows]
    assert found == {15: [13, 14, 15], 16: [14, 15, 16], 17: [15, 16, 17]}
    assert api.requests[-1][0] == "/events?from=2025-11-15&to=2025-11-18&day=17"


def test_an_api_that_gives_another_day_has_no_data(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: page({"at": "2025-11-15T00:00:00Z"})
    done = load_api(api.source(cursor="at"), tmp_path).finished("partner")
    assert done["no_data"]
    assert "has no record in the window of at" in done["reason"]


@pytest.mark.parametrize(
    ("answer", "code", "transient"),
    [
        (Answer(status=500), "HTTP 500", True),
        (Answer(status=503), "HTTP 503", True),
        (Answer(status=429), "HTTP 429", True),
        (Answer(status=400), "HTTP 400", False),
        (Answer(status=401), "HTTP 401", False),
        (Answer(status=404), "HTTP 404", False),
        (Answer(reset=True), "Connection reset", True),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"), "Connection lost", True),
        (Answer(raw=b'HTTP/1.1 200 OK\r\n\r\n{"data": [1'), "bad page", True),
        (Answer(raw=b"nonsense\r\n\r\n"), "Connection lost", True),
        (Answer(b"[" + b"1," * 600_000 + b"1]"), "page too large", False),
        (Answer(delay_s=3), "Timeout", True),
    ],
)
def test_failures_are_told_apart(api: ScriptedApi, tmp_path: Path, answer: Answer, code: str, transient: bool):
    api.script = lambda path, number: answer
    failure = failure_of(api.source(timeout_s=0.3), tmp_path)
    assert (failure.code, failure.transient) == (code, transient)


@pytest.mark.parametrize("headers_too", [False, True])
def test_a_byte_now_and_then_ends_at_the_total_deadline(api: ScriptedApi, tmp_path: Path, headers_too: bool):
    answer = Answer(b'{"data": [1], "next": null}', dribble_s=0.2)
    if headers_too:

        def dribble(handler: object, _: Answer) -> None:
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100:
                if api.closing.wait(0.2):
                    return
                handler.wfile.write(bytes([byte]))  # type: ignore[attr-defined]

        api.send = dribble  # type: ignore[method-assign, assignment]
    api.script = lambda path, number: answer
    started = time.monotonic()
    failure = failure_of(api.source(timeout_s=5, total_timeout_s=0.7), tmp_path)
    assert failure.code == "Timeout"
    assert time.monotonic() - started < 4


def test_one_page_is_tried_again_not_the_whole(api: ScriptedApi, tmp_path: Path):
    api.pages([1], [2], [3])
    pages = api.script

    def flaky(path: str, number: int) -> Answer:
        return Answer(status=503) if number in (2, 3) else pages(path, number)

    api.script = flaky
    loaded = load_api(api.source(), tmp_path)
    done = loaded.finished("partner")
    assert (done["status"], done["tries"], done["collected"]) == ("loaded", 3, 3)
    assert [path for path, _ in api.requests].count("/events?date=2025-11-16") == 1
    assert [event["retry_in_s"] >= 0.02 for event in loaded.of("attempt_failed")] == [True, True]
    assert loaded.query("select payload from raw_partner.events order by 1") == [
        ("1",),
        ("2",),
        ("3",),
    ]


def test_three_tries_then_failed_with_a_reason(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(status=503)
    loaded = load_api(api.source(), tmp_path)
    assert loaded.finished("partner")["reason"] == (
        "source 'partner': no page after 3 tries (HTTP 503, GET /events?date=2025-11-16)"
    )
    waits = [event["retry_in_s"] for event in loaded.of("attempt_failed")]
    assert waits[2] is None
    # each doubled wait and its jitter, rounded to hundredths
    assert 0.02 <= waits[0] <= 0.04 <= waits[1] <= 0.08
    assert len(api.requests) == 3


def test_what_cannot_pass_is_tried_once(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(status=403)
    with ScriptedApi() as fallback:
        loaded = load_api(api.source(fallback_url=fallback.url), tmp_path)
        assert fallback.requests == []
    done = loaded.finished("partner")
    assert (done["tries"], done["transient"]) == (1, False)
    assert done["reason"] == "source 'partner': HTTP 403, GET /events?date=2025-11-16"


def test_the_fallback_is_asked_once_and_gives_the_same_rows(api: ScriptedApi, tmp_path: Path):
    api.pages([1], [2])
    whole = rows_of(api.source(), tmp_path)
    pages = api.script
    # the primary dies in the middle: nothing of it may be mixed with the fallback's pages
    api.script = lambda path, number: Answer(status=500) if "cursor" in path else pages(path, number)
    with ScriptedApi() as fallback:
        fallback.pages([1], [2])
        loaded = load_api(api.source(fallback_url=fallback.url), tmp_path)
        assert loaded.of("fallback") == [{"event": "fallback", "source": "partner", "endpoint": fallback.url}]
    done = loaded.finished("partner")
    assert (done["status"], done["tries"]) == ("loaded", 3)
    rows = loaded.query("select source_object, source_row, payload from raw_partner.events order by 1, 2")
    assert rows == values(whole, "source_object", "source_row", "payload")


def test_both_endpoints_down_is_failed(api: ScriptedApi, tmp_path: Path):
    source = api.source(base_url="http://127.0.0.1:9", fallback_url="http://127.0.0.1:9")
    loaded = load_api(source, tmp_path)
    assert loaded.finished("partner")["reason"] == (
        "source 'partner': no page after 3 tries and one at the fallback endpoint "
        "(connection refused, GET /events?date=2025-11-16)"
    )
    assert [event["error"] for event in loaded.of("attempt_failed")] == ["Connection refused"] * 4
    assert [event["attempt"] for event in loaded.of("attempt_failed")] == [1, 2, 3, 4]


def test_retry_after_is_waited_for_within_the_budget(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(status=429, headers={"Retry-After": "1"}) if number == 1 else page(1)
    started = time.monotonic()
    loaded = load_api(api.source(), tmp_path)
    assert loaded.finished("partner")["status"] == "loaded"
    assert time.monotonic() - started >= 1
    assert loaded.of("attempt_failed")[0]["retry_in_s"] == 1


def test_retry_after_beyond_the_budget_fails_at_once(api: ScriptedApi, tmp_path: Path):
    api.script = lambda path, number: Answer(status=429, headers={"Retry-After": "86400"})
    loaded = load_api(api.source(), tmp_path)
    done = loaded.finished("partner")
    assert done["tries"] == 1
    assert "the next try would be in 86400 s" in done["reason"]
    assert len(api.requests) == 1


def test_an_empty_day_is_no_data_unless_allowed(api: ScriptedApi, tmp_path: Path):
    api.pages([])
    done = load_api(api.source(), tmp_path).finished("partner")
    assert (done["status"], done["no_data"], done["tries"]) == ("failed", True, 1)
    loaded = load([api.source(allow_empty=True)], tmp_path / "two")
    assert loaded.finished("partner")["status"] == "loaded"
    assert loaded.query("select count(*) from raw_partner.events") == [(0,)]


def test_an_empty_first_page_can_be_followed_by_others(api: ScriptedApi, tmp_path: Path):
    api.pages([], [1], [])
    assert values(rows_of(api.source(), tmp_path), "source_object") == ["events/page-00002"]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"base_url": "http://evil:1\\@good/"}, "api.base_url must be an http or https URL"),
        ({"base_url": "http://good/\t"}, "api.base_url must be"),
        ({"base_url": "http://user@good/"}, "api.base_url must be"),
        ({"base_url": "http://[good/"}, "api.base_url must be"),
        ({"fallback_url": "file:///etc/passwd"}, "api.fallback_url must be"),
        ({"auth": {**OAUTH, "access_token_url": "http://a\\@b/token"}}, "api.auth.access_token_url must be"),
        ({"method": "DELETE"}, "'DELETE' is not one of: 'GET' or 'POST'"),
        ({"json": {"day": ["{day}"]}}, "api.json = '{day}' is a bad template"),
        ({"cursor": "$..at"}, "api.cursor = '$..at' is not a field"),
        ({"late_days": 1}, "late_days = 1 needs a cursor"),
        ({"cursor": "at", "late_days": -1}, "api.late_days = -1 is not a number of at least 0"),
        ({"cursor": "at", "reference": True}, "Remove cursor or reference"),
        ({"endpoints": {"Orders": {}}}, "[sources.api.endpoints.Orders]: 'Orders' is not a table name"),
        ({"endpoints": {"orders": {"pth": "x"}}}, "api.endpoints.orders.pth is not a known key. Did you mean path?"),
        ({"endpoints": {"orders": "x"}}, "api.endpoints.orders is not a table"),
        ({"endpoints": {"orders": {"paginator": "magic"}}}, "api.endpoints.orders.paginator.type = 'magic'"),
        ({"endpoints": {"a": {"table": "t"}, "t": {"reference": True}}}, "'t' holds either records or a reference"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(settings: dict[str, object], part: str):
    with pytest.raises(ConfigurationError) as caught:
        read("api", {"base_url": "http://good/", **settings}, "sources.api")
    assert part in str(caught.value)
