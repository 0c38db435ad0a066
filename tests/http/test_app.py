import json
import socket
from typing import Any

import pytest
import structlog
from orchestrator.http.errors import Internal

from .conftest import Serve, Served

FRONT = "https://desk.example.com"


@pytest.fixture(scope="module")
def origin(served: Served) -> str:
    """The daemon's own."""
    return f"http://{served.host}:{served.port}"


# -- the shape of answers ------------------------------------------------------------------------


def test_every_answer_has_a_request_id_and_is_not_sniffed(served: Served) -> None:
    reply = served.get("/health")

    assert len(reply.headers["X-Request-ID"]) == 32
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Cache-Control"] == "no-store"


def test_the_callers_request_id_comes_back(served: Served) -> None:
    assert served.get("/health", X_Request_ID="mine-1").headers["X-Request-ID"] == "mine-1"
    error = served.get("/nothing", X_Request_ID="mine-2")
    assert error.headers["X-Request-ID"] == "mine-2"
    assert error.json["request_id"] == "mine-2"


def test_an_error_has_the_shape_of_the_contract(served: Served) -> None:
    reply = served.get("/nothing")

    assert reply.status == 404
    assert set(reply.json) == {"error", "message", "timestamp", "request_id"}
    assert reply.json["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/bus",
        "/bus/events/1/2",
        "/bus/events/x",
        "/health//",
        "/%ff",
        "//",
        "/dashboard",
    ],
)
def test_an_unknown_path_is_404_or_400(served: Served, path: str) -> None:
    assert served.get(path).status == (400 if path == "/%ff" else 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/bus/events", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", "/bus/events/processed", {"POST", "OPTIONS"}),
        ("PUT", "/risk/killswitch", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("GET", "/risk/killswitch/release", {"POST", "OPTIONS"}),
        ("PATCH", "/runtime/actors/x/restart", {"POST", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_405_and_says_which_ones_are_right(
    served: Served, method: str, path: str, allow: set[str]
) -> None:
    reply = served.call(method, path)

    assert reply.status == 405
    assert {word.strip() for word in reply.headers["Allow"].split(",")} == allow


def test_a_fault_of_ours_is_500_logged_under_its_request_id_and_tells_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_routes: object) -> Any:
        raise ValueError("secret /etc/path")

    monkeypatch.setattr("orchestrator.http.api.state_routes.StateRoutes._rows", broken)
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as lines:
        reply = served.get("/state", X_Request_ID="broken-1")

    assert reply.status == 500
    assert reply.json["error"] == Internal.error
    assert b"secret" not in reply.body
    (line,) = [one for one in lines if one["event"] == "request failed"]
    assert line["request_id"] == "broken-1"
    assert isinstance(line["exc_info"], ValueError)


# -- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_state_changes_need_json(served: Served, kind: str | None) -> None:
    reply = served.call(
        "POST", "/bus/events/processed", raw=b'{"ids":[1]}', headers={"Content-Type": kind}
    )

    assert reply.status == 415


def test_a_body_over_1_mib_is_413(served: Served) -> None:
    reply = served.call("POST", "/bus/events", raw=b"x" * (1024 * 1024 + 1))

    assert reply.status == 413
    assert reply.headers["Connection"] == "close"


def test_an_announced_body_over_the_limit_is_413_before_it_is_sent(served: Served) -> None:
    request = (
        "POST /bus/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 10000000000\r\n\r\n"
    )
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        sock.sendall(request.encode())

        assert sock.recv(100).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_read(served: Served) -> None:
    body = b'{"type":"strategy.chunked","payload":{}}'
    request = (
        b"POST /bus/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"5\r\n" + body[:5] + b"\r\n%x\r\n" % len(body[5:]) + body[5:] + b"\r\n0\r\n\r\n"
    )
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        sock.sendall(request)

        assert sock.recv(100).startswith(b"HTTP/1.1 201")


def test_chunks_that_are_none_are_400_and_the_connection_ends(served: Served) -> None:
    request = (
        b"POST /bus/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        sock.sendall(request)
        received = b""
        while data := sock.recv(65536):
            received += data

    assert received.startswith(b"HTTP/1.1 400")
    assert received.count(b"HTTP/1.1") == 1


def test_a_connection_is_kept_for_the_next_request(served: Served) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        for _ in range(3):
            sock.sendall(request)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")


# -- hosts and origins ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/", "/bus/events", "/nothing"])
def test_a_foreign_host_is_refused(served: Served, path: str) -> None:
    assert served.get(path, Host="rebound.example").status == 403


def test_http_1_0_may_come_without_a_host(served: Served) -> None:
    with socket.create_connection((served.host, served.port), timeout=10) as sock:
        sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")

        assert sock.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/risk/killswitch", "/bus/events", "/runtime/actors/x/restart"])
@pytest.mark.parametrize("foreign", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_origin_changes_nothing(served: Served, path: str, foreign: str) -> None:
    reply = served.call("POST", path, {"reason": "x"}, headers={"Origin": foreign})

    assert reply.status == 403
    assert "Access-Control-Allow-Origin" not in reply.headers


def test_the_own_origin_may_change_state(served: Served, origin: str) -> None:
    body = {"type": "strategy.own", "payload": {}}

    assert served.call("POST", "/bus/events", body, headers={"Origin": origin}).status == 201


def test_the_front_gets_cors_headers_also_on_errors(serve: Serve) -> None:
    served = serve(http={"front_origin": FRONT})

    for path in ("/health", "/nothing"):
        headers = served.get(path, Origin=FRONT).headers
        assert headers["Access-Control-Allow-Origin"] == FRONT
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert headers["Vary"] == "Origin"
    other = served.get("/health", Origin="https://evil.example").headers
    assert "Access-Control-Allow-Origin" not in other
    body = {"type": "strategy.front", "payload": {}}
    assert served.call("POST", "/bus/events", body, headers={"Origin": FRONT}).status == 201


def test_preflights_are_answered_for_the_front_only(serve: Serve) -> None:
    served = serve(http={"front_origin": FRONT})
    asked: dict[str, str | None] = {"Access-Control-Request-Method": "POST"}

    allowed = served.call("OPTIONS", "/risk/killswitch", headers=asked | {"Origin": FRONT})
    other = served.call(
        "OPTIONS", "/risk/killswitch", headers=asked | {"Origin": "https://evil.example"}
    )

    assert allowed.status == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == FRONT
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert allowed.headers["Access-Control-Allow-Headers"] == (
        "Content-Type, Accept, Authorization, Cache-Control, X-Request-ID"
    )
    assert not [name for name in other.headers if name.startswith("Access-Control")]
    assert served.call("OPTIONS", "/nothing").status == 404


# -- how often -----------------------------------------------------------------------------------


def test_calls_are_limited_but_for_those_that_must_not_be(serve: Serve) -> None:
    served = serve(http={"rate_limit_max": 3})

    replies = [served.get("/state") for _ in range(4)]

    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert [reply.headers["RateLimit-Remaining"] for reply in replies] == ["2", "1", "0", "0"]
    limited = replies[-1]
    assert limited.json["error"] == "Too many requests from this IP, please try again later."
    assert 1 <= int(limited.headers["Retry-After"]) <= 60
    assert limited.headers["RateLimit-Limit"] == "3"
    free = ["/health", "/ready", "/metrics", "/risk/killswitch", "/", "/dashboard/app.js"]
    assert [served.get(path).status for path in free] == [200] * len(free)
    assert served.get("/nothing").status == 429


# -- the log -------------------------------------------------------------------------------------


def test_a_state_change_is_logged_with_its_request_id(served: Served) -> None:
    merge = structlog.contextvars.merge_contextvars
    with structlog.testing.capture_logs(processors=[merge]) as lines:
        served.call(
            "POST",
            "/bus/events",
            {"type": "strategy.logged", "payload": {}},
            headers={"X-Request-ID": "logged-1"},
        )

    (line,) = [one for one in lines if one["event"] == "request"]
    assert line["request_id"] == "logged-1"
    assert line["log_level"] == "info"
    assert (line["method"], line["path"], line["status"]) == ("POST", "/bus/events", 201)
    assert line["ms"] > 0
    assert json.dumps(line)
