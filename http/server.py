"""The HttpServer: REST, the dashboard and WebSockets on one port.

Holds the running WSGI server; the listening socket and the open connections belong to the
:class:`ListeningSocket` in the child spec, so a restart misses no connection and closes none.
"""

import socket
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, assert_never

import msgspec
import structlog
from prometheus_client import Gauge
from websockets.frames import CloseCode

from ..runtime import Actor
from .acts import Acts
from .app import Api, all_routes
from .edge.connections import Connections, OpenConnection
from .edge.handler import Handler, Upgrades
from .edge.listener import ControlSocket, ListeningSocket
from .edge.tls import Tls
from .edge.wsgi import WSGIServer
from .origins import Proxies, client_key
from .peers import Peers
from .settings import HttpSettings, WebSocketSettings
from .stream.catch_up import Feeds
from .stream.websocket import Connection, Handshake

_CLOSE_WEBSOCKETS_S: Final = 2.5
_FINISH_REQUESTS_S: Final = 1.5
_EXPIRY_CHECK_S: Final = 1.0
"""How late an event feed may outlive its token."""


class GetHttpStatus(msgspec.Struct, frozen=True):
    """Ask for the server's state; answered by :class:`HttpStatus`."""


class UseSettings(msgspec.Struct, frozen=True):
    """The settings were reloaded."""

    settings: HttpSettings
    """Only tokens and rate limit are applied."""


class HttpStatus(msgspec.Struct, frozen=True):
    """The server's state."""

    url: str
    """Its address on this machine."""
    connections: int
    """Open ones, WebSockets included."""
    websocket_clients: int
    """WebSockets."""
    active_requests: int
    """Requests being answered."""


class _Server(WSGIServer):  # type: ignore[misc] # gevent is untyped here
    """gevent's server, with the parts that its handlers need."""

    upgrades: Upgrades
    settings: HttpSettings
    connections: Connections
    proxies: Proxies
    tls: Tls | None

    def handle(self, sock: Any, address: Any) -> None:
        """Serve one connection, unless the limits are reached."""
        client = str(address[0]) if isinstance(address, tuple) else "unix"
        counted = not self.proxies.trusts(client)
        held = OpenConnection(client_key(client), lambda: _cut(sock), counted=counted)
        if not self.connections.enter(held):
            return
        try:
            if (ready := self._secured(sock, held)) is not None:
                Handler(ready, address, self, held=held).handle()
        finally:
            self.connections.leave(held)

    def _secured(self, sock: Any, held: OpenConnection) -> Any:
        """The connection after its TLS handshake, if there is TLS; ``None`` if that failed."""
        if self.tls is None:
            return sock
        wrapped = self.tls.wrap(sock)
        held.cut = lambda: _cut(wrapped)
        if self.tls.shake_hands(wrapped, held.address, self.settings.headers_timeout_s):
            return wrapped
        wrapped.close()
        return None

    def stop(self, timeout: float | None = None) -> None:  # noqa: ARG002 gevent's signature
        """Stop accepting; open connections belong to the next run of the server."""
        self.close()

    def update_environ(self) -> None:
        """Give WSGI the bound address instead of asking a name server."""
        if not isinstance(self.address, tuple):
            super().update_environ()  # a Unix socket has no name
            return
        host, port = self.address[:2]
        self.environ.setdefault("SERVER_NAME", str(host))
        self.environ.setdefault("SERVER_PORT", str(port))


class HttpServer(Actor):
    """Serves ``listening``.

    Args:
        listening: The socket; outlives this run.
        settings: Section ``[http]``.
        websocket: Section ``[websocket]``.
        peers: For the routes.
    """

    def __init__(
        self,
        listening: ListeningSocket,
        settings: HttpSettings,
        websocket: WebSocketSettings,
        peers: Peers,
    ) -> None:
        super().__init__()
        self._listening = listening
        self._settings = settings
        self._websocket = websocket
        self._peers = peers
        self._feeds = Feeds.of(peers, websocket)
        self._api: Api | None = None
        self._servers: list[_Server] = []

    def on_start(self) -> None:
        """Begin to accept connections."""
        routes = all_routes(self._peers, self.address.name, self._feeds)
        acts = Acts(self._peers.audit)
        self._api = Api(routes, self._settings, self._peers.metrics, acts, self._peers.spans)
        self._listening.sessions.close_invalid(self._api.access)
        self.every(_EXPIRY_CHECK_S, self._close_expired)
        text = "Open HTTP connections, WebSockets included."
        self._peers.metrics.watch(
            Gauge, "http_connections", text, lambda: len(self._listening.connections)
        )
        tls = self._listening.tls
        if tls is not None:
            tls.watch(self._peers.metrics)
            if trouble := tls.trouble():
                self.log.error("http.tls", trouble=trouble)
        self._servers = [self._serving(self._listening, self._api)]
        if self._listening.control is not None:
            self._servers.append(self._serving(self._listening.control, self._api))
        for server in self._servers:
            self.spawn(server.serve_forever, name="accept")

    def on_stop(self) -> None:
        """Stop accepting, close the feeds (1001), finish requests, then cut connections."""
        self._stop_accepting()
        self._close_websockets()
        self._finish_requests()
        self._listening.pool.kill(timeout=1.0)
        if self._listening.control is not None:
            self._listening.control.pool.kill(timeout=1.0)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002 pykka's signature
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """Stop accepting; open connections continue under the next run."""
        self._stop_accepting()

    def on_receive(self, message: GetHttpStatus | UseSettings) -> HttpStatus | None:
        """Dispatch."""
        match message:
            case UseSettings():
                self._use(message.settings)
                return None
            case GetHttpStatus():
                return HttpStatus(
                    url=self._listening.url,
                    connections=len(self._listening.pool),
                    websocket_clients=len(self._peers.clients),
                    active_requests=self._api.active if self._api is not None else 0,
                )
            case _:
                assert_never(message)

    # -- parts -------------------------------------------------------------------------------

    def _serving(self, listening: ListeningSocket | ControlSocket, api: Api) -> _Server:
        server = _Server(
            listening.duplicate(),
            api,
            spawn=listening.pool,
            log=None,
            error_log=_ErrorLog(structlog.get_logger(actor="http")),
        )
        server.upgrades = self._upgrades(api)
        server.settings = self._settings
        server.connections = listening.connections
        server.proxies = self._listening.proxies
        server.tls = listening.tls
        return server

    def _use(self, settings: HttpSettings) -> None:
        if self._api is None:
            return
        self._api.use(settings)
        if closed := self._listening.sessions.close_invalid(self._api.access):
            self.log.info("feeds of revoked tokens closed", closed=closed)

    def _close_expired(self) -> None:
        if self._api is not None and self._listening.sessions.close_invalid(self._api.access):
            self.log.info("feeds of expired tokens closed")

    def _upgrades(self, api: Api) -> Upgrades:
        return Upgrades(
            api,
            check=lambda environ: Handshake(environ, self._websocket),
            open_connection=partial(_connection, self._feeds),
            clients=self._peers.clients,
            sessions=self._listening.sessions,
        )

    def _stop_accepting(self) -> None:
        for server in self._servers:
            if not server.closed:
                server.close()

    def _close_websockets(self) -> None:
        for client in self._peers.clients:
            if client.close is not None:
                client.close(CloseCode.GOING_AWAY, "the daemon stops")
        self._listening.sessions.none_open.wait(_CLOSE_WEBSOCKETS_S)

    def _finish_requests(self) -> None:
        if self._api is not None:
            self._api.idle.wait(_FINISH_REQUESTS_S)


def _cut(sock: Any) -> None:
    with suppress(OSError):  # already closed
        sock.shutdown(socket.SHUT_RDWR)


class _ErrorLog:
    """The log of gevent's server."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def write(self, text: str) -> None:
        """Log one line, or several."""
        if text.strip():
            self._log.warning("http server", text=text.strip()[:500])


def _connection(feeds: Feeds, handshake: Handshake, sock: Any, reader: Any) -> Connection:
    return Connection(handshake, sock=sock, reader=reader, feeds=feeds)
