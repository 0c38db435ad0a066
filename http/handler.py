"""One connection's requests on gevent's WSGI server, and the way from HTTP to a WebSocket."""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from gevent.pywsgi import _BAD_REQUEST_RESPONSE, Input, _InvalidClientInput
from geventwebsocket.handler import WebSocketHandler

from ..runtime import OrchestratorError, deadline
from .access import Role, require
from .api import Api, send
from .errors import ApiError, Internal, NotFound, Unavailable
from .requests import Environ, request_id_of
from .routes import Answer
from .websocket import Connection, Handshake

WEBSOCKET_PATHS: Final = frozenset({"/", "/ws"})
KEEP_ALIVE_S: Final = 75.0
"""An idle connection is closed then; longer than the usual load balancer's 60 s."""
HEADERS_TIMEOUT_S: Final = 10.0
_DISCARD_BYTES: Final = 256 * 1024
_DISCARD_S: Final = 2.0


class _Idle(OrchestratorError):
    """Nothing came in time."""


class _Body(Input):  # type: ignore[misc] # gevent is untyped here
    """A request's body."""

    __slots__ = ()

    def _discard(self) -> None:
        """Read what nobody wanted, up to 256 KiB and for 2 s; the server calls it after an answer.

        Raises:
            _InvalidClientInput: There is more; the server then closes the connection.
        """
        if self._chunked_input_error:
            return
        unread = self.chunked_input and self.chunk_length != 0
        if not unread and self.position >= (self.content_length or 0):
            return
        self.socket = None  # type: ignore[misc] # no "100 Continue" any more
        left = _DISCARD_BYTES
        with suppress(_Idle), deadline(_DISCARD_S, _Idle()):
            while left > 0:
                piece = self.read(min(left, 16_384))
                if not piece:
                    return
                left -= len(piece)
        raise _InvalidClientInput("the body was not read")


class Upgrades:
    """Decides on upgrade requests and makes connections of them.

    Args:
        api: Whose rules hold.
        open_connection: Makes the connection from handshake, socket and reader.
        reserve: Takes a place for a client, if there is one.
        free: Gives it back.
    """

    def __init__(
        self,
        api: Api,
        *,
        check: Callable[[Environ], Handshake],
        open_connection: Callable[[Handshake, Any, Any], Connection],
        reserve: Callable[[], bool],
        free: Callable[[], None],
    ) -> None:
        self.api = api
        self.check = check
        self.open_connection = open_connection
        self.reserve = reserve
        self.free = free

    def admit(self, environ: Environ) -> Handshake:
        """Check everything that can be refused, before the 101; takes a place.

        Raises:
            ApiError: The refusal.
        """
        http_1_1 = environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
        host = environ.get("HTTP_HOST")
        self.api.hosts.check(host, http_1_1=http_1_1)
        self.api.origins.check(environ.get("HTTP_ORIGIN"), host)
        caller = self.api.access.caller_of(environ)
        require(caller, Role.VIEWER)
        if environ.get("PATH_INFO") not in WEBSOCKET_PATHS:
            raise NotFound("The event stream is at / and /ws.")
        handshake = self.check(environ)
        if not self.reserve():
            raise Unavailable("There are too many WebSocket clients; try again.", retry_after_s=5)
        return handshake


class Handler(WebSocketHandler):  # type: ignore[misc] # the library is untyped
    """gevent-websocket's handler, with our rules before the 101 and our connection after it."""

    wsgi_input: Any
    websocket: Connection

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        # Headers and body leave in two sends: without this the second waits for an ACK.
        if sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, address, server, rfile)
        self._log = structlog.get_logger(actor="http")

    # -- the upgrade -------------------------------------------------------------------------

    def upgrade_websocket(self) -> list[bytes] | None:
        """Upgrade what asks for it; ``None`` leaves the request to the application."""
        if "websocket" not in str(self.environ.get("HTTP_UPGRADE", "")).lower():
            return None
        return self.upgrade_connection()

    def upgrade_connection(self) -> list[bytes] | None:
        """Refuse as HTTP, or begin the 101 and leave the connection in ``self.websocket``."""
        upgrades: Upgrades = self.server.upgrades
        try:
            handshake = upgrades.admit(self.environ)
        except ApiError as error:
            return self._refuse(error)
        self.websocket = upgrades.open_connection(handshake, self.socket, self.rfile)
        self.environ["wsgi.websocket"] = self.websocket
        self.start_response("101 Switching Protocols", handshake.headers)
        return None

    def run_websocket(self) -> None:
        """Serve the connection until it ends."""
        try:
            self.websocket.run()
        finally:
            self.server.upgrades.free()
            self.environ["wsgi.websocket"] = None

    def _refuse(self, error: ApiError) -> list[bytes]:
        request_id = request_id_of(self.environ)
        answer = self.server.upgrades.api.refusal(error, request_id, self.environ)
        self._log.info("websocket refused", status=answer.status, reason=error.message)
        closed = Answer(
            answer.body,
            answer.status,
            answer.content_type,
            (*answer.headers, ("Connection", "close")),
        )
        return send(self.environ, self.start_response, closed, request_id)

    # -- limits ------------------------------------------------------------------------------

    def read_requestline(self) -> str:
        """The next request's first line; none if the connection stays idle for 75 s."""
        try:
            with deadline(KEEP_ALIVE_S, _Idle()):
                return str(super().read_requestline())
        except _Idle:
            return ""

    def read_request(self, raw_requestline: str) -> bool:
        """Parse the request; one whose headers take longer than 10 s is refused."""
        try:
            with deadline(HEADERS_TIMEOUT_S, _Idle()):
                return bool(super().read_request(raw_requestline))
        except _Idle:
            raise ValueError("headers took too long") from None

    def get_environ(self) -> dict[str, Any]:
        """WSGI's environment, with a body of which only a little is read if nobody wants it."""
        environ: dict[str, Any] = super().get_environ()
        made = self.wsgi_input
        self.wsgi_input = environ["wsgi.input"] = _Body(
            made.rfile, made.content_length, socket=made.socket, chunked_input=made.chunked_input
        )
        return environ

    # -- what it says ------------------------------------------------------------------------

    def log_request(self) -> None:
        """Nothing: the application logs its requests."""

    def log_error(self, msg: str, *args: object) -> None:
        """A request that could not be parsed; its words are the client's."""
        self._log.info("malformed request", reason=(msg % args if args else msg)[:500])

    def handle_error(self, _kind: Any, value: Any, _traceback: Any) -> None:
        """A fault outside the application: log it, and tell the caller nothing of it."""
        if not isinstance(value, Exception):
            return
        self._log.error("connection failed", exc_info=value)
        if not self.response_length and self.environ is not None:
            error = Internal("This is a fault of the daemon; see its log.")
            try:
                for piece in self._refuse(error):
                    self.write(piece)
            except OSError:
                self.close_connection = True

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        self.log_error("%s", str(ex) or type(ex).__name__)
        return ("400", _BAD_REQUEST_RESPONSE)
