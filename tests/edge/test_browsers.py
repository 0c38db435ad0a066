"""What pages may do: origins by methods by content types, foreign hosts, and the page's headers."""

import itertools
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from .conftest import LIMIT_S, Serve, Served, answered, statuses

FRONT = "https://desk.example.com"
ORIGINS = {
    "none": None,
    "own": "own",
    "front": FRONT,
    "other": "https://evil.example",
    "null": "null",
    "front's neighbour": "https://desk.example.com.evil.example",
    "front by http": "http://desk.example.com",
    "own name, other port": "http://127.0.0.1:1",
}
ALLOWED = {"none", "own", "front"}
CONTENT_TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonp",
    "text/plain; application/json",
    None,
)
HOSTS = ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1")


@pytest.fixture
def fronted(serve: Serve) -> Served:
    """A daemon that a page elsewhere may call."""
    return serve(http={"front_origin": FRONT})


def origin_of(served: Served, name: str) -> str | None:
    return f"http://{served.host}:{served.port}" if name == "own" else ORIGINS[name]


def is_json(kind: str | None) -> bool:
    return kind is not None and kind.partition(";")[0] == "application/json"


def types_stored(served: Served) -> set[str]:
    page = served.get("/bus/events?type=strategy.matrix.*&limit=200").json
    return {event["type"] for event in page["events"]}


def test_only_allowed_pairs_of_origin_and_content_type_change_anything(fronted: Served) -> None:
    found, wanted, stored = {}, {}, set()
    for number, (name, kind) in enumerate(itertools.product(ORIGINS, CONTENT_TYPES)):
        type_ = f"strategy.matrix.{number}"
        headers = {"Origin": origin_of(fronted, name), "Content-Type": kind}
        reply = fronted.call("POST", "/bus/events", {"type": type_, "payload": {}}, headers=headers)
        found[name, kind] = reply.status
        wanted[name, kind] = 403 if name not in ALLOWED else 201 if is_json(kind) else 415
        if wanted[name, kind] == 201:
            stored.add(type_)

    assert found == wanted
    assert types_stored(fronted) == stored


def test_only_the_front_gets_a_cors_header(fronted: Served) -> None:
    for name, method in itertools.product(ORIGINS, ("GET", "OPTIONS", "POST")):
        headers = {"Origin": origin_of(fronted, name), "Content-Type": "text/plain"}
        reply = fronted.call(method, "/bus/events", headers=headers)
        allowed = reply.headers["Access-Control-Allow-Origin"]

        assert allowed == (FRONT if name == "front" else None), (name, method)
        assert "Set-Cookie" not in reply.headers


def test_websockets_open_for_allowed_origins_only(fronted: Served) -> None:
    found: dict[str, Any] = {}
    for name in ORIGINS:
        origin: Any = origin_of(fronted, name)
        try:
            with connect(
                f"ws://{fronted.host}:{fronted.port}/", origin=origin, open_timeout=LIMIT_S
            ):
                found[name] = 101
        except InvalidStatus as refused:
            found[name] = refused.response.status_code

    assert found == {name: 101 if name in ALLOWED else 403 for name in ORIGINS}


def test_server_sent_events_open_for_allowed_origins_only(fronted: Served) -> None:
    found = {}
    for name in ORIGINS:
        origin = origin_of(fronted, name)
        lines = ["GET /events/stream HTTP/1.1", f"Host: {fronted.host}:{fronted.port}"]
        lines += [f"Origin: {origin}"] if origin else []
        (found[name],) = statuses(answered(fronted, "\r\n".join([*lines, "", ""]).encode()))

    assert found == {name: 200 if name in ALLOWED else 403 for name in ORIGINS}


def test_a_page_that_rebinds_its_name_to_us_gets_nothing(fronted: Served) -> None:
    for host, (method, path) in itertools.product(
        HOSTS, (("GET", "/"), ("GET", "/state"), ("OPTIONS", "/state"), ("POST", "/bus/events"))
    ):
        body = {"type": "strategy.matrix.host", "payload": {}} if method == "POST" else None
        reply = fronted.call(method, path, body, headers={"Host": host, "Origin": f"http://{host}"})

        assert reply.status == 403, (host, method, path)
    assert types_stored(fronted) == set()


def test_the_page_says_what_browsers_may_do_with_it(fronted: Served) -> None:
    for path in ("/", "/docs", "/dashboard/app.js"):
        headers = fronted.get(path).headers
        policy = headers["Content-Security-Policy"]

        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_page_has_no_script_or_style_of_its_own(fronted: Served, path: str) -> None:
    page = fronted.get(path).body.decode().lower()

    assert "<script>" not in page
    assert "onclick=" not in page
    assert "style=" not in page.replace('rel="stylesheet"', "")


IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
READS = ("/bus/events", "/bus/types", "/state", "/metrics", "/events/stream", "/audit", "/ready")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", READS)
def test_another_sites_page_causes_no_work(fronted: Served, method: str, path: str) -> None:
    for origin in (None, "https://evil.example", "null"):
        reply = fronted.call(method, path, headers={**IMAGE, "Origin": origin})

        assert reply.status == 403, origin


@pytest.mark.parametrize("path", ["/", "/docs", "/dashboard/app.js", "/health"])
def test_the_pages_own_files_may_be_loaded_by_any(fronted: Served, path: str) -> None:
    assert fronted.call("GET", path, headers=dict(IMAGE)).status == 200


@pytest.mark.parametrize(
    "fetch",
    [
        {
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        },
        {**IMAGE, "Origin": FRONT},
        {**IMAGE, "Sec-Fetch-Site": "same-origin"},
        {**IMAGE, "Sec-Fetch-Site": "same-site"},
        {**IMAGE, "Sec-Fetch-Site": "none"},
        {},
    ],
)
def test_navigation_allowed_origins_and_other_clients_read(
    fronted: Served, fetch: dict[str, str | None]
) -> None:
    assert fronted.call("GET", "/bus/events", headers=fetch).status == 200


@pytest.mark.parametrize("dest", ["iframe", "embed", "object"])
def test_a_frame_of_another_site_is_no_navigation_of_a_person(fronted: Served, dest: str) -> None:
    fetch: dict[str, str | None] = {**IMAGE, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": dest}

    assert fronted.call("GET", "/bus/events", headers=fetch).status == 403


@pytest.mark.parametrize("length", [252, 253, 5_000])
def test_a_file_with_a_name_longer_than_names_may_be_is_not_there(
    fronted: Served, length: int
) -> None:
    assert fronted.get(f"/dashboard/{'a' * length}.js").status == 404
