"""TLS in front of a server that has none: the handshake is real, whatever the certificate."""

import ssl
from contextlib import suppress
from typing import Any, Self

import gevent
from faults.certificates import Authority, Pair
from gevent import socket
from gevent.server import StreamServer

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""By which PostgreSQL's clients ask for TLS."""
_LIMIT_S = 30.0


class TlsProxy:
    """Listens on a free loopback port. Use as a context manager.

    Args:
        target: ``(host, port)``, or the path of a Unix socket.
        pair: Shown to clients; None: no TLS is spoken.
        postgres: Wait to be asked for TLS, as PostgreSQL does.
        clients_of: Who must have signed the clients' own certificates; None: they need none.
    """

    def __init__(
        self,
        target: tuple[str, int] | str,
        pair: Pair | None,
        *,
        postgres: bool = False,
        clients_of: Authority | None = None,
    ) -> None:
        self._target = target
        self._postgres = postgres
        self._context: ssl.SSLContext | None = None
        if pair is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pair.cert, pair.key)
            if clients_of is not None:
                self._context.verify_mode = ssl.CERT_REQUIRED
                self._context.load_verify_locations(clients_of.cert)
        self.passed = 0
        """Connections whose client believed us, and said something."""
        self.heard = b""
        """What clients that were not let through sent without TLS."""
        self._server = StreamServer(("127.0.0.1", 0), self._handle)
        self._server.start()
        self.port = int(self._server.server_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(timeout=1)

    def _handle(self, sock: Any, _address: object) -> None:
        with suppress(OSError), sock:
            if self._postgres and not self._asked(sock):
                return
            if self._context is None:
                self._listen_in(sock)
                return
            with self._context.wrap_socket(sock, server_side=True) as client:
                self._pass_on(client)

    def _asked(self, sock: Any) -> bool:
        begin = sock.recv(len(SSL_REQUEST), socket.MSG_WAITALL)
        if begin == SSL_REQUEST:
            sock.sendall(b"N" if self._context is None else b"S")
            return True
        self.heard += begin
        return False

    def _listen_in(self, sock: Any) -> None:
        sock.settimeout(_LIMIT_S)
        while piece := sock.recv(65536):
            self.heard += piece
            if piece.startswith(b"\x16"):  # a handshake: no server without TLS goes on
                return

    def _pass_on(self, client: Any) -> None:
        first = client.recv(65536)  # libpq looks at the name when the handshake is done
        if not first:
            return
        self.passed += 1
        family = socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
        with socket.socket(family) as server:
            server.connect(self._target)
            server.sendall(first)
            ways = [gevent.spawn(_pump, client, server), gevent.spawn(_pump, server, client)]
            try:
                gevent.joinall(ways, count=1)
            finally:
                gevent.killall(ways)


def _pump(source: Any, sink: Any) -> None:
    with suppress(OSError, ValueError):
        while piece := source.recv(65536):
            sink.sendall(piece)
