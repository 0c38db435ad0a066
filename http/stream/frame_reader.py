"""Parses the frames of WebSocket clients (RFC 6455, section 5). Pure.

Everything that can be refused is refused at the first byte that shows it: a header before its
payload, text at its first wrong byte, a compressed message when it grows too large. So no more
waits here than one read and one message.
"""

import codecs
from typing import Final, NamedTuple, Protocol

from websockets.exceptions import ProtocolError
from websockets.frames import (  # type: ignore[attr-defined] # the mask: in C where it is to be had
    Close,
    CloseCode,
    Opcode,
    apply_mask,
)

from ...runtime import OrchestratorError

_FIN: Final = 0x80
_RSV1: Final = 0x40
_RSV2_RSV3: Final = 0x30
_MASKED: Final = 0x80
_MASK_BYTES: Final = 4
_MAX_CONTROL_BYTES: Final = 125
# How many bytes of length follow the header's two, and the least length that needs them.
_LENGTH_BYTES: Final = {126: (2, 126), 127: (8, 1 << 16)}
_MAX_LENGTH: Final = (1 << 63) - 1

_SHORT_HEADER: Final = 2

# U+D800 to U+DFFF begin with these two bytes or higher second ones (RFC 3629, section 4).
_SURROGATES: Final = 0xED
_SURROGATES_FROM: Final = 0xA0

_OPCODES: Final = frozenset(Opcode)
_CONTROL: Final = 0x8

_new_decoder = codecs.getincrementaldecoder("utf-8")


class Violation(OrchestratorError):
    """The client broke the protocol or a limit; the connection is failed with ``code``."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Message(NamedTuple):
    """A text or binary message, whole."""

    data: bytes
    """Its payload; of a text it is UTF-8."""
    is_text: bool
    """Which of the two."""


class Control(NamedTuple):
    """A close, ping or pong frame."""

    opcode: int
    """Which of them."""
    data: bytes
    """Its payload: at most 125 bytes."""


class Inflater(Protocol):
    """Decompresses one client's messages."""

    def begin(self) -> None:
        """The next message begins."""

    def inflate(self, data: bytes, *, last: bool, max_bytes: int) -> bytes:
        """Decompress ``data``; ``last`` if the message ends with it.

        Raises:
            Violation: It is damaged (1007), or more than ``max_bytes`` (1009).
        """


class _Header(NamedTuple):
    opcode: int
    fin: bool
    mask: bytes

    @property
    def is_control(self) -> bool:
        return bool(self.opcode & _CONTROL)


class FrameReader:
    """Turns a client's bytes into messages and control frames.

    Args:
        max_message_bytes: The longest message; of a compressed one before and after.
        max_fragments: The most frames of a message.
        inflater: If compression was agreed on.
    """

    def __init__(
        self, *, max_message_bytes: int, max_fragments: int, inflater: Inflater | None = None
    ) -> None:
        self._max_message_bytes = max_message_bytes
        self._max_fragments = max_fragments
        self._inflater = inflater
        self._buffer = bytearray()
        self._header: _Header | None = None
        self._left = 0  # of the payload of the frame whose header that is
        self._control = bytearray()
        self._begin_message()

    def feed(self, data: bytes) -> None:
        """Add received data; :meth:`next_event` parses it."""
        self._buffer += data

    def next_event(self) -> Message | Control | None:
        """The next complete message or control frame; ``None`` if more data is needed.

        Raises:
            Violation: What came is not allowed. Nothing may be read after that.
        """
        while True:
            if self._header is None:
                self._header = self._read_header()
            header = self._header
            if header is None or (self._left and not self._buffer):
                return None
            piece = self._take_payload(header)
            if header.is_control:
                self._control += piece
            else:
                self._add(piece, last=header.fin and not self._left)
            if self._left:
                return None
            self._header = None
            if header.is_control:
                data, self._control = bytes(self._control), bytearray()
                return Control(header.opcode, data)
            if header.fin:
                return self._end_message()

    # -- frames ------------------------------------------------------------------------------

    def _read_header(self) -> _Header | None:
        """The next header; raises as soon as the data shows that it is invalid."""
        have = self._buffer
        if not have:
            return None
        first = have[0]
        header = _Header(first & 0x0F, bool(first & _FIN), b"")
        self._check_first_byte(first, header)
        if len(have) < _SHORT_HEADER:
            return None
        self._check_second_byte(have[1], header)
        more, _ = _LENGTH_BYTES.get(have[1] & ~_MASKED, (0, 0))
        start = _SHORT_HEADER + more
        if len(have) < start:
            return None
        length = self._length(have[1] & ~_MASKED, have[_SHORT_HEADER:start])
        if not header.is_control:
            self._check_size(length, fin=header.fin)
        if len(have) < start + _MASK_BYTES:
            return None
        mask = bytes(have[start : start + _MASK_BYTES])
        del have[: start + _MASK_BYTES]
        self._left = length
        if not header.is_control:
            self._begin_frame(header.opcode, length, compressed=bool(first & _RSV1))
        return header._replace(mask=mask)

    def _check_first_byte(self, first: int, header: _Header) -> None:
        if header.opcode not in _OPCODES:
            raise Violation(CloseCode.PROTOCOL_ERROR, "an unknown opcode")
        starts = header.opcode in {Opcode.TEXT, Opcode.BINARY}
        if first & _RSV2_RSV3 or (first & _RSV1 and not (starts and self._inflater)):
            raise Violation(CloseCode.PROTOCOL_ERROR, "a reserved bit is set")
        if header.is_control:
            if not header.fin:
                raise Violation(CloseCode.PROTOCOL_ERROR, "a control frame is fragmented")
        elif starts and self._fragments:
            raise Violation(CloseCode.PROTOCOL_ERROR, "a message begins inside another")
        elif not starts and not self._fragments:
            raise Violation(CloseCode.PROTOCOL_ERROR, "there is no message to continue")

    def _check_second_byte(self, second: int, header: _Header) -> None:
        if not second & _MASKED:
            raise Violation(CloseCode.PROTOCOL_ERROR, "a frame is not masked")
        if header.is_control and second & ~_MASKED > _MAX_CONTROL_BYTES:
            raise Violation(CloseCode.PROTOCOL_ERROR, "a control frame is over 125 bytes long")

    def _length(self, short: int, more: bytearray) -> int:
        if not more:
            return short
        length = int.from_bytes(more, "big")
        _, least = _LENGTH_BYTES[short]
        if not least <= length <= _MAX_LENGTH:
            raise Violation(CloseCode.PROTOCOL_ERROR, "a length is not written as it must be")
        return length

    def _check_size(self, length: int, *, fin: bool) -> None:
        if self._received + length > self._max_message_bytes:
            limit = f"a message is over {self._max_message_bytes} bytes long"
            raise Violation(CloseCode.MESSAGE_TOO_BIG, limit)
        if self._fragments + (1 if fin else 2) > self._max_fragments:
            limit = f"a message has over {self._max_fragments} fragments"
            raise Violation(CloseCode.POLICY_VIOLATION, limit)

    def _take_payload(self, header: _Header) -> bytes:
        """The available part of the frame's payload; rotates the mask for the rest."""
        size = min(self._left, len(self._buffer))
        if not size:
            return b""
        masked = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._left -= size
        turn = size % _MASK_BYTES
        if self._left and turn:
            mask = header.mask
            self._header = header._replace(mask=mask[turn:] + mask[:turn])
        return apply_mask(masked, header.mask)

    # -- messages ----------------------------------------------------------------------------

    def _begin_message(self) -> None:
        self._fragments = 0
        self._received = 0  # bytes of it, as they came
        self._message = bytearray()
        self._compressed = False
        self._text: codecs.IncrementalDecoder | None = None

    def _begin_frame(self, opcode: int, length: int, *, compressed: bool) -> None:
        self._fragments += 1
        self._received += length
        if opcode == Opcode.CONT:
            return
        self._text = _new_decoder() if opcode == Opcode.TEXT else None
        self._compressed = compressed
        if compressed and self._inflater is not None:
            self._inflater.begin()

    def _add(self, piece: bytes, *, last: bool) -> None:
        if self._compressed and self._inflater is not None:
            room = self._max_message_bytes - len(self._message)
            piece = self._inflater.inflate(piece, last=last, max_bytes=room)
        self._message += piece
        if self._text is not None:
            _check_text(self._text, piece, last=last)

    def _end_message(self) -> Message:
        message = Message(bytes(self._message), self._text is not None)
        self._begin_message()
        return message


def _check_text(decoder: codecs.IncrementalDecoder, piece: bytes, *, last: bool) -> None:
    try:
        decoder.decode(piece, final=last)
    except UnicodeDecodeError:
        raise Violation(CloseCode.INVALID_DATA, "text that is not UTF-8") from None
    # Of half a surrogate the decoder waits for the last byte, though the second shows it.
    unfinished = decoder.getstate()[0]
    if len(unfinished) > 1 and unfinished[0] == _SURROGATES and unfinished[1] >= _SURROGATES_FROM:
        raise Violation(CloseCode.INVALID_DATA, "text that is not UTF-8")


def close_code_of(data: bytes) -> int:
    """The code in a close frame's payload; 1005 if there is none.

    Raises:
        Violation: It may not be sent (1002), or its reason is not UTF-8 (1007).
    """
    try:
        return int(Close.parse(data).code)
    except ProtocolError:
        raise Violation(CloseCode.PROTOCOL_ERROR, "a close code that may not be sent") from None
    except UnicodeDecodeError:
        raise Violation(CloseCode.INVALID_DATA, "a close reason that is not UTF-8") from None
