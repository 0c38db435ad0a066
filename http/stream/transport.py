"""One WebSocket after its handshake: frames in and out, pings, and the closing handshake.

A transport has two greenlets: the one that reads is the caller's own, the one that writes is alone
with the socket's sending side. Senders fill the buffer and wake the writer, which sends all
that is pending in one call. What messages mean is the session's.
"""

import time
from contextlib import suppress
from socket import SHUT_RDWR, SHUT_WR
from typing import Any, Final, Protocol

import gevent
import structlog
from gevent.event import Event as Signal
from gevent.socket import socket as plain_socket
from websockets.frames import Close, CloseCode, Frame, Opcode

from ...actors.broadcaster.send_buffer import SendBuffer
from ...runtime import deadline, give_way
from ..settings import WebSocketSettings
from .frame_reader import Control, FrameReader, Inflater, Message, Violation, close_code_of
from .sender import Stalled, send_all

_READ_BYTES: Final = 64 * 1024
# Read after the close, lest a reset overtakes our close frame; the rest stays in the kernel.
_MAX_DISCARDED_BYTES: Final = 64 * 1024
# Unsent answers to a client that does not read them; beyond this we stop reading, too.
_MAX_UNREAD_ANSWERS_BYTES: Final = 64 * 1024
# One client's frames are handled for this long before yielding.
_TURN_S: Final = 0.002
_ABNORMAL: Final = 1006


class Readable(Protocol):
    """The reading side; it may hold data that arrived with the handshake."""

    def read1(self, size: int, /) -> bytes:
        """Return available data, blocking until there is some."""


class Session(Protocol):
    """The owner of a transport. All calls but ``closing`` come from the reader's greenlet."""

    def opened(self) -> None:
        """The buffer is sent from now on; reading begins after this."""

    def received(self, message: Message) -> None:
        """A complete message arrived."""

    def closing(self) -> None:
        """The closing begins: nothing may be queued any more. Must not block."""

    def ended(self, code: int) -> None:
        """The connection ended; ``code`` is that of our close frame (1006: there was none)."""


class Transport:
    """One connection, from the upgrade to the end (RFC 6455, sections 5 to 7).

    Args:
        session: Gets the messages.
        sock: The gevent socket.
        reader: Reads from that socket.
        buffer: Pending data; call :meth:`wake` after adding some.
        settings: Section ``[websocket]``.
        inflater: If compression was negotiated.
    """

    def __init__(  # noqa: PLR0913 made in one place, from parts that exist there
        self,
        session: Session,
        *,
        sock: Any,
        reader: Readable,
        buffer: SendBuffer,
        settings: WebSocketSettings,
        inflater: Inflater | None = None,
    ) -> None:
        self._session = session
        self._sock = sock
        self._reader = reader
        self._buffer = buffer
        self._settings = settings
        self._frames = FrameReader(
            max_message_bytes=settings.max_message_bytes,
            max_fragments=settings.max_fragments,
            inflater=inflater,
        )
        self._controls = _ControlRate(settings.max_control_frames_per_s)
        self._log = structlog.get_logger(actor="websocket")
        self._wake = Signal()
        self._drained = Signal()
        self._read_ended = Signal()
        self._write_ended = Signal()
        self._heard_at = self._pinged_at = time.monotonic()
        self._close_by: float | None = None
        self._code = _ABNORMAL
        self._finished = False

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
            self._session.ended(self._code)
            writer.join(self._settings.close_timeout_s)
            writer.kill()  # it must not use the socket after that is closed

    def wake(self) -> None:
        """Send what is in the buffer; does not block."""
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Begin to close; does not block. The peer has ``close_timeout_s`` to answer.

        Pending events are dropped: nothing may follow a close frame.
        """
        if self._close_by is None:
            self._begin_close(code, Close(code, reason).serialize())

    # -- reading -----------------------------------------------------------------------------

    def _read_until_closed(self) -> None:
        while not self._finished and (data := self._read()):
            self._heard_at = time.monotonic()
            self._frames.feed(data)
            try:
                self._handle_frames()
            except Violation as fault:
                self._fail(fault)
            give_way()
        if self._finished:
            self._discard()

    def _read(self, size: int = _READ_BYTES) -> bytes:
        try:
            return self._reader.read1(size)
        except (OSError, ValueError):  # reset, or closed under us
            return b""

    def _handle_frames(self) -> None:
        turn_ends = time.monotonic() + _TURN_S
        while not self._finished and (event := self._frames.next_event()) is not None:
            if isinstance(event, Control):
                self._handle_control(event)
            elif self._close_by is None:
                self._session.received(event)
            if self._buffer.urgent_bytes > _MAX_UNREAD_ANSWERS_BYTES:
                self._wait_for_reader()
            if time.monotonic() > turn_ends:
                give_way()
                turn_ends = time.monotonic() + _TURN_S

    def _wait_for_reader(self) -> None:
        """Stop reading until the client reads its answers."""
        while self._buffer.urgent_bytes > _MAX_UNREAD_ANSWERS_BYTES and not self._finished:
            self._drained.clear()
            self._drained.wait(1.0)

    def _handle_control(self, frame: Control) -> None:
        self._controls.check(time.monotonic())
        if frame.opcode == Opcode.PING:
            self._send_control(Opcode.PONG, frame.data)
        elif frame.opcode == Opcode.CLOSE:
            code = close_code_of(frame.data)
            if self._close_by is None:
                self._begin_close(code, frame.data)
            self._finish()

    def _fail(self, fault: Violation) -> None:
        """Close with the fault's code, and read no more (RFC 6455, section 7.1.7)."""
        self._log.info("websocket protocol violation", code=int(fault.code), rule=fault.reason)
        self.close(fault.code, fault.reason)
        self._finish()

    def _discard(self) -> None:
        """Wait for the peer to close, reading a bounded amount."""
        left = _MAX_DISCARDED_BYTES
        while left and (data := self._read(left)):
            left -= len(data)
        if not left:
            self._write_ended.wait(2 * self._settings.close_timeout_s)

    # -- control frames -----------------------------------------------------------------------

    def _begin_close(self, code: int, payload: bytes) -> None:
        self._session.closing()
        self._code = code
        self._close_by = time.monotonic() + self._settings.close_timeout_s
        self._buffer.forget_events()
        self._send_control(Opcode.CLOSE, payload)

    def _send_control(self, opcode: Opcode, payload: bytes) -> None:
        self._buffer.add_urgent(Frame(opcode, payload).serialize(mask=False))
        self._wake.set()

    def _finish(self) -> None:
        """End our side when pending data has been sent."""
        self._finished = True
        self._wake.set()
        self._drained.set()

    # -- writing -----------------------------------------------------------------------------

    def _write_until_closed(self) -> None:
        try:
            while not (self._read_ended.is_set() and not self._buffer):
                self._wake.clear()
                if self._close_by is not None:
                    self._buffer.forget_events()  # nothing follows a close frame
                data = self._buffer.take()
                if data:
                    self._send(data)
                    self._drained.set()
                elif self._finished:
                    self._linger()
                    break
                else:
                    self._wake.wait(self._next_timer_s())
                    self._run_timers()
        except (OSError, Stalled):
            pass
        finally:
            self._shut()
            self._write_ended.set()

    def _send(self, data: bytes) -> None:
        try:
            send_all(self._sock, data, self._settings.send_timeout_s)
        except Stalled as stalled:
            self._log.warning("websocket client is not reading", unsent=len(stalled.rest))
            self._give_up(stalled.rest)

    def _give_up(self, rest: memoryview) -> None:
        """Close a client that does not read; sends the reason if it reads again in time.

        Raises:
            Stalled: It does not.
        """
        self.close(CloseCode.TRY_AGAIN_LATER, "too slow")
        with deadline(self._settings.close_timeout_s, Stalled(rest)):
            self._sock.sendall(bytes(rest) + self._buffer.take())

    def _next_timer_s(self) -> float:
        now = time.monotonic()
        due = [
            self._pinged_at + self._settings.ping_interval_s,
            self._heard_at + self._settings.ping_timeout_s,
        ]
        if self._close_by is not None:
            due.append(self._close_by)
        return max(0.001, min(due) - now)

    def _run_timers(self) -> None:
        now = time.monotonic()
        if self._close_by is not None:
            if now >= self._close_by:
                self._finished = True
                self._shut()
        elif now >= self._heard_at + self._settings.ping_timeout_s:
            self.close(CloseCode.POLICY_VIOLATION, "ping timeout")
        elif now >= self._pinged_at + self._settings.ping_interval_s:
            self._pinged_at = now
            self._send_control(Opcode.PING, b"")

    def _linger(self) -> None:
        """Close our side only: closing both at once could discard a close frame in flight."""
        # The plain socket's, also under TLS, whose own shutdown() would end reading, too.
        plain_socket.shutdown(self._sock, SHUT_WR)
        self._read_ended.wait(self._settings.close_timeout_s)
        self._shut()

    def _shut(self) -> None:
        """End both directions; the reader sees the end of the stream."""
        with suppress(OSError):
            self._sock.shutdown(SHUT_RDWR)


class _ControlRate:
    """Counts a client's pings, pongs and closes, second by second. Pure."""

    def __init__(self, limit_per_s: int) -> None:
        self._limit_per_s = limit_per_s
        self._since = 0.0
        self._count = 0

    def check(self, now: float) -> None:
        """Count one.

        Raises:
            Violation: There are too many (1008).
        """
        if now - self._since >= 1:
            self._since, self._count = now, 0
        self._count += 1
        if self._count > self._limit_per_s:
            reason = f"over {self._limit_per_s} control frames in a second"
            raise Violation(CloseCode.POLICY_VIOLATION, reason)
