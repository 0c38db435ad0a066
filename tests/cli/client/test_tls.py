"""TLS as the commands speak it, against real handshakes."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from faults.certificates import Authority, Pair
from orchestrator.cli.client.event_stream import Link
from orchestrator.cli.client.rest import Client
from orchestrator.cli.client.tls import ca_context, pinned_context
from orchestrator.cli.errors import ExitCode, Failure
from orchestrator.cli.filters import Filter

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


@contextmanager
def answering(pair: Pair | None) -> Iterator[int]:
    """A server that answers all requests alike, under TLS if there is a certificate; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)

    def serve() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                with suppress(OSError), sock:
                    ready = context.wrap_socket(sock, server_side=True) if pair else sock
                    with ready:
                        while ready.recv(65536):
                            ready.sendall(ANSWER)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def failure(url: str, ca_file: Path | None) -> Failure:
    with (
        Client(url, timeout_s=5, tls=lambda: ca_context(ca_file)) as client,
        pytest.raises(Failure) as caught,
    ):
        client.get("/health")
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    return caught.value


def test_an_authority_of_ones_own_is_trusted_if_named(authority: Authority) -> None:
    with (
        answering(authority.issue()) as port,
        Client(
            f"https://localhost:{port}", timeout_s=5, tls=lambda: ca_context(authority.cert)
        ) as client,
    ):
        assert client.get("/health") == {"status": "ok"}


def test_the_systems_authorities_are_those_of_ssl_cert_file(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.cert))
    with (
        answering(authority.issue()) as port,
        Client(f"https://localhost:{port}", timeout_s=5) as client,
    ):
        assert client.get("/health") == {"status": "ok"}


def test_who_cannot_prove_to_be_the_daemon_is_refused(authority: Authority) -> None:
    with answering(authority.issue()) as port:
        unknown = failure(f"https://localhost:{port}", None)
    with answering(authority.issue("DNS:other.example")) as port:
        misnamed = failure(f"https://localhost:{port}", authority.cert)
    with answering(authority.issue(days=-1)) as port:
        expired = failure(f"https://localhost:{port}", authority.cert)

    assert {unknown.code, misnamed.code, expired.code} == {"untrusted"}
    assert "issuer" in unknown.cause
    assert "Hostname mismatch" in misnamed.cause
    assert "expired" in expired.cause
    assert "--ca-file" in unknown.advice


def test_tls_with_what_speaks_none_is_said_so(authority: Authority) -> None:
    with answering(None) as port:
        found = failure(f"https://localhost:{port}", authority.cert)

    assert (found.code, found.advice) == ("no_tls", "if it speaks plain HTTP, name it with http://")


def test_the_live_stream_is_refused_alike(authority: Authority) -> None:
    with answering(authority.issue()) as port, pytest.raises(Failure) as caught:
        Link(Client(f"https://localhost:{port}", timeout_s=5), Filter(), 5)

    assert caught.value.code == "untrusted"


def test_a_pinned_certificate_is_good_under_any_name_and_no_other_is(authority: Authority) -> None:
    own, other = authority.issue("DNS:desk.example"), authority.issue()
    with answering(own) as port:
        url = f"https://127.0.0.1:{port}"
        with Client(url, timeout_s=5, tls=lambda: pinned_context(str(own.cert))) as client:
            assert client.get("/health") == {"status": "ok"}
        with (
            Client(url, timeout_s=5, tls=lambda: pinned_context(str(other.cert))) as client,
            pytest.raises(Failure) as caught,
        ):
            client.get("/health")

    assert caught.value.code == "untrusted"


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_of_no_certificates_is_wrong_usage(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)

    with pytest.raises(Failure) as caught:
        ca_context(file)

    assert (caught.value.code, caught.value.exit_code) == ("bad_ca_file", ExitCode.USAGE)
