"""One WebSocket after its handshake: frames in and out, signs of life, and the closing.

Frames are handled by the sans-I/O protocol of ``websockets`` (masking, sizes, close codes); the
sockets are ours. A channel has two greenlets: the one that reads is the caller's own, the one that
writes is alone with the socket's sending side. Whatever wants to send puts it into the buffer and
wakes the writer, which sends all that waits in one call. What messages mean is the session's.
"""

import time
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR
from typing import Any, Final, Protocol

import gevent
import structlog
from gevent.event import Event as Signal
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol as FrameProtocol
from websockets.protocol import Side, State

from ..actors.clients import SendBuffer
from ..runtime import OrchestratorError, deadline, give_way
from .settings import WebSocketSettings

# A peer that answers at all answers a close in a round trip or two.
_CLOSE_TIMEOUT_S: Final = 2.0
_READ_BYTES: Final = 64 * 1024
# Answers to a client that asks but does not read: beyond this we stop reading too.
_MAX_UNREAD_ANSWERS_BYTES: Final = 64 * 1024
_ABNORMAL: Final = 1006


class Readable(Protocol):
    """What is read from: it may hold what came together with the handshake."""

    def read1(self, size: int, /) -> bytes:
        """Return what is there, waiting for something."""


class Session(Protocol):
    """Whose channel it is. All calls but ``closing`` come from the reader's greenlet."""

    def opened(self) -> None:
        """What is put into the buffer goes out from now on; reading begins after this."""

    def received(self, message: bytes) -> None:
        """A message came in full."""

    def closing(self) -> None:
        """We begin to close: nothing more need be queued; must not wait."""

    def ended(self, code: int) -> None:
        """Nothing comes any more; ``code`` is that of the closing (1006: there was none)."""


class _Stalled(OrchestratorError):
    """The client took nothing for too long."""


class Channel:
    """One connection, from the upgrade to the end.

    Args:
        session: Gets the messages.
        sock: The gevent socket.
        reader: Reads from that socket.
        buffer: What waits to be sent; :meth:`wake` tells that something does.
        settings: Section ``[websocket]``.
    """

    def __init__(
        self,
        session: Session,
        *,
        sock: Any,
        reader: Readable,
        buffer: SendBuffer,
        settings: WebSocketSettings,
    ) -> None:
        self._session = session
        # The request came through the HTTP server: a ServerProtocol would wait for it still, and
        # read the first frames as its headers.
        self._protocol = FrameProtocol(Side.SERVER, max_size=settings.max_message_bytes)
        self._sock = sock
        self._reader = reader
        self._buffer = buffer
        self._settings = settings
        self._log = structlog.get_logger(actor="websocket")
        self._wake = Signal()
        self._drained = Signal()
        self._read_ended = Signal()
        self._heard_at = self._pinged_at = time.monotonic()
        self._close_by: float | None = None
        self._finished = False
        self._fragments: list[bytes] = []

    def run(self) -> None:
        """Serve until it ends; blocks the caller's greenlet."""
        writer = gevent.spawn(self._write_until_closed)
        writer.name = "websocket-writer"
        try:
            self._session.opened()
            self._read_until_closed()
        finally:
            self._read_ended.set()
            self._wake.set()
            self._session.ended(self._final_code())
            writer.join(_CLOSE_TIMEOUT_S)
            writer.kill()  # it must have let go of the socket before that is closed

    def wake(self) -> None:
        """Something waits in the buffer; does not wait itself."""
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Begin to close; does not wait. The peer has 2 s to answer."""
        if self._protocol.state is State.OPEN:
            self._session.closing()
            self._protocol.send_close(code, reason)
            self._close_by = time.monotonic() + _CLOSE_TIMEOUT_S
            self._pass_on()

    # -- reading -----------------------------------------------------------------------------

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
        while self._buffer.urgent_bytes > _MAX_UNREAD_ANSWERS_BYTES and not self._finished:
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
        self._session.received(message)

    def _pass_on(self) -> None:
        """Hand what the protocol wants to say (pongs, closes) to the writer."""
        for data in self._protocol.data_to_send():
            if data:
                self._buffer.add_urgent(data)
            else:
                self._finished = True
        self._wake.set()

    # -- writing -----------------------------------------------------------------------------

    def _write_until_closed(self) -> None:
        try:
            while not (self._read_ended.is_set() and not self._buffer):
                self._wake.clear()
                data = self._buffer.take()
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
        self._buffer.forget_events()
        with deadline(_CLOSE_TIMEOUT_S, _Stalled()):
            self._sock.sendall(rest + self._buffer.take())

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
