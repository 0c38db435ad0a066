"""Who may do what: every route by every role, bad logins, WebSockets, and where secrets appear."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from orchestrator.http.app import all_routes
from orchestrator.http.auth import Role
from orchestrator.http.routes import Route
from orchestrator.http.settings import WebSocketSettings
from orchestrator.http.stream.catch_up import Feeds
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from .conftest import LIMIT_S, TOKENS, Serve, Served, auth, shared

ROLES = ("nobody", "viewer", "tripper", "operator")
# What each route asks for, written down once more: a new route must be thought about here.
OPEN = {"GET /", "GET /docs", "GET /dashboard/{name:path}", "GET /health", "GET /ready"}
TRIPPER = {"POST /risk/killswitch", "POST /risk/killswitch/drill"}
OPERATOR = {"GET /audit", "GET /runtime/settings"}


@pytest.fixture(scope="module")
def guarded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A daemon with a token for each role; its client is the operator."""
    http = auth(auth=auth()["auth"] | {"max_failures_per_minute": 1_000})
    with shared(request, tmp_path_factory, http=http, token=TOKENS["operator"]) as daemon:
        yield daemon


def routes_of(served: Served) -> list[Route]:
    peers = served.daemon._peers()
    return all_routes(peers, "HttpServer", Feeds.of(peers, WebSocketSettings()))


def bearer(role: str) -> dict[str, str | None]:
    return {"Authorization": f"Bearer {TOKENS[role]}" if role in TOKENS else None}


def least(route: Route) -> str:
    name = f"{route.method} {route.path}"
    if name in OPEN:
        return "nobody"
    if name in TRIPPER:
        return "tripper"
    if name in OPERATOR:
        return "operator"
    return "viewer" if route.method == "GET" else "operator"


def test_every_route_by_every_role(guarded: Served) -> None:
    found: dict[str, int | str] = {}
    wanted: dict[str, int | str] = {}
    for route in routes_of(guarded):
        path = route.path.replace("{name:path}", "app.js").replace("{id}", "0")
        path = path.replace("{name}", "no-such").replace("{key}", "no-such")
        for role in ROLES:
            # A body that no route takes: nothing happens, whoever asks.
            raw = b"no JSON" if route.method == "POST" and route.body is not None else None
            endless = route.path == "/events/stream"
            method = "HEAD" if endless else route.method
            reply = guarded.call(method, path, raw=raw, headers=bearer(role))
            name = f"{route.method} {route.path} by {role}"
            found[name] = reply.status if reply.status in {401, 403} else "let in"
            wanted[name] = "let in"
            if ROLES.index(role) < ROLES.index(least(route)):
                wanted[name] = 401 if role == "nobody" else 403

    assert len(found) > 80
    assert found == wanted


def test_what_routes_declare_is_what_is_written_down_here(guarded: Served) -> None:
    for route in routes_of(guarded):
        assert route.needs == Role[least(route).replace("nobody", "open").upper()], route.path


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST", "TRACE", "GET"])
def test_paths_and_methods_that_are_none_tell_nothing_to_strangers(
    guarded: Served, method: str
) -> None:
    path = "/nothing" if method == "GET" else "/bus/types"
    reply = guarded.call(method, path, headers=bearer("nobody"))

    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/health", "/ready", "/"])
def test_a_wrong_token_is_as_none_where_none_is_needed(guarded: Served, path: str) -> None:
    assert guarded.call("GET", path, headers={"Authorization": "Bearer wrong"}).status == 200


def test_each_caller_learns_who_it_is(guarded: Served) -> None:
    answers = [guarded.call("GET", "/whoami", headers=bearer(role)).json for role in ROLES[1:]]

    assert [(answer["role"], answer["name"]) for answer in answers] == [
        ("viewer", "viewer"),
        ("tripper", "tripper"),
        ("operator", "operator"),
    ]


def test_strangers_learn_of_ready_only_whether(guarded: Served) -> None:
    stranger = guarded.call("GET", "/ready", headers=bearer("nobody"))

    assert stranger.status == 200
    assert stranger.json["checks"] == {}
    assert set(guarded.get("/ready").json["checks"]) == {
        "redis",
        "postgres",
        "journal",
        "actors",
        "killswitch",
        "guard",
        "drill",
    }


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer x y", "Basic dXNlcjpwYXNz", "bearer\ttoken", "Bearer é", ""],
)
def test_what_is_no_bearer_token_is_no_login(guarded: Served, header: str) -> None:
    assert guarded.call("GET", "/state", headers={"Authorization": header}).status == 401


def test_tokens_are_not_read_from_query_or_cookie(guarded: Served) -> None:
    token = TOKENS["operator"]

    assert guarded.call("GET", f"/state?token={token}", headers=bearer("nobody")).status == 401
    cookie = bearer("nobody") | {"Cookie": f"token={token}; Authorization=Bearer {token}"}
    assert guarded.call("GET", "/state", headers=cookie).status == 401


def test_bad_logins_are_limited_and_lock_nobody_out(serve: Serve) -> None:
    guarded = serve(http=auth(), token=TOKENS["operator"])
    wrong: dict[str, str | None] = {"Authorization": "Bearer guess"}
    tried = [guarded.call("GET", "/state", headers=wrong) for _ in range(12)]

    assert [reply.status for reply in tried] == [401] * 10 + [429] * 2
    assert 1 <= int(tried[-1].headers["Retry-After"]) <= 60
    assert tried[-1].headers["RateLimit-Reset"] == tried[-1].headers["Retry-After"]
    assert (tried[-1].headers["RateLimit-Limit"], tried[-1].headers["RateLimit-Remaining"]) == (
        "10",
        "0",
    )
    assert guarded.get("/state").status == 200
    assert guarded.call("POST", "/risk/killswitch", {}, headers=wrong).status == 401


def test_strangers_do_not_use_up_the_calls_of_others(serve: Serve) -> None:
    guarded = serve(http=auth(rate_limit_max=20), token=TOKENS["operator"])
    stranger = [guarded.call("GET", "/state", headers=bearer("nobody")) for _ in range(25)]

    assert [reply.status for reply in stranger[-2:]] == [429, 429]
    assert guarded.get("/state").status == 200


def test_the_stop_says_who_has_engaged_it(guarded: Served) -> None:
    guarded.call("POST", "/risk/killswitch", {"reason": "test"}, headers=bearer("tripper"))

    assert guarded.get("/risk/killswitch").json["triggered_by"] == "http:tripper"


def test_with_tokens_any_address_will_do(serve: Serve) -> None:
    everywhere = auth(host="0.0.0.0")  # noqa: S104 that is the point
    assert serve(http=everywhere, token=TOKENS["viewer"]).get("/state").status == 200


# -- WebSockets --------------------------------------------------------------------------------


def uri(served: Served) -> str:
    return f"ws://{served.host}:{served.port}/ws"


def test_a_websocket_opens_with_a_header(guarded: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}

    with connect(uri(guarded), additional_headers=headers, open_timeout=LIMIT_S) as client:
        assert client.subprotocol is None
        assert json.loads(client.recv())["type"] == "connection"


def test_a_websocket_opens_with_a_subprotocol_and_never_hears_the_token(guarded: Served) -> None:
    offered = [Subprotocol("bearer"), Subprotocol(TOKENS["viewer"])]

    with connect(uri(guarded), subprotocols=offered, open_timeout=LIMIT_S) as client:
        assert client.subprotocol == "bearer"
        assert client.response is not None
        assert TOKENS["viewer"] not in str(client.response.headers)


@pytest.mark.parametrize(
    "offered", [[], ["bearer"], ["bearer", "wrong"], [TOKENS["viewer"], "bearer"], ["chat", "v1"]]
)
def test_a_websocket_without_a_good_token_is_refused_before_the_upgrade(
    guarded: Served, offered: list[str]
) -> None:
    protocols = [Subprotocol(name) for name in offered] or None
    with pytest.raises(InvalidStatus) as refused:
        connect(uri(guarded), subprotocols=protocols, open_timeout=LIMIT_S)

    assert refused.value.response.status_code == 401


# -- secrets -----------------------------------------------------------------------------------


def test_tokens_appear_in_no_answer_and_no_log(
    serve: Serve, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    guarded = serve(http=auth(), log={"level": "debug"}, token=TOKENS["operator"])
    answers: list[Any] = [
        guarded.get(path).body
        for path in ("/openapi.json", "/asyncapi.json", "/runtime/actors", "/state", "/metrics")
    ]
    answers += [
        guarded.call("GET", f"/{TOKENS['viewer']}"[:1], headers=bearer("viewer")).body,
        guarded.call("POST", "/bus/events", raw=b"{", headers=bearer("operator")).body,
        guarded.call("POST", "/bus/events", {"type": 1}, headers=bearer("viewer")).body,
    ]
    captured = capfd.readouterr()
    said = b"".join(answers).decode() + captured.out + captured.err
    said += "".join(
        path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()
    )

    for token in TOKENS.values():
        assert token not in said


def test_an_answer_to_a_stranger_has_all_the_headers_of_others(guarded: Served) -> None:
    connection = http.client.HTTPConnection(guarded.host, guarded.port, timeout=LIMIT_S)
    connection.request("GET", "/state")
    response = connection.getresponse()

    assert json.loads(response.read())["error"] == "Unauthorized"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"
    connection.close()
