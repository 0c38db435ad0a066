"""One WebSocket: the upgrade, and a connection that reads, answers and sends.

Frames are handled by the sans-I/O protocol of ``websockets`` (masking, sizes, close codes); the
sockets are ours. A connection has two greenlets: the one that reads is the request's own, the one
that writes is alone with the socket's sending side. Whatever wants to send puts it into the
client's buffer and wakes the writer, which sends all that waits in one call.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import gevent
import msgspec
import structlog
from gevent.event import Event as Signal
from websockets.datastructures import Headers as HandshakeHeaders
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.protocol import Protocol as FrameProtocol
from websockets.protocol import Side, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ..actors.clients import ALL_TYPES, Client, ClientRegistry
from ..actors.frames import connection_frame, error_frame, pong_frame, subscribed_frame
from ..runtime import OrchestratorError, deadline, give_way
from .access import SUBPROTOCOL
from .errors import ApiError, BadRequest
from .frame_shapes import Ping, Subscribe
from .peers import Instance
from .requests import Environ
from .settings import WebSocketSettings

MAX_TYPES: Final = 100
MAX_TYPE_LENGTH: Final = 200

# A peer that answers at all answers a close in a round trip or two.
_CLOSE_TIMEOUT_S: Final = 2.0
_READ_BYTES: Final = 64 * 1024
# Answers to a client that asks but does not read: beyond this we stop reading too.
_MAX_UNREAD_ANSWERS_BYTES: Final = 64 * 1024
_ABNORMAL: Final = 1006
_SWITCHING: Final = 101


class Readable(Protocol):
    """What is read from: it may hold what came together with the handshake."""

    def read1(self, size: int, /) -> bytes:
        """Return what is there, waiting for something."""


class _Stalled(OrchestratorError):
    """The client took nothing for too long."""


_decode_action = msgspec.json.Decoder(Subscribe | Ping).decode


class Handshake:
    """Checks an upgrade request and holds what was agreed.

    Raises:
        BadRequest: It is no proper WebSocket handshake (RFC 6455, section 4.2.1).
    """

    def __init__(self, environ: Environ, settings: WebSocketSettings) -> None:
        if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
            raise BadRequest("A WebSocket begins with HTTP/1.1.")
        request = HandshakeRequest(str(environ.get("PATH_INFO", "/")), _headers_of(environ))
        # A token offered as the second protocol is judged elsewhere; none is ever echoed.
        handshake = ServerProtocol(select_subprotocol=_bearer_only)
        response = handshake.accept(request)
        if response.status_code != _SWITCHING:
            reason = handshake.handshake_exc
            raise BadRequest(f"This is no WebSocket handshake: {reason}.")
        self.headers = [(name, value) for name, value in response.headers.raw_items()]
        self.types = wanted_types(environ)
        self.since = "since" in parse_qs(str(environ.get("QUERY_STRING", "")))
        # The request came through the HTTP server: a ServerProtocol would wait for it still, and
        # read the first frames as its headers.
        self.protocol = FrameProtocol(Side.SERVER, max_size=settings.max_message_bytes)


def _bearer_only(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Browsers fail unless one of what they offered is taken; others are left as they were."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


class Connection:
    """One client, from the upgrade to the end.

    Args:
        handshake: What was agreed.
        sock: The gevent socket.
        reader: Reads from that socket.
        registry: Where it attaches; its place must have been reserved.
        settings: Section ``[websocket]``.
        instance: For the greeting.
        cursor: Tells the newest id if the registry does not know one yet.
    """

    def __init__(  # noqa: PLR0913 made in one place, from parts that exist there
        self,
        handshake: Handshake,
        *,
        sock: Any,
        reader: Readable,
        registry: ClientRegistry,
        settings: WebSocketSettings,
        instance: Instance,
        cursor: Callable[[], int],
    ) -> None:
        self._handshake = handshake
        self._protocol = handshake.protocol
        self._sock = sock
        self._reader = reader
        self._registry = registry
        self._settings = settings
        self._instance = instance
        self._cursor = cursor
        self._log = structlog.get_logger(actor="websocket")
        self._wake = Signal()
        self._drained = Signal()
        self._read_ended = Signal()
        self._client = Client(settings.queue_bytes, self._wake.set, handshake.types)
        self._client.close = self.close
        self._heard_at = self._pinged_at = time.monotonic()
        self._close_by: float | None = None
        self._finished = False
        self._fragments: list[bytes] = []

    def run(self) -> None:
        """Serve until it ends; blocks the caller's greenlet."""
        writer = gevent.spawn(self._write_until_closed)
        writer.name = "websocket-writer"
        try:
            self._greet()
            self._read_until_closed()
        finally:
            self._read_ended.set()
            self._wake.set()
            self._registry.forget(self._client, self._final_code())
            writer.join(_CLOSE_TIMEOUT_S)
            writer.kill()  # it must have let go of the socket before that is closed

    def close(self, code: int, reason: str) -> None:
        """Begin to close; does not wait. The peer has 2 s to answer."""
        if self._protocol.state is State.OPEN:
            self._registry.detach(self._client)
            self._protocol.send_close(code, reason)
            self._close_by = time.monotonic() + _CLOSE_TIMEOUT_S
            self._pass_on()

    # -- reading -----------------------------------------------------------------------------

    def _greet(self) -> None:
        newest = self._registry.newest_id
        known = self._cursor() if newest is None else newest
        self._registry.attach(self._client)
        cursor = self._registry.newest_id if self._registry.newest_id is not None else known
        name, env = self._instance.name, self._instance.env
        self._client.urge(connection_frame(instance=name, env=env, cursor=cursor))
        if self._handshake.since:
            said = "Resuming by since is not available yet: read /bus/events?since=… instead."
            self._client.urge(error_frame("since_unavailable", said))

    def _read_until_closed(self) -> None:
        while True:
            data = self._read()
            self._heard_at = time.monotonic()
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._handle_frame(event)
            self._pass_on()
            if not data:
                return
            self._wait_for_reader()

    def _read(self) -> bytes:
        try:
            return self._reader.read1(_READ_BYTES)
        except (OSError, ValueError):  # reset, or closed under us
            return b""

    def _wait_for_reader(self) -> None:
        """Let others run; and do not take more questions than this client reads answers."""
        give_way()
        while self._client.buffer.urgent_bytes > _MAX_UNREAD_ANSWERS_BYTES and not self._finished:
            self._drained.clear()
            self._drained.wait(1.0)

    def _handle_frame(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                message, self._fragments = b"".join(self._fragments), []
                self._handle_message(message)

    def _handle_message(self, message: bytes) -> None:
        if self._protocol.state is not State.OPEN:
            return
        try:
            message.decode()
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
            return
        try:
            action = _decode_action(message)
            if isinstance(action, Subscribe):
                self._subscribe(check_types(action.types))
            else:
                self._client.urge(pong_frame())
        except (msgspec.DecodeError, RecursionError) as error:
            self._client.urge(error_frame("bad_message", _advice(error)))
        except ApiError as error:
            self._client.urge(error_frame("bad_message", error.message))

    def _subscribe(self, types: tuple[str, ...]) -> None:
        self._registry.subscribe(self._client, types)
        self._client.urge(subscribed_frame(types))

    def _pass_on(self) -> None:
        """Hand what the protocol wants to say (pongs, closes) to the writer."""
        for data in self._protocol.data_to_send():
            if data:
                self._client.buffer.add_urgent(data)
            else:
                self._finished = True
        self._wake.set()

    # -- writing -----------------------------------------------------------------------------

    def _write_until_closed(self) -> None:
        try:
            while not (self._read_ended.is_set() and not self._client.buffer):
                self._wake.clear()
                data = self._client.buffer.take()
                if data:
                    self._send(data)
                    self._drained.set()
                elif self._finished:
                    self._linger()
                    return
                else:
                    self._wake.wait(self._next_duty_s())
                    self._do_duties()
        except (OSError, _Stalled):
            pass
        self._shut()

    def _send(self, data: bytes) -> None:
        """Send all of ``data``, however slowly the client takes it, as long as it takes some."""
        view = memoryview(data)
        limit_s = self._settings.send_timeout_s
        try:
            while view:
                with deadline(limit_s, _Stalled()):
                    view = view[self._sock.send(view) :]
        except _Stalled:
            self._log.warning("websocket client takes nothing", waiting=len(view))
            self._give_up(bytes(view))

    def _give_up(self, rest: bytes) -> None:
        """Close a client that takes nothing; if it reads again at last, it learns why.

        Raises:
            _Stalled: It does not.
        """
        self.close(CloseCode.TRY_AGAIN_LATER, "too slow")
        self._client.buffer.forget_events()
        with deadline(_CLOSE_TIMEOUT_S, _Stalled()):
            self._sock.sendall(rest + self._client.buffer.take())

    def _next_duty_s(self) -> float:
        now = time.monotonic()
        due = [
            self._pinged_at + self._settings.ping_interval_s,
            self._heard_at + self._settings.ping_timeout_s,
        ]
        if self._close_by is not None:
            due.append(self._close_by)
        return max(0.001, min(due) - now)

    def _do_duties(self) -> None:
        now = time.monotonic()
        if self._close_by is not None:
            if now >= self._close_by:
                self._finished = True
                self._shut()
        elif now >= self._heard_at + self._settings.ping_timeout_s:
            self.close(CloseCode.POLICY_VIOLATION, "no sign of life")
        elif now >= self._pinged_at + self._settings.ping_interval_s:
            self._pinged_at = now
            if self._protocol.state is State.OPEN:
                self._protocol.send_ping(b"")
                self._pass_on()

    def _linger(self) -> None:
        """Close our side only: closing at once would take back a close frame under way."""
        self._sock.shutdown(SHUT_WR)
        self._read_ended.wait(_CLOSE_TIMEOUT_S)
        self._shut()

    def _shut(self) -> None:
        """End both directions; the reader wakes up with the end of the stream."""
        with suppress(OSError):
            self._sock.shutdown(SHUT_RDWR)

    def _final_code(self) -> int:
        close = self._protocol.close_sent or self._protocol.close_rcvd
        return int(close.code) if close is not None else _ABNORMAL


def wanted_types(environ: Environ) -> tuple[str, ...]:
    """The patterns in ``?types=a,b``.

    Raises:
        BadRequest: Too many, or one is too long.
    """
    given = parse_qs(str(environ.get("QUERY_STRING", ""))).get("types", [])
    return check_types([one for text in given for one in text.split(",")])


def check_types(types: list[str]) -> tuple[str, ...]:
    """The patterns, without blanks and doubles, in order; none means all.

    Raises:
        BadRequest: Too many, or one is too long.
    """
    wanted = sorted({one.strip() for one in types} - {""})
    if len(wanted) > MAX_TYPES:
        raise BadRequest(f"types: at most {MAX_TYPES}.")
    if any(len(one) > MAX_TYPE_LENGTH for one in wanted):
        raise BadRequest(f"types: at most {MAX_TYPE_LENGTH} characters each.")
    return tuple(wanted) or ALL_TYPES


def _headers_of(environ: Environ) -> HandshakeHeaders:
    headers = HandshakeHeaders()
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            headers[key[5:].replace("_", "-").title()] = str(value)
    return headers


def _advice(error: Exception) -> str:
    actions = '{"action":"subscribe","types":["risk.*"]} or {"action":"ping"}'
    return f"Send {actions} ({error})."
