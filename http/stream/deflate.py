"""Compression of WebSocket messages: permessage-deflate (RFC 7692), once for all clients.

Without context takeover in either direction, a compressed frame is the same for all clients that
negotiated compression and is made once, and no client costs memory for a window.
"""

import zlib
from collections.abc import Sequence
from typing import Any, Final

from websockets.exceptions import NegotiationError
from websockets.extensions import Extension, ServerExtensionFactory
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import CloseCode
from websockets.typing import ExtensionParameter

from ...actors.broadcaster.clients import Compressed
from ...actors.broadcaster.frames import COMPRESSED_TEXT, data_frame, text_of
from .frame_reader import Violation

# A 4 KiB window. More gains nothing for frames of some kilobytes; setting up 32 KiB takes longer
# than compressing 300 bytes.
_WINDOW_BITS: Final = 12
_MEMORY_LEVEL: Final = 5
# The fastest: level 6 makes frames 2 to 10 % smaller, and takes up to twice the time.
_LEVEL: Final = 1
# A client may use the largest window: it sends few messages.
_CLIENT_WINDOW_BITS: Final = 15

# The end of every compressed message, which is not sent (section 7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"


class _SharedDeflate(ServerPerMessageDeflateFactory):
    """Accepts only parameters under which one compressed frame suits all."""

    def __init__(self) -> None:
        super().__init__(
            server_no_context_takeover=True,
            client_no_context_takeover=True,
            server_max_window_bits=_WINDOW_BITS,
        )

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """Accept an offer.

        Raises:
            NegotiationError: The client's window is smaller than the shared one.
        """
        answer, extension = super().process_request_params(params, accepted_extensions)
        if extension.local_max_window_bits < _WINDOW_BITS:
            raise NegotiationError("a window that is smaller than the one for all")
        return answer, extension


def extensions_of(*, compression: bool) -> list[ServerExtensionFactory] | None:
    """The extensions offered in a handshake."""
    return [_SharedDeflate()] if compression else None


class Deflater:
    """The wire of clients that negotiated compression; one for all of them.

    Args:
        from_bytes: Shorter frames are not compressed.
        counts: Its counters; they outlive it.
    """

    def __init__(self, from_bytes: int, counts: Compressed | None = None) -> None:
        self._from_bytes = from_bytes
        # Clients with different filters ask for the same frame one after the other.
        self._last: tuple[bytes, bytes] = (b"", b"")
        self.counts = counts if counts is not None else Compressed()

    def __call__(self, frame: bytes, _event_id: int | None) -> bytes:
        """``frame`` for these clients; compressed if that makes it shorter."""
        if len(frame) < self._from_bytes:
            return frame
        known, compressed = self._last
        if known is not frame:
            compressed = min(self._compress(frame), frame, key=len)
            self._last = (frame, compressed)
            self.counts.frames += 1
            self.counts.bytes_before += len(frame)
            self.counts.bytes_after += len(compressed)
        return compressed

    def _compress(self, frame: bytes) -> bytes:
        deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL)
        data = deflater.compress(text_of(frame)) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return data_frame(COMPRESSED_TEXT, data.removesuffix(_TAIL))


class MessageInflater:
    """Decompresses one client's messages, each by itself."""

    def __init__(self) -> None:
        self._of_message: Any = None  # zlib's type has no name; it holds a window: 32 KiB

    def begin(self) -> None:
        """The next message begins."""
        self._of_message = zlib.decompressobj(-_CLIENT_WINDOW_BITS)

    def inflate(self, data: bytes, *, last: bool, max_bytes: int) -> bytes:
        """Decompress ``data``; ``last`` if the message ends with it.

        Raises:
            Violation: It is damaged (1007), or more than ``max_bytes`` (1009).
        """
        decoder = self._of_message
        if last:
            data += _TAIL
            self._of_message = None
        try:
            # One byte more than allowed shows an excess; 0 would mean unlimited.
            inflated: bytes = decoder.decompress(data, max_bytes + 1)
        except zlib.error:
            raise Violation(CloseCode.INVALID_DATA, "a message cannot be decompressed") from None
        if len(inflated) > max_bytes:
            raise Violation(CloseCode.MESSAGE_TOO_BIG, "a message is too big when decompressed")
        if decoder.unused_data.rstrip(_TAIL):
            raise Violation(CloseCode.INVALID_DATA, "data after the end of a compressed message")
        return inflated
