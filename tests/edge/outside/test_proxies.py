"""`deploy/nginx.conf` and `deploy/haproxy.cfg` with the real programs, a daemon behind them."""

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from e2e.conftest import SETTINGS, DaemonProcess
from quiet_clock import quiet_s
from websockets.sync.client import connect

from .proxies import NAME, PREFIX, RunningProxy, program, running

BAD_GATEWAY = {502, 503, 504}
EVENT = json.dumps({"type": "strategy.proxied", "payload": {"n": 1}}).encode()

pytestmark = pytest.mark.subprocess


@pytest.fixture(params=["nginx", "haproxy"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which proxy."""
    name: str = request.param
    for needed in (name, "openssl"):
        if not program(needed):
            pytest.skip(f"{needed} is not installed (Debian: apt-get install {needed})")
    return name


@pytest.fixture
def proxied(
    kind: str, new_daemon: Callable[..., DaemonProcess], tmp_path: Path
) -> Iterator[tuple[RunningProxy, DaemonProcess]]:
    """A proxy and the daemon behind it."""
    daemon = new_daemon(SETTINGS + f'allowed_hosts = ["{NAME}"]\n')
    daemon.start()
    with running(kind, tmp_path, urlsplit(daemon.url).port or 0) as proxy:
        yield proxy, daemon


def test_rest_and_streams_go_through(proxied: tuple[RunningProxy, DaemonProcess]) -> None:
    proxy, daemon = proxied

    health = proxy.call("GET", "/health")
    assert (health.status, json.loads(health.body)["status"]) == (200, "ok")
    assert health.headers["Strict-Transport-Security"]
    assert proxy.call("GET", "/docs").headers["Content-Security-Policy"]

    with connect(f"wss://{NAME}/ws", sock=proxy.socket(), ssl=proxy.context) as stream:
        assert json.loads(stream.recv(timeout=10))["type"] == "connection"
        own = {"Origin": f"https://{NAME}"}
        assert proxy.call("POST", "/bus/events", EVENT, headers=own).status == 201
        told = [json.loads(stream.recv(timeout=10)) for _ in range(1)]
        assert told[0]["eventType"] == "strategy.proxied"
        stream.send('{"action":"ping"}')
        assert json.loads(stream.recv(timeout=10))["type"] == "pong"
        assert stream.ping().wait(10)

    foreign = {"Origin": "https://elsewhere.example"}
    assert proxy.call("POST", "/bus/events", EVENT, headers=foreign).status == 403
    assert proxy.call("POST", "/bus/events", b"x" * (1 << 20) + b"yy").status == 413
    stop = json.dumps({"reason": "a drill through the proxy"}).encode()
    assert proxy.call("POST", "/risk/killswitch", stop).status == 200
    assert daemon.get("/risk/killswitch")["status"] == "active"


@pytest.fixture
def below(
    kind: str, new_daemon: Callable[..., DaemonProcess], tmp_path: Path
) -> Iterator[RunningProxy]:
    """A proxy that has the daemon below a prefix, beside nothing else."""
    daemon = new_daemon(SETTINGS + f'allowed_hosts = ["{NAME}"]\n')
    daemon.start()
    with running(f"{kind}-prefix", tmp_path, urlsplit(daemon.url).port or 0) as proxy:
        yield proxy


def test_a_prefix_is_taken_off(below: RunningProxy) -> None:
    moved = below.call("GET", f"/{PREFIX}")
    assert (moved.status, urlsplit(moved.headers["Location"]).path) == (308, f"/{PREFIX}/")
    assert below.call("GET", "/health-of-others").status in {404, 503}
    assert below.call("GET", f"/{PREFIX}x/health").status in {404, 503}

    own = {"Origin": f"https://{NAME}"}
    with connect(f"wss://{NAME}/{PREFIX}/ws", sock=below.socket(), ssl=below.context) as stream:
        assert json.loads(stream.recv(timeout=10))["type"] == "connection"
        posted = below.call("POST", f"/{PREFIX}/bus/events", EVENT, headers=own)
        assert posted.status == 201
        assert json.loads(stream.recv(timeout=10))["eventType"] == "strategy.proxied"
    event = json.loads(posted.body)["id"]
    with connect(f"wss://{NAME}/{PREFIX}/", sock=below.socket(), ssl=below.context) as stream:
        assert json.loads(stream.recv(timeout=10))["cursor"] >= event
    page = below.call("GET", f"/{PREFIX}/bus/events?type=strategy.*&limit=1")
    assert [one["id"] for one in json.loads(page.body)["events"]] == [event]
    foreign = {"Origin": "https://elsewhere.example"}
    assert below.call("POST", f"/{PREFIX}/bus/events", EVENT, headers=foreign).status == 403
    _wait_sent(
        below, f"/{PREFIX}/events/stream?since={event - 1}", '"eventType":"strategy.proxied"'
    )


def _wait_sent(proxy: RunningProxy, path: str, text: str) -> None:
    """Read an event stream until that has come."""
    with proxy.context.wrap_socket(proxy.socket(), server_hostname=NAME) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        got = b""
        while text.encode() not in got:
            more = client.recv(65536)
            assert more, got
            got += more


def test_commands_know_a_prefix(below: RunningProxy, tmp_path: Path) -> None:
    def orc(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "--url", url, *words, "-o", "jsonl"],
            cwd=tmp_path,
            env=os.environ | {"ORCHESTRATOR_CA_FILE": str(tmp_path / "fullchain.pem")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    url = f"https://127.0.0.1:{below.tls_port}/{PREFIX}"
    [emitted] = orc("event", "emit", "strategy.prefixed", "{}")
    seen = orc("tail", "strategy.prefixed", "--last", "1", "--until-idle", "1s")

    assert [one["id"] for one in seen] == [emitted["id"]]


def test_stop_and_start_go_through(proxied: tuple[RunningProxy, DaemonProcess], kind: str) -> None:
    proxy, daemon = proxied
    with connect(f"wss://{NAME}/", sock=proxy.socket(), ssl=proxy.context) as stream:
        port = urlsplit(daemon.url).port
        assert daemon.stop() == 0
        for _ in stream:
            pass
        assert stream.close_code == 1001

    assert proxy.call("GET", "/health").status in BAD_GATEWAY, kind
    daemon.start(PORT=str(port))
    _wait(lambda: proxy.call("GET", "/health").status == 200)


def test_plain_http_is_sent_to_https(kind: str, tmp_path: Path) -> None:
    with running(kind, tmp_path, 9) as proxy:
        reply = proxy.call("GET", "/bus/events?limit=1", plain=True)

    assert reply.status == 308
    assert reply.headers["Location"] == f"https://{NAME}/bus/events?limit=1"


def test_old_tls_is_refused(kind: str, tmp_path: Path) -> None:
    with running(kind, tmp_path, 9) as proxy:
        old = ssl.create_default_context()
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)), proxy.socket() as plain:
            old.wrap_socket(plain, server_hostname=NAME)


class _Echo(BaseHTTPRequestHandler):
    """Answers with the headers that it got; `/health` as it is told."""

    health: ClassVar[int] = 200

    def do_GET(self) -> None:
        body = json.dumps(list(self.headers.items())).encode()
        self.send_response(self.health if self.path == "/health" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        """Nothing."""


@pytest.fixture
def echo() -> Iterator[type[_Echo]]:
    """What lies behind a proxy, in place of the daemon; `port` is where."""
    handler = type("Echo", (_Echo,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        handler.port = server.server_port  # type: ignore[attr-defined] # made here
        yield handler
        server.shutdown()
        thread.join()


def test_a_client_cannot_forge_its_address(kind: str, tmp_path: Path, echo: Any) -> None:
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "http",
        "Forwarded": "for=6.6.6.6",
    }
    with running(kind, tmp_path, echo.port) as proxy:
        got = json.loads(proxy.call("GET", "/", headers=forged).body)

    headers = [(name.lower(), value) for name, value in got]
    assert [value for name, value in headers if name == "x-forwarded-for"] == ["127.0.0.1"]
    assert [value for name, value in headers if name == "x-forwarded-proto"] == ["https"]
    assert [value for name, value in headers if name == "host"] == [NAME]
    assert "6.6.6.6" not in str(headers)


def test_haproxy_asks_health_and_takes_the_daemon_out(tmp_path: Path, echo: Any) -> None:
    if not program("haproxy"):
        pytest.skip("haproxy is not installed (Debian: apt-get install haproxy)")
    with running("haproxy", tmp_path, echo.port) as proxy:
        assert proxy.call("GET", "/").status == 200
        echo.health = 500
        _wait(lambda: proxy.call("GET", "/").status == 503)
        echo.health = 200
        _wait(lambda: proxy.call("GET", "/").status == 200)


def _wait(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end
        time.sleep(0.05)
