"""Canaries: passwords and tokens turn up nowhere that they do not belong, whatever fails."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from faults.proxy import Proxy
from faults.tls_proxy import TlsProxy
from gevent.pool import Pool

from ..conftest import wait_until
from ..e2e.conftest import DaemonProcess
from .conftest import LIMIT_S, TOKENS, auth, received

pytestmark = [pytest.mark.subprocess, pytest.mark.redis]

SECRETS = {
    "redis": "canary-r3d1s-7f",
    "postgres": "canary-p0stgr3s-2c",
    "agent": "canary-4g3nt-91",
    "guess": "canary-gu3ss-5d",
    **TOKENS,
}
AGENT = """
import os, time
assert os.environ["API_SECRET"] and os.environ["REDIS_URL"]
time.sleep(600)
"""


class Watched(DaemonProcess):
    """A daemon whose PostgreSQL cannot prove itself, and whose Redis comes and goes."""

    answers: str = ""
    """All that came back over HTTP."""
    arguments: str = ""
    """The command lines of it and of all its children."""

    def request(self, method: str, path: str, token: str, body: Any = None) -> tuple[int, bytes]:
        """One call; of a stream what it begins with."""
        place = urlsplit(self.url)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(place.netloc, timeout=LIMIT_S)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            streams = str(response.headers["Content-Type"]).startswith("text/event-stream")
            content = response.read1() if streams else response.read()
            self.answers += f"{response.status} {response.headers} {content!r}\n"
            return response.status, content
        finally:
            connection.close()

    def look_at_processes(self) -> None:
        assert self.process is not None
        daemon = psutil.Process(self.process.pid)
        for process in [daemon, *daemon.children(recursive=True)]:
            self.arguments += f"{process.cmdline()}\n"


@pytest.fixture(scope="module")
def proxies(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, TlsProxy]]:
    target = urlsplit(request.getfixturevalue("redis_server").start())
    with (
        Proxy(int(target.port or 6379)) as bus,
        TlsProxy(("127.0.0.1", 1), None, postgres=True) as store,
    ):
        yield bus, store


@pytest.fixture(scope="module")
def watched(server_folder: Path, proxies: tuple[Proxy, TlsProxy]) -> Watched:
    """A daemon to which everything has happened, and which has ended."""
    bus, store = proxies
    folder = server_folder / "secrets"
    folder.mkdir()
    daemon = Watched(folder, settings(store))
    daemon.settings.chmod(0o600)
    daemon.launch(
        REDIS_URL=f"redis://default:{SECRETS['redis']}@127.0.0.1:{bus.port}/0",
        ORCHESTRATOR_LOG__LEVEL="debug",
    )
    try:
        wait_until(lambda: serves(daemon), limit_s=60, what="the daemon")
        bus.refuse()
        wait_until(lambda: "subscription cut" in daemon.log)
        live(daemon)
        bus.accept()
        for number in (signal.SIGUSR2, signal.SIGHUP):
            assert daemon.process is not None
            daemon.process.send_signal(number)
        wait_until(lambda: "settings reloaded" in daemon.log)
        wait_until(lambda: "stacks of all greenlets" in daemon.log)
        daemon.look_at_processes()
        daemon.arguments += " ".join(kept_files(daemon))
    finally:
        daemon.clean_up()
    return daemon


def settings(store: TlsProxy) -> str:
    tokens = "\n".join(
        "[[http.auth.tokens]]\n" + "\n".join(f'{key} = "{value}"' for key, value in token.items())
        for token in auth()["auth"]["tokens"]
    )
    url = f"postgresql://orc:{SECRETS['postgres']}@127.0.0.1:{store.port}/d?sslmode=require"
    return f"""
[postgres]
url = "{url}"
[http]
port = 0
rate_limit_max = 100000
[guard]
on_silence = "hold"
{tokens}
[agents.child]
mode = "process"
command = ["python3", "-c", '''{AGENT}''']
env = {{ API_SECRET = "{SECRETS["agent"]}" }}
"""


def serves(daemon: Watched) -> bool:
    try:
        return daemon.request("GET", "/health", TOKENS["operator"])[0] == 200
    except (OSError, ValueError):
        return False


def live(daemon: Watched) -> None:
    """Every GET route by everybody, what changes something, and what is none."""
    paths = json.loads(daemon.request("GET", "/openapi.json", TOKENS["operator"])[1])["paths"]
    assert len(paths) > 20
    calls = Pool(20)  # many wait for PostgreSQL
    for path, methods in paths.items():
        found = path.replace("{name}", "child").replace("{id}", "child")
        for token in (TOKENS["operator"], SECRETS["guess"]):
            for method in {"get", "post"} & methods.keys():
                body = {} if method == "post" else None
                calls.spawn(daemon.request, method.upper(), found, token, body)
    calls.join(raise_error=True)
    daemon.request("GET", f"/no-such?token={SECRETS['guess']}", SECRETS["guess"])
    daemon.request("POST", "/bus/events", TOKENS["operator"], {"type": "strategy.x", "payload": 1})
    daemon.request("POST", "/risk/killswitch", TOKENS["tripper"], {"reason": "drill"})
    place = urlsplit(daemon.url)
    for line in (f"Authorization Bearer {SECRETS['guess']}", f"A: b\n {SECRETS['guess']}"):
        with socket.create_connection((str(place.hostname), int(place.port or 0))) as sock:
            sock.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n".encode())
            daemon.answers += received(sock).decode(errors="replace")


def kept_files(daemon: Watched) -> Iterator[str]:
    """What is in its data directory while it runs."""
    for folder, _, names in os.walk(daemon.data):
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                yield f"{path}: {path.read_bytes().decode(errors='replace')}"


def found_in(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in text]


def test_the_failures_did_happen(watched: Watched) -> None:
    assert "subscription cut" in watched.log
    assert "does not support SSL" in watched.log
    assert '"level":"debug"' in watched.log or "[debug" in watched.log
    assert "503" in watched.answers
    assert "429" in watched.answers


def test_no_secret_is_in_the_log_or_on_the_terminal(watched: Watched) -> None:
    assert found_in(watched.log) == []


def test_no_secret_is_in_an_answer(watched: Watched) -> None:
    assert found_in(watched.answers) == []


def test_no_secret_is_in_an_argument_or_a_file(watched: Watched) -> None:
    assert "killswitch/guard" in watched.arguments
    assert "servers.json" in watched.arguments
    assert found_in(watched.arguments) == []
