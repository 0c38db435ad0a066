"""The HttpServer: REST, the dashboard and WebSockets on one port.

Holds the running WSGI server; the listening socket and the open connections belong to the
:class:`ListeningSocket` in the child spec, so a restart misses no connection and closes none.
"""

import errno
import os
import socket
import stat
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, assert_never

import gevent
import msgspec
import structlog
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from websockets.frames import CloseCode

from ..actors.event_persister import GetPersisterStatus, PersisterStatus
from ..runtime import Actor, OrchestratorError
from .api import Api
from .connections import Connections, Held, allowed_connections
from .handler import Handler, Upgrades
from .peers import Peers, ask
from .security import Proxies, RateLimit
from .settings import HttpSettings, WebSocketSettings, is_loopback
from .websocket import Connection, Handshake

_BACKLOG: Final = 1024
_NEWCOMERS: Final = 64
_CONTROL_CONNECTIONS: Final = 32
_CLOSE_WEBSOCKETS_S: Final = 2.5
_FINISH_REQUESTS_S: Final = 1.5
_POLL_S: Final = 0.01
_CURSOR_TIMEOUT_S: Final = 1.0


class CannotListen(OrchestratorError):
    """The port cannot be served; the text says what to do."""


class GetHttpStatus(msgspec.Struct, frozen=True):
    """Asks how the server stands; answered by :class:`HttpStatus`."""


class UseRateLimit(msgspec.Struct, frozen=True):
    """The settings have changed."""

    settings: HttpSettings
    """The rate limit in them counts from now on, and nothing else."""


class HttpStatus(msgspec.Struct, frozen=True):
    """How the server stands."""

    url: str
    """Where it is reached from this machine."""
    connections: int
    """Open ones, WebSockets included."""
    websocket_clients: int
    """WebSockets."""
    active_requests: int
    """Requests being answered."""


class ListeningSocket:
    """The listening socket and the connections on it; outlives incarnations of the server.

    Raises:
        CannotListen: The address is not to be had, or open to everybody by mistake.
    """

    def __init__(self, settings: HttpSettings) -> None:
        if not (is_loopback(settings.host) or settings.insecure or settings.auth.tokens):
            raise CannotListen(
                f"http.host is {settings.host}, and whoever reaches it could do everything: make "
                "tokens (`orchestrator token new`), use a loopback address (127.0.0.1), or set "
                "http.insecure = true"
            )
        allowed = allowed_connections(settings.max_connections, settings.reserved_files)
        self.book = Connections(allowed, settings.max_connections_per_address)
        self.proxies = Proxies(settings.trusted_proxies)
        # A few more, so that newcomers are looked at although all places are taken.
        self.connections = Pool(allowed + _NEWCOMERS)
        self._listener = _listen(settings.host, settings.port)
        self.control = ControlSocket(settings.control_socket) if settings.control_socket else None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it is bound to."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def url(self) -> str:
        """Where it is reached from this machine."""
        host, port = self.address
        if host in {"0.0.0.0", "::"}:  # noqa: S104 compared, not bound
            host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 the same
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def duplicate(self) -> Any:
        """A socket for one incarnation, which it may close."""
        return self._listener.dup()

    def close(self) -> None:
        """Stop listening for good."""
        if self.control is not None:
            self.control.close()
        self._listener.close()
        self.connections.kill(block=False)


class ControlSocket:
    """A listening Unix socket of this account's, with places of its own.

    Raises:
        CannotListen: The path is not to be had.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.book = Connections(_CONTROL_CONNECTIONS, _CONTROL_CONNECTIONS)
        self.connections = Pool(_CONTROL_CONNECTIONS + _NEWCOMERS)
        try:
            self._listener = _listen_at(path)
        except OSError as error:
            said = error.strerror or str(error)
            raise CannotListen(f"http.control_socket {path}: {said}; choose another") from error

    def duplicate(self) -> Any:
        """A socket for one incarnation, which it may close."""
        return self._listener.dup()

    def close(self) -> None:
        """Stop listening for good."""
        self._listener.close()
        with suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108 a socket, not a file
        self.connections.kill(block=False)


class _Server(WSGIServer):  # type: ignore[misc] # gevent is untyped here
    """gevent's server, with what its handlers need."""

    upgrades: Upgrades
    settings: HttpSettings
    book: Connections
    proxies: Proxies

    def handle(self, sock: Any, address: Any) -> None:
        """Serve one connection, if there is room for it."""
        client = str(address[0]) if isinstance(address, tuple) else "unix"
        counted = not self.proxies.trusts(client)
        held = Held(client, lambda: _cut(sock), counted=counted)
        if not self.book.enter(held):
            return
        try:
            Handler(sock, address, self, held=held).handle()
        finally:
            self.book.leave(held)

    def update_environ(self) -> None:
        """Give WSGI the name that we know, instead of asking a name server for it."""
        if not isinstance(self.address, tuple):
            super().update_environ()  # a Unix socket has no name
            return
        host, port = self.address[:2]
        self.environ.setdefault("SERVER_NAME", str(host))
        self.environ.setdefault("SERVER_PORT", str(port))


class HttpServer(Actor):
    """Serves ``listening``.

    Args:
        listening: The socket; outlives this incarnation.
        settings: Section ``[http]``.
        websocket: Section ``[websocket]``.
        peers: Whom the routes ask.
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
        self._api: Api | None = None
        self._servers: list[_Server] = []

    def on_start(self) -> None:
        """Begin to accept connections."""
        self._api = Api(self._peers, self._settings, own_name=self.address.name)
        self._servers = [self._serving(self._listening, self._api)]
        if self._listening.control is not None:
            self._servers.append(self._serving(self._listening.control, self._api))
        for server in self._servers:
            self.spawn(server.serve_forever, name="accept")

    def on_stop(self) -> None:
        """Accept nothing more, close the WebSockets (1001), let requests finish, then cut."""
        self._stop_accepting()
        self._close_websockets()
        self._finish_requests()
        self._listening.connections.kill(timeout=1.0)
        if self._listening.control is not None:
            self._listening.control.connections.kill(timeout=1.0)

    def on_failure(
        self,
        exception_type: type[BaseException] | None,  # noqa: ARG002 pykka's signature
        exception_value: BaseException | None,  # noqa: ARG002 pykka's signature
        traceback: TracebackType | None,  # noqa: ARG002 pykka's signature
    ) -> None:
        """Leave the accepting to the successor; open connections go on."""
        self._stop_accepting()

    def on_receive(self, message: GetHttpStatus | UseRateLimit) -> HttpStatus | None:
        """Dispatch."""
        match message:
            case UseRateLimit():
                if self._api is not None:
                    self._api.limit = RateLimit(message.settings)
                return None
            case GetHttpStatus():
                return HttpStatus(
                    url=self._listening.url,
                    connections=len(self._listening.connections),
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
            spawn=listening.connections,
            log=None,
            error_log=_ErrorLog(structlog.get_logger(actor="http")),
        )
        server.upgrades = self._upgrades(api)
        server.settings = self._settings
        server.book = listening.book
        server.proxies = self._listening.proxies
        return server

    def _upgrades(self, api: Api) -> Upgrades:
        clients = self._peers.clients
        return Upgrades(
            api,
            check=lambda environ: Handshake(environ, self._websocket),
            open_connection=partial(_connection, self._peers, self._websocket),
            reserve=clients.reserve,
            free=clients.free,
        )

    def _stop_accepting(self) -> None:
        for server in self._servers:
            if not server.closed:
                server.close()

    def _close_websockets(self) -> None:
        for client in self._peers.clients:
            if client.close is not None:
                client.close(CloseCode.GOING_AWAY, "the daemon stops")
        self._wait(lambda: self._peers.clients.places_taken == 0, _CLOSE_WEBSOCKETS_S)

    def _finish_requests(self) -> None:
        api = self._api
        if api is not None:
            self._wait(lambda: api.active == 0, _FINISH_REQUESTS_S)

    def _wait(self, done: Any, limit_s: float) -> None:
        left = limit_s
        while not done() and left > 0:
            gevent.sleep(_POLL_S)
            left -= _POLL_S


def _cut(sock: Any) -> None:
    with suppress(OSError):  # it has gone by itself
        sock.shutdown(socket.SHUT_RDWR)


class _ErrorLog:
    """Where gevent's server writes what it cannot tell otherwise."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def write(self, text: str) -> None:
        """One line, or several."""
        if text.strip():
            self._log.warning("http server", said=text.strip()[:500])


def _connection(
    peers: Peers, settings: WebSocketSettings, handshake: Handshake, sock: Any, reader: Any
) -> Connection:
    return Connection(
        handshake,
        sock=sock,
        reader=reader,
        registry=peers.clients,
        settings=settings,
        instance=peers.instance,
        cursor=partial(_newest_id, peers),
    )


def _newest_id(peers: Peers) -> int:
    """The newest id by the persister's word; 0 if it does not answer (nothing is known then)."""
    try:
        status: PersisterStatus = ask(peers.persister, GetPersisterStatus(), _CURSOR_TIMEOUT_S)
    except OrchestratorError:
        return 0
    return status.newest_id


def _listen(host: str, port: int) -> Any:
    name = host.strip("[]")
    try:
        family = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((name, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotListen(_advice(host, port, error)) from error


def _listen_at(path: str) -> Any:
    """Bind a Unix socket that only this account can use, in place of one that nobody serves."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode):  # noqa: PTH116 links are not followed
            raise FileExistsError(errno.EEXIST, "there is something else at this path")
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise OSError(errno.EADDRINUSE, "another daemon serves it")
        os.unlink(path)  # noqa: PTH108 a socket, not a file
    listener = socket.socket(socket.AF_UNIX)
    # Nobody can connect before it listens; by then it is this account's alone.
    listener.bind(path)
    os.chmod(path, 0o600)  # noqa: PTH101 a socket, not a file
    listener.listen(_BACKLOG)
    return listener


def _advice(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} on {host} is taken by another program: stop it, or choose another "
                f"port (PORT={port + 1} in the environment, or http.port)"
            )
        case errno.EACCES:
            return f"port {port} needs privileges: choose one above 1023 (PORT or http.port)"
        case errno.EADDRNOTAVAIL | socket.EAI_NONAME | socket.EAI_ADDRFAMILY:
            return f"{host} is not an address of this machine: change http.host"
        case _:
            said = error.strerror or str(error)
            return f"cannot listen on {host}:{port} ({said}): change http.host or http.port"
