"""One connection's requests on gevent's WSGI server, and the way from HTTP to a WebSocket."""

import errno
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from websockets.frames import CloseCode

from ...actors.broadcaster.clients import Clients
from ...protocol.timestamps import utc_now
from ...runtime import OrchestratorError, deadline
from ..api.schemas import ErrorAnswer
from ..app import Api, Endless, send
from ..auth import CALLER, Role, Sessions, caller_in, require
from ..errors import ApiError, BadRequest, Internal, NotFound, Unavailable
from ..origins import without_port
from ..requests import BODY_READ, Environ, request_id_of
from ..routes import Answer, plain_path
from ..settings import HttpSettings, is_loopback
from ..stream.feed_query import check_room
from ..stream.sender import Stalled, send_all
from ..stream.websocket import Connection, Handshake
from .connections import OpenConnection
from .request_head import (
    BLANKS,
    MAX_LINE_BYTES,
    Malformed,
    RequestLine,
    TooLate,
    check_fields,
    read_fields,
    request_line,
)
from .tls import TlsSocket
from .wsgi import DISCARD_BYTES, Body, OldMessage, WebSocketHandler, has_body

WEBSOCKET_PATHS: Final = frozenset({"/", "/ws"})
_LAST_SEND_S: Final = 1.0
_SLOW: Final = "(slow)"


class _Idle(OrchestratorError):
    """Nothing arrived in time."""


class Upgrades:
    """Decides on upgrade requests, and opens their connections.

    Args:
        api: Has the rules.
        open_connection: Makes the connection from handshake, socket and reader.
        clients: Bounds their number.
        sessions: Knows connections by their callers.
    """

    def __init__(
        self,
        api: Api,
        *,
        check: Callable[[Environ], Handshake],
        open_connection: Callable[[Handshake, Any, Any], Connection],
        clients: Clients,
        sessions: Sessions,
    ) -> None:
        self.api = api
        self.check = check
        self.open_connection = open_connection
        self.clients = clients
        self.sessions = sessions

    def admit(self, environ: dict[str, Any]) -> Handshake:
        """Check everything that can be refused, before the 101; reserves a place.

        Raises:
            ApiError: The refusal.
        """
        http_1_1 = environ.get("SERVER_PROTOCOL") != "HTTP/1.0"
        host = environ.get("HTTP_HOST")
        self.api.hosts.check(host, http_1_1=http_1_1)
        self.api.origins.check(environ.get("HTTP_ORIGIN"), host)
        caller = environ[CALLER] = self.api.access.caller_of(environ)
        require(caller, Role.VIEWER)
        if plain_path(str(environ.get("PATH_INFO"))).lower() not in WEBSOCKET_PATHS:
            raise NotFound("The event stream is at / and /ws.")
        if has_body(environ):
            raise BadRequest("A WebSocket begins without a body.")
        handshake = self.check(environ)
        check_room(self.clients, handshake.where)
        if not self.clients.reserve():
            raise Unavailable("There are too many WebSocket clients; try again.", retry_after_s=5)
        return handshake


class Handler(WebSocketHandler):  # type: ignore[misc] # the library is untyped
    """gevent-websocket's handler, with our rules before the 101 and our connection after it."""

    wsgi_input: Any
    websocket: Connection

    def __init__(self, sock: Any, address: Any, server: Any, *, held: OpenConnection) -> None:
        # Headers and body leave in two sends: without this the second waits for an ACK.
        if sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, address, server)
        self._held = held
        self._served = False
        self._head_by = 0.0
        self._log = structlog.get_logger(actor="http")

    # -- the upgrade -------------------------------------------------------------------------

    def upgrade_websocket(self) -> Iterable[bytes] | None:
        """Upgrade a request that asks for it; ``None`` leaves it to the application."""
        asked = str(self.environ.get("HTTP_UPGRADE", "")).lower()
        if "websocket" not in asked or self.command != "GET":
            return None
        return self.upgrade_connection()

    def upgrade_connection(self) -> Iterable[bytes] | None:
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
        self.server.connections.upgraded(self._held)
        upgrades: Upgrades = self.server.upgrades
        access = upgrades.api.access
        try:
            with upgrades.sessions.held(caller_in(self.environ), self._no_longer_admitted, access):
                self.websocket.run()
        finally:
            upgrades.clients.free()
            self.environ["wsgi.websocket"] = None

    def _no_longer_admitted(self, reason: str) -> None:
        self.websocket.close(CloseCode.POLICY_VIOLATION, reason)

    # -- endless answers ----------------------------------------------------------------------

    def process_result(self) -> None:
        """Send the answer; an endless one bypasses WSGI, and the connection ends with it."""
        if not isinstance(self.result, Endless):
            # A client that does not read its answer counts as idle.
            self.server.connections.idle(self._held)
            super().process_result()
            return
        self.close_connection = True
        self.server.connections.upgraded(self._held)
        self.write(b"")
        stream, upgrades = self.result.stream, self.server.upgrades
        end = partial(stream.end, CloseCode.POLICY_VIOLATION)
        with upgrades.sessions.held(caller_in(self.environ), end, upgrades.api.access):
            stream.run(self.socket, self.rfile)

    def finalize_headers(self) -> None:
        """Add what is missing; an endless answer is not chunked."""
        super().finalize_headers()
        if isinstance(self.result, Endless):
            self.response_use_chunked = False
            chunked = (b"Transfer-Encoding", b"chunked")
            kept = [one for one in self.response_headers if one != chunked]
            self.response_headers: list[tuple[bytes, bytes]] = kept

    def _refuse(self, error: ApiError) -> Iterable[bytes]:
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

    # -- one request -------------------------------------------------------------------------

    def handle_one_request(self) -> bool | None:
        """Read and answer one request; anything but true ends the connection."""
        self.server.connections.idle(self._held)
        result = super().handle_one_request()
        if isinstance(result, tuple):
            self._send_last(result[1])
            return None
        if not result and isinstance(self.socket, TlsSocket):
            self.socket.say_end()
        return bool(result) or None

    def read_requestline(self) -> str:
        """The next request's first line; empty if the connection stays idle for too long."""
        settings: HttpSettings = self.server.settings
        idle_s = settings.keep_alive_s if self._served else settings.headers_timeout_s
        try:
            with deadline(idle_s, _Idle()):
                if not self.rfile.peek(1):
                    return ""
        except _Idle:
            return ""
        self._head_by = time.monotonic() + settings.headers_timeout_s
        try:
            with deadline(settings.headers_timeout_s, _Idle()):
                return str(self.rfile.readline(MAX_LINE_BYTES).decode("latin-1"))
        except _Idle:
            return _SLOW

    def read_request(self, raw_requestline: str) -> bool:
        """Parse the head.

        Raises:
            Malformed: It cannot be read in one way only, is too large, or takes too long.
        """
        if raw_requestline == _SLOW:
            raise TooLate("the request line took too long")
        settings: HttpSettings = self.server.settings
        line = request_line(raw_requestline)
        left_s = max(0.001, self._head_by - time.monotonic())
        try:
            with deadline(left_s, _Idle()):
                lines = read_fields(
                    self.rfile.readline,
                    max_fields=settings.max_headers,
                    max_bytes=settings.max_header_bytes,
                )
        except _Idle:
            raise TooLate("the headers took too long") from None
        except OSError:
            raise Malformed("the connection broke") from None
        check_fields(lines, line)
        self._take_over(line, lines)
        return True

    def _take_over(self, line: RequestLine, lines: list[str]) -> None:
        """Store the head where gevent's handler expects it."""
        self._served = True
        self.requestline = f"{line.method} {line.target} {line.version}"
        self.command, self.path, self.request_version = line
        self.headers = OldMessage()
        for text in lines:
            name, _, value = text.partition(":")
            self.headers[name] = value.strip(BLANKS)
        length = self.headers.get("content-length")
        self.content_length = None if length is None else int(length)
        options = {
            part.strip(BLANKS) for part in self.headers.get("connection", "").lower().split(",")
        }
        keeps = line.version == "HTTP/1.1" or "keep-alive" in options
        self.close_connection = not keeps or "close" in options

    def get_environ(self) -> dict[str, Any]:
        """WSGI's environment, with a body of which only a little is read if no handler reads it."""
        environ: dict[str, Any] = super().get_environ()
        body = Body.of(self.wsgi_input, self.server.settings.max_body_bytes)
        self.wsgi_input = environ["wsgi.input"] = body
        if address := environ.get("REMOTE_ADDR"):
            forwarded = str(environ.get("HTTP_X_FORWARDED_FOR", ""))
            environ["REMOTE_ADDR"] = self.server.proxies.client(address, forwarded)
        if self.server.tls is not None:
            environ["wsgi.url_scheme"] = "https"
        if has_body(environ):
            environ[BODY_READ] = partial(self.server.connections.busy, self._held)
        else:
            self.server.connections.busy(self._held)
        return environ

    def _sendall(self, data: bytes) -> None:
        """As gevent's, but bounded by ``http.send_timeout_s``."""
        settings: HttpSettings = self.server.settings
        try:
            send_all(self.socket, data, settings.send_timeout_s)
        except Stalled:
            self._log.info("client is not reading its response", client=self.client_address)
            raise BrokenPipeError(errno.EPIPE, "client is not reading its response") from None
        self.response_length += len(data)

    # -- responses and log ---------------------------------------------------------------------

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[..., Any]:
        """Begin an answer; under TLS with ``Strict-Transport-Security``."""
        if age_s := self._hsts_s():
            headers = [*headers, ("Strict-Transport-Security", f"max-age={age_s}")]
        begun: Callable[..., Any] = super().start_response(status, headers, exc_info)
        return begun

    def _hsts_s(self) -> int:
        name = without_port(str((self.environ or {}).get("HTTP_HOST", "")))
        settings: HttpSettings = self.server.settings
        return 0 if self.server.tls is None or is_loopback(name) else settings.tls.hsts_s

    def log_request(self) -> None:
        """Do nothing: the application logs its requests."""

    def log_error(self, msg: str, *args: object) -> None:
        """Log a request that could not be parsed; the text may quote the client."""
        self._log.info("malformed request", reason=(msg % args if args else msg)[:500])

    def handle_error(self, _kind: Any, value: Any, _traceback: Any) -> None:
        """Log a fault outside the application; the answer has no details."""
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
        """The answer to a malformed request; the connection ends with it."""
        self.log_error("%s", str(ex) or type(ex).__name__)
        status = ex.status if isinstance(ex, Malformed) else 400
        request_id = uuid.uuid4().hex
        body = msgspec.json.encode(
            ErrorAnswer(
                HTTPStatus(status).phrase,
                "The request is malformed; the connection is closed.",
                utc_now(),
                request_id,
            )
        )
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
            f"Cache-Control: no-store\r\nX-Request-ID: {request_id}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return str(status), head.encode() + body

    def _send_last(self, response: bytes) -> None:
        """Send the last response, and read on for a moment.

        Closing with unread data would reset the connection, and discard the response.
        """
        with suppress(OSError, _Idle), deadline(_LAST_SEND_S, _Idle()):
            self.socket.sendall(response)
            self.socket.shutdown(socket.SHUT_WR)
            left = DISCARD_BYTES
            while left > 0 and (piece := self.socket.recv(16_384)):
                left -= len(piece)
