"""The API serves its pages, and breaks in each way that it is told to."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests

from sandbox.api_server import ApiLogin, ApiServer
from sandbox.faults import parse_faults

DATE = "2025-11-16"
PAGES = [b'[{"n":%d,"text":"%s"}]' % (n, b"x" * 200) for n in range(3)]


def start(faults: str) -> ApiLogin:
    return ApiServer(DATE, parse_faults(faults)).start(PAGES)


def get(login: ApiLogin, url: str | None = None, **options: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {login.token}"}
    url = url or f"{login.base_url}/events?date={DATE}"
    return requests.get(url, headers=headers, timeout=5, **options)  # type: ignore[arg-type]


def ask_for_events(login: ApiLogin) -> socket.socket:
    """A connection on which the first page has been asked for."""
    host, port = login.base_url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=5)
    client.sendall(
        f"GET /events?date={DATE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {login.token}\r\n\r\n".encode()
    )
    return client


def follow(login: ApiLogin, base_url: str | None = None) -> Iterator[int]:
    url: str | None = f"{base_url or login.base_url}/events?date={DATE}"
    while url:
        page = get(login, url).json()
        yield from (record["n"] for record in page["data"])
        url = page["next"]


@pytest.mark.parametrize("endpoint", ["base_url", "fallback_url"])
def test_following_next_gives_every_record_once(endpoint: str) -> None:
    login = start("none")
    base_url = getattr(login, endpoint)
    assert list(follow(login, base_url)) == [0, 1, 2]
    assert get(login, f"{base_url}/events?date={DATE}").json()["next"].startswith(base_url)


def test_another_date_has_no_records() -> None:
    login = start("none")
    page = get(login, f"{login.base_url}/events?date=2001-01-01").json()
    assert page == {"data": [], "page": 1, "next": None}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/events", 400), (f"/events?date={DATE}&cursor=1", 400), (f"/events?date={DATE}&cursor=%00", 400), ("/", 404)],
)
def test_what_is_not_understood_is_refused(path: str, status: int) -> None:
    login = start("none")
    assert get(login, login.base_url + path).status_code == status


def test_a_token_is_required() -> None:
    login = start("none")
    url = f"{login.base_url}/events?date={DATE}"
    assert requests.get(url, timeout=5).status_code == 401
    assert requests.get(url, timeout=5, headers={"Authorization": "Bearer x"}).status_code == 401


def test_down_refuses_on_both_endpoints() -> None:
    login = start("api=down")
    for url in (login.base_url, login.fallback_url):
        with pytest.raises(requests.ConnectionError, match="refused"):
            get(login, f"{url}/events?date={DATE}")


def test_primary_down_leaves_the_fallback() -> None:
    login = start("api=primary-down")
    with pytest.raises(requests.ConnectionError, match="refused"):
        get(login)
    assert list(follow(login, login.fallback_url)) == [0, 1, 2]


def test_timeout_hangs_the_first_request_only() -> None:
    login = start("api=timeout:1")
    url = f"{login.base_url}/events?date={DATE}"
    with pytest.raises(requests.ReadTimeout):
        requests.get(url, timeout=0.3)
    assert list(follow(login)) == [0, 1, 2]


def test_500_and_429_come_first_and_in_order() -> None:
    login = start("api=500:2,api=429:1")
    answers = [get(login) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 429, 200]
    assert answers[2].headers["Retry-After"] == "1"


def test_reset_breaks_the_connection_in_the_middle_of_a_page() -> None:
    login = start("api=reset:1")
    with ask_for_events(login) as client:
        received = client.recv(1 << 16)
        with pytest.raises(ConnectionResetError):
            client.recv(1 << 16)
    assert b'{"data":' in received
    assert not received.endswith(b"}")
    assert list(follow(login)) == [0, 1, 2]


def test_short_ends_before_its_content_length() -> None:
    login = start("api=short:1")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(login)
    assert list(follow(login)) == [0, 1, 2]


def test_html_and_error_object_come_with_status_200() -> None:
    login = start("api=html:1,api=error-object")
    first, second = get(login), get(login)
    assert (first.status_code, first.headers["Content-Type"]) == (200, "text/html")
    assert second.status_code == 200
    assert list(second.json()) == ["error"]


def test_slow_sends_a_byte_at_a_time() -> None:
    with ask_for_events(start("api=slow")) as client:
        received = client.recv(1 << 16)
        while b"\r\n\r\n" not in received:
            received += client.recv(1 << 16)
        # whoever asks is faster than a byte a second
        body = received.partition(b"\r\n\r\n")[2] + client.recv(1 << 16)
        assert b'{"data":'.startswith(body)


def test_loop_leads_back_to_the_first_page() -> None:
    login = start("api=loop")
    page = get(login).json()
    assert get(login, page["next"]).json() == page


def test_elsewhere_leads_to_another_host(capfd: pytest.CaptureFixture[str]) -> None:
    login = start("api=elsewhere")
    following = get(login).json()["next"]
    assert following.startswith("http://localhost:")
    assert not following.startswith((login.base_url, login.fallback_url))
    get(login, following)
    assert "another host was asked, with credentials" in capfd.readouterr().err


def test_repeat_serves_the_first_page_twice() -> None:
    assert list(follow(start("api=repeat"))) == [0, 0, 1, 2]


def test_empty_has_no_records() -> None:
    assert list(follow(start("api=empty"))) == []
