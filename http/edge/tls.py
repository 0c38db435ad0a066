"""TLS (``[http.tls]``): the certificate, the handshake, and sockets with an orderly close.

A handshake runs in its connection's own greenlet, under the limit for headers, and its connection
counts as idle: a slow one delays no other.
"""

import os
import ssl
import stat
import time
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

import gevent.ssl
import structlog
from prometheus_client import Counter, Gauge

from ...runtime import OrchestratorError, deadline
from ...runtime.telemetry.metrics import Metrics
from ..settings import TlsSettings

EXPIRES_SOON_S: Final = 14 * 86_400.0
"""Automatic renewal happens a month before expiry; later than this it has failed."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_LOG_EVERY: Final = 100
_PLAIN_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 71\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    b'{"error":"Bad request","message":"This port speaks TLS: use https://."}'
)
_log = structlog.get_logger(actor="http")


class TlsUnusable(OrchestratorError):
    """The certificate or its key cannot be used; the text says what to do."""


class _TooSlow(OrchestratorError):
    """The handshake took too long."""


class Certificate(NamedTuple):
    """A server certificate."""

    expires_at: float
    """Unix time; in the past if it has expired (then only roughly)."""
    names: tuple[str, ...]
    """Its host names and addresses; unknown of an expired one."""

    def trouble(self, now: float) -> str | None:
        """What is wrong with it at ``now``, if anything."""
        left_s = self.expires_at - now
        if left_s <= 0:
            return "the certificate has expired: clients refuse it"
        if left_s < EXPIRES_SOON_S:
            return f"the certificate expires in {left_s / 86_400:.1f} days"
        return None


class TlsSocket(gevent.ssl.SSLSocket):  # type: ignore[misc] # gevent is untyped here
    """A TLS connection that sends ``close_notify``, and can close one direction only.

    gevent's own drops TLS at :meth:`shutdown`: later data would be read as plain text.
    """

    def shutdown(self, how: int) -> None:
        """End one direction or both; does not block."""
        self.say_end()
        gevent.socket.socket.shutdown(self, how)

    def _real_close(self) -> None:
        self.say_end()
        super()._real_close()

    def say_end(self) -> None:
        """Send ``close_notify``, so that the peer can tell the end from a truncation."""
        session: Any = self._sslobj
        if session is not None:
            with suppress(OSError, ValueError):  # also: the peer's own is pending
                session.shutdown()

    def answer_plainly(self, data: bytes) -> None:
        """Send ``data`` to a peer that does not speak TLS."""
        self._sslobj = None
        with suppress(OSError):
            self.sendall(data)


class _Context(gevent.ssl.SSLContext):  # type: ignore[misc] # gevent is untyped here
    sslsocket_class = TlsSocket


class Tls:
    """Wraps accepted connections in TLS; outlives runs of the server.

    Args:
        settings: Section ``[http.tls]``, with a certificate.

    Raises:
        TlsUnusable: The files are unusable.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._context, self._expires_at = self._read()
        self.failures = 0
        """Failed handshakes."""

    def read_anew(self) -> str | None:
        """Reload the files for all new connections; returns what is wrong with them, if anything.

        Where they are unusable those loaded before stay in use.
        """
        try:
            self._context, self._expires_at = self._read()
        except TlsUnusable as error:
            return f"certificate unchanged: {error}"
        return self.trouble()

    def watch(self, metrics: Metrics) -> None:
        """Export expiry and failures as metrics."""
        metrics.watch(
            Gauge,
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate in use expires, Unix time; 0: it has expired.",
            lambda: [] if self._expires_at is None else [((), self._expires_at)],
        )
        metrics.watch(
            Counter,
            "tls_handshake_failures",
            "Failed TLS handshakes.",
            lambda: self.failures,
        )

    def _read(self) -> tuple[ssl.SSLContext, float | None]:
        """The context, and until when clients accept its certificate; ``None``: they do not.

        Raises:
            TlsUnusable: The files are unusable.
        """
        context = _server_context(self._settings, _Context(ssl.PROTOCOL_TLS_SERVER))
        try:
            return context, inspect(self._settings).expires_at
        except TlsUnusable:
            return context, None  # the log says why, by trouble()

    def trouble(self) -> str | None:
        """What is wrong with the certificate now, if anything."""
        try:
            return inspect(self._settings).trouble(time.time())
        except TlsUnusable as error:
            return str(error)

    def wrap(self, sock: Any) -> TlsSocket:
        """``sock`` as a TLS connection; nothing is sent yet."""
        wrapped: Any = self._context.wrap_socket(
            sock, server_side=True, do_handshake_on_connect=False
        )
        return cast("TlsSocket", wrapped)

    def shake_hands(self, sock: TlsSocket, address: str, limit_s: float) -> bool:
        """Do the handshake within ``limit_s``; returns whether it succeeded."""
        try:
            with deadline(limit_s, _TooSlow()):
                sock.do_handshake()
        except _TooSlow:
            self._failed(address, "too slow")
        except ssl.SSLError as error:
            self._failed(address, error.reason or "not TLS")
            if error.reason == "HTTP_REQUEST":
                sock.answer_plainly(_PLAIN_ANSWER)
        except (OSError, ValueError):
            self._failed(address, "the connection broke")
        else:
            return True
        return False

    def _failed(self, address: str, reason: str) -> None:
        self.failures += 1
        if self.failures % _LOG_EVERY == 1:
            _log.info("TLS handshake failed", client=address, reason=reason, failures=self.failures)


def inspect(settings: TlsSettings) -> Certificate:
    """Test the files by a handshake in memory.

    Raises:
        TlsUnusable: No client could connect.
    """
    server = _server_context(settings, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(settings.cert)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        shown = _shown(client, server)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            return Certificate(0.0, ())
        raise TlsUnusable(f"http.tls.cert {settings.cert}: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise TlsUnusable(f"http.tls.cert {settings.cert}: {error.reason}") from error
    names = tuple(value for _, value in shown.get("subjectAltName", ()))
    return Certificate(ssl.cert_time_to_seconds(shown["notAfter"]), names)


def _shown(client: ssl.SSLContext, server: ssl.SSLContext) -> dict[str, Any]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):  # TLS 1.3 needs two turns, 1.2 three
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    found: dict[str, Any] = ends[0].getpeercert() or {}
    return found


def _server_context(settings: TlsSettings, context: ssl.SSLContext) -> ssl.SSLContext:
    key = settings.key or settings.cert
    _check_readable("cert", settings.cert)
    _check_readable("key", key)
    if os.stat(key).st_mode & (stat.S_IROTH | stat.S_IWOTH):  # noqa: PTH116 as text, for the message
        raise TlsUnusable(f"http.tls.key {key}: every account here may read it; chmod o-rw {key}")
    context.minimum_version = _VERSIONS[settings.min_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise TlsUnusable(_advice(settings.cert, key, error)) from error
    return context


def _check_readable(name: str, path: str) -> None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 as text, for the message
            file.read(1)
    except OSError as error:
        raise TlsUnusable(f"http.tls.{name} {path}: {error.strerror}") from error


def _no_password() -> str:
    raise TlsUnusable("http.tls.key is encrypted: `openssl pkey` writes it without a password")


def _advice(cert: str, key: str, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"http.tls.key {key} is not the key of the certificate {cert}"
    return (
        f"http.tls: {cert} and {key} are not a certificate and its key, in PEM "
        f"({error.reason or 'no PEM'})"
    )
