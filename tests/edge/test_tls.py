"""Our own TLS: HTTPS and wss on the port, handshakes that drip, certificates that will not do."""

import json
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from faults.certificates import Authority, Pair, lock
from orchestrator.http.edge.listener import CannotListen, ListeningSocket
from orchestrator.http.edge.tls import Tls, TlsUnusable, inspect
from orchestrator.http.settings import HttpSettings, TlsSettings
from pydantic import ValidationError
from quiet_clock import quiet_s
from websockets.exceptions import ConnectionClosed

from ..cli.conftest import run_orc
from ..http.api.test_metrics import samples
from ..http.conftest import frame
from .conftest import LIMIT_S, Serve, Served, received, shared, statuses
from .test_slow import is_open

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The begin of a handshake; 500 bytes more are announced."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue()


def tls(pair: Pair, **more: Any) -> dict[str, Any]:
    return {"tls": {"cert": str(pair.cert), "key": str(pair.key)} | more}


@pytest.fixture(scope="module")
def secured(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    pair: Pair,
) -> Iterator[Served]:
    """A daemon that speaks TLS, and a client that trusts it."""
    http = tls(pair) | {"headers_timeout_s": 1.0, "allowed_hosts": ["desk.example.com"]}
    with shared(request, tmp_path_factory, http=http, trust=authority.trusting()) as daemon:
        yield daemon


# -- what it is for ----------------------------------------------------------------------------


def test_https_answers_like_http(secured: Served) -> None:
    assert secured.listening.url == f"https://127.0.0.1:{secured.port}"
    assert secured.get("/health").json["status"] == "ok"
    event_id = secured.stored(payload={"n": 1})
    assert secured.get(f"/bus/events/{event_id}").json["event"]["payload"] == {"n": 1}


def test_a_large_answer_and_a_large_body_come_whole(secured: Served) -> None:
    text = "x" * 900_000
    event_id = secured.stored(payload=text)

    assert secured.get(f"/bus/events/{event_id}").json["event"]["payload"] == text


def test_events_come_over_wss(secured: Served) -> None:
    with secured.socket("/?types=strategy.*") as client:
        event_id = secured.stored()

        assert frame(client)["id"] == event_id
        client.close(1000, "done")
    assert client.close_code == 1000


def test_close_codes_come_over_wss(secured: Served) -> None:
    with secured.socket("/?types=none") as client:
        with suppress(OSError):  # the client's reader may close first
            client.socket.sendall(b"\x81\x02{}" + bytes(1 << 20))  # not masked, and a lot behind it

        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=LIMIT_S)
    assert caught.value.rcvd.code == 1002


def test_a_connection_is_kept_for_the_next_request_and_ends_in_order(secured: Served) -> None:
    assert secured.trust is not None
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with (
        socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock,
        # Without its close_notify the end would be an error here.
        secured.trust.wrap_socket(
            sock, server_hostname="localhost", suppress_ragged_eofs=False
        ) as client,
    ):
        client.sendall(request + last)

        assert statuses(received(client)) == [200, 200]


@pytest.mark.parametrize(
    ("host", "age"), [("desk.example.com", "max-age=31536000"), ("localhost:1", None)]
)
def test_browsers_are_told_to_come_by_https_only(
    secured: Served, host: str, age: str | None
) -> None:
    for path in ("/health", "/", "/no-such"):
        reply = secured.get(path, Host=host)

        assert reply.headers["Strict-Transport-Security"] == age


def test_a_client_that_trusts_another_authority_refuses_us(secured: Served, tmp_path: Path) -> None:
    foreign = Authority(tmp_path, "other").trusting()
    with (
        socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        foreign.wrap_socket(sock, server_hostname="localhost")

    assert secured.get("/health").status == 200


@pytest.mark.parametrize(
    ("newest", "spoken"), [(ssl.TLSVersion.TLSv1_1, None), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")]
)
def test_old_versions_are_not_spoken(
    secured: Served, authority: Authority, newest: ssl.TLSVersion, spoken: str | None
) -> None:
    context = authority.trusting()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is old: that is the point
        context.minimum_version = context.maximum_version = newest
    found = None
    with (
        socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock,
        suppress(ssl.SSLError, ConnectionError),
        context.wrap_socket(sock, server_hostname="localhost") as client,
    ):
        found = client.version()

    assert found == spoken


# -- attacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [b"", HELLO])
def test_a_handshake_that_never_ends_is_closed(secured: Served, begin: bytes) -> None:
    began = quiet_s()
    with socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock:
        sock.sendall(begin)

        assert received(sock) == b""
    assert quiet_s() - began < LIMIT_S / 2


def test_a_handshake_that_drips_gains_no_time_by_it(secured: Served) -> None:
    began = quiet_s()
    with socket.create_connection((secured.host, secured.port), timeout=0.05) as sock:
        sock.sendall(HELLO)
        while is_open(sock):
            assert quiet_s() - began < LIMIT_S / 2
            with suppress(ConnectionError):
                sock.sendall(b"a")


def test_many_that_drip_hold_up_nobody(secured: Served) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            address = (secured.host, secured.port)
            sock = stack.enter_context(socket.create_connection(address, timeout=LIMIT_S))
            sock.sendall(HELLO)

        assert secured.post("/risk/killswitch", {"reason": "drill"}).status == 200


def test_at_the_limit_handshakes_under_way_make_room(
    serve: Serve, authority: Authority, pair: Pair
) -> None:
    http = tls(pair) | {"max_connections": 20}
    served = serve(http=http, trust=authority.trusting())
    with ExitStack() as stack:
        address = (served.host, served.port)
        opened = [
            stack.enter_context(socket.create_connection(address, timeout=LIMIT_S))
            for _ in range(20)
        ]
        served.wait_until(lambda: len(served.listening.connections) == 20)

        assert served.get("/health").status == 200
        served.wait_until(lambda: not is_open(opened[0]))
        assert is_open(opened[-1])


def test_a_wss_client_is_never_cut_for_others(
    serve: Serve, authority: Authority, pair: Pair
) -> None:
    http = tls(pair) | {"max_connections": 20}
    served = serve(http=http, trust=authority.trusting())
    with served.socket() as client, ExitStack() as stack:
        address = (served.host, served.port)
        for _ in range(30):
            stack.enter_context(socket.create_connection(address, timeout=LIMIT_S))
        client.send('{"action":"ping"}')

        assert frame(client)["type"] == "pong"


def test_plain_http_is_told_where_to_go(secured: Served) -> None:
    with socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = received(sock).partition(b"\r\n\r\n")

    assert statuses(head) == [400]
    assert int(head.lower().partition(b"content-length: ")[2].split()[0]) == len(body)
    assert "https://" in json.loads(body)["message"]


def test_noise_is_closed_and_others_go_on(secured: Served) -> None:
    for noise in (b"\x00" * 2_000, b"\x16\x03\x01\xff\xff" + b"\xff" * 5_000, b"\x80\x2e\x01"):
        with socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock:
            sock.sendall(noise)
            received(sock)

    assert secured.get("/health").status == 200


def test_a_broken_record_ends_its_connection_only(secured: Served) -> None:
    assert secured.trust is not None
    with socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock:
        client = secured.trust.wrap_socket(sock.dup(), server_hostname="localhost")
        with client:
            client.sendall(b"GET /health HTTP/1.1\r\n")
            sock.sendall(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
            received(sock)

    assert secured.get("/health").status == 200


# -- certificates ------------------------------------------------------------------------------


def test_a_certificate_is_renewed_without_a_restart(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    old, new = authority.issue(), authority.issue("DNS:localhost,IP:127.0.0.1,DNS:new.example")
    here = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    copy(old, here)
    served = serve(http=tls(here), trust=authority.trusting())
    with served.socket() as client:
        copy(new, here)
        served.daemon.reloads.use(served.daemon.settings, "test")

        assert ("DNS", "new.example") in names_shown(served)
        client.send('{"action":"ping"}')
        assert frame(client)["type"] == "pong"


def test_a_renewal_that_will_not_do_leaves_the_old_one_in_use(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    here = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    copy(authority.issue(), here)
    served = serve(http=tls(here), trust=authority.trusting())
    here.key.write_text("half a fi")

    served.daemon.reloads.use(served.daemon.settings, "test")

    assert served.get("/health").status == 200


def test_metrics_tell_when_the_certificate_in_use_ends(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    old, new = authority.issue(days=3), authority.issue(days=40)
    here = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    copy(old, here)
    served = serve(http=tls(here), trust=authority.trusting())
    name = "orchestrator_tls_certificate_expiry_timestamp_seconds"
    now = time.time()

    first = samples(served)[name]
    copy(new, here)
    before_it_is_read = samples(served)[name]
    served.daemon.reloads.use(served.daemon.settings, "test")
    renewed = samples(served)[name]

    assert first == before_it_is_read == pytest.approx(now + 3 * 86_400, abs=7_200)
    assert renewed == pytest.approx(now + 40 * 86_400, abs=7_200)


def test_metrics_count_handshakes_that_failed(secured: Served) -> None:
    name = "orchestrator_tls_handshake_failures_total"
    before = samples(secured)[name]
    for _ in range(3):
        with socket.create_connection((secured.host, secured.port), timeout=LIMIT_S) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            received(sock)

    assert samples(secured)[name] == before + 3


def copy(pair: Pair, to: Pair) -> None:
    to.cert.write_bytes(pair.cert.read_bytes())
    to.key.touch(mode=0o600)
    to.key.write_bytes(pair.key.read_bytes())


def names_shown(served: Served) -> tuple[Any, ...]:
    assert served.trust is not None
    with (
        socket.create_connection((served.host, served.port), timeout=LIMIT_S) as sock,
        served.trust.wrap_socket(sock, server_hostname="localhost") as client,
    ):
        shown: Any = client.getpeercert()
        return tuple(shown["subjectAltName"])


def test_what_will_not_do_stops_the_start_and_says_why(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    other = authority.issue()
    exposed = Pair(pair.cert, tmp_path / "exposed.key")
    exposed.key.write_bytes(pair.key.read_bytes())
    exposed.key.chmod(0o644)
    locked = Pair(pair.cert, tmp_path / "locked.key")
    lock(pair.key, locked.key)
    for given, said in {
        Pair(tmp_path / "none.pem", pair.key): r"http\.tls\.cert .*none\.pem: No such file",
        Pair(pair.cert, tmp_path / "none.key"): r"http\.tls\.key .*none\.key: No such file",
        Pair(pair.cert, other.key): "is not the key of the certificate",
        Pair(pair.key, pair.key): "are not a certificate and its key",
        exposed: "chmod o-rw",
        locked: "encrypted",
    }.items():
        with pytest.raises(CannotListen, match=said) as caught:
            ListeningSocket(HttpSettings(port=0, **tls(given)))
        assert "\n" not in str(caught.value)


def test_a_certificate_is_looked_at_as_clients_will(authority: Authority, pair: Pair) -> None:
    found = inspect(TlsSettings(cert=str(pair.cert), key=str(pair.key)))

    assert found.names == ("localhost", "127.0.0.1")
    assert found.trouble(found.expires_at - 30 * 86_400) is None
    assert found.trouble(found.expires_at - 36 * 3_600) == "the certificate expires in 1.5 days"
    old = authority.issue(days=-1)
    settings = TlsSettings(cert=str(old.cert), key=str(old.key))
    assert Tls(settings).trouble() == "the certificate has expired: clients refuse it"


def test_a_certificate_for_another_purpose_is_found_out(tmp_path: Path) -> None:
    clients = Authority(tmp_path).issue(purpose="clientAuth")

    with pytest.raises(TlsUnusable, match="purpose"):
        inspect(TlsSettings(cert=str(clients.cert), key=str(clients.key)))


@pytest.mark.parametrize("given", [{"cert": "a.pem"}, {"key": "/a.key"}, {"min_version": "1.1"}])
def test_settings_that_cannot_be_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TlsSettings.model_validate(given)


# -- commands ----------------------------------------------------------------------------------


def test_commands_speak_https_and_wss(
    secured: Served, authority: Authority, tmp_path: Path
) -> None:
    where = {"ORCHESTRATOR_URL": f"https://localhost:{secured.port}"}
    trusting = ("--ca-file", str(authority.cert))
    event_id = secured.stored("strategy.seen")

    words = ("tail", "strategy.seen", "--last", "1", "--count", "1", "-o", "jsonl", *trusting)
    seen = run_orc(tmp_path, words, "", where)
    by_variable = {**where, "SSL_CERT_FILE": str(authority.cert)}
    status = run_orc(tmp_path, ("status", "-o", "json"), "", by_variable)
    refused = run_orc(tmp_path, ("status",), "", where)

    assert seen.code == 0, seen
    assert json.loads(seen.out)["id"] == event_id
    assert status.code == 0
    assert (refused.code, "--ca-file" in refused.err) == (3, True)


def test_doctor_knows_the_daemon_of_its_own_settings(
    secured: Served, pair: Pair, tmp_path: Path
) -> None:
    text = f'[http]\nport = {secured.port}\n[http.tls]\ncert = "{pair.cert}"\nkey = "{pair.key}"\n'
    (tmp_path / "supervisor.toml").write_text(text)

    done = run_orc(tmp_path, ("doctor", "-o", "json"), "", {})

    found = {row["name"]: row for row in json.loads(done.out)["items"]}
    assert found["tls"]["level"] == "ok"
    assert found[f"port {secured.port}"]["said"].startswith("the daemon answers")
