"""The frames that clients get, each built once, whatever the number of clients. Pure.

A payload goes into its frame as it was published; the pieces around it that repeat (``eventType``,
``source``) are encoded once. A frame is built as WebSockets send it: header (RFC 6455, section 5.2:
final, text, unmasked as a server's are) and JSON. :func:`sse_message` turns it into a message of a
Server-Sent Events stream (WHATWG HTML, section 9.2) with the same JSON.
"""

import re
from collections.abc import Callable, Sequence
from struct import Struct as Packing
from typing import Final

import msgspec

from ...protocol.timestamps import utc_now
from ..events import Event, channel_of

# Types and sources repeat; a publisher that invents new ones must not grow the cache without bound.
_CACHE_LIMIT: Final = 10_000

_TEXT: Final = 0x81
COMPRESSED_TEXT: Final = 0xC1
"""The first byte of a text frame whose payload is compressed (RFC 7692, section 6)."""
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16
_MEDIUM_HEADER: Final = Packing("!BBH")
_LONG_HEADER: Final = Packing("!BBQ")
_SHORT_HEADERS: Final = [bytes((_TEXT, length)) for length in range(_SHORT)]

SSE_CONTENT_TYPE: Final = "text/event-stream"

SSE_KEEP_ALIVE: Final = b":\n\n"
"""A comment: clients ignore it, but proxies see that the stream is alive."""

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")

Wire = Callable[[bytes, int | None], bytes]
"""The encoding for a client: of a frame, and the id to resume after if it is an event's."""

_encode = msgspec.json.encode


def as_is(frame: bytes, _event_id: int | None) -> bytes:
    """The encoding for WebSockets: frames are built for it."""
    return frame


def text_of(frame: bytes) -> bytes:
    """The text in one of the frames made here."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


def sse_message(frame: bytes, event_id: int | None) -> bytes:
    """``frame`` for Server-Sent Events; ``event_id`` becomes the browser's ``Last-Event-ID``.

    Line ends in JSON as it was published stand between its tokens, where one is as good as another.
    """
    text = text_of(frame)
    if b"\n" in text or b"\r" in text:
        text = b"\ndata: ".join(_LINE_END.split(text))
    if event_id is None:
        return b"data: %b\n\n" % text
    return b"id: %d\ndata: %b\n\n" % (event_id, text)


def text_frame(text: bytes) -> bytes:
    """One unfragmented text frame around ``text`` (UTF-8)."""
    return data_frame(_TEXT, text)


def data_frame(first: int, payload: bytes) -> bytes:
    """One unfragmented frame around ``payload``; ``first`` is its first byte."""
    length = len(payload)
    if length < _SHORT:
        return bytes((first, length)) + payload
    if length < _MEDIUM:
        return _MEDIUM_HEADER.pack(first, 126, length) + payload
    return _LONG_HEADER.pack(first, 127, length) + payload


class EventFrames:
    """Builds ``redis_event`` frames; remembers the pieces that repeat."""

    def __init__(self) -> None:
        self._middles: dict[tuple[str, str | None], bytes] = {}

    def build(self, event: Event, *, replaces: bool = False) -> bytes:
        """The frame of ``event``; ``replaces`` if clients may have seen another one with its id."""
        key = (event.type, event.source)
        middle = self._middles.get(key) or self._remember(key, event)
        tail = b'","replaces":true}' if replaces else b'"}'
        head = b'{"type":"redis_event","id":%d' % event.id
        stamp = b',"timestamp":"' + event.ts.encode() + tail
        length = len(head) + len(middle) + len(event.payload) + len(stamp)
        if length < _SHORT:
            header = _SHORT_HEADERS[length]
        elif length < _MEDIUM:
            header = _MEDIUM_HEADER.pack(_TEXT, 126, length)
        else:
            header = _LONG_HEADER.pack(_TEXT, 127, length)
        return b"".join((header, head, middle, event.payload, stamp))

    def _remember(self, key: tuple[str, str | None], event: Event) -> bytes:
        if len(self._middles) >= _CACHE_LIMIT:
            self._middles.clear()
        channel, event_type, source = map(_encode, (channel_of(event), event.type, event.source))
        middle = b',"channel":%b,"eventType":%b,"source":%b,"data":' % (channel, event_type, source)
        self._middles[key] = middle
        return middle


def frame_of(kind: str, **fields: object) -> bytes:
    """A frame of ``kind`` with ``fields`` (anything msgspec encodes; ``None`` stays)."""
    return text_frame(_encode({"type": kind, **fields}))


def gap_frame(first_id: int, last_id: int, dropped: int) -> bytes:
    """This client was too slow for ``dropped`` events between these ids, both included."""
    fields = {"type": "gap", "from": first_id, "to": last_id, "dropped": dropped}
    return text_frame(_encode(fields))


def killswitch_frame(*, engaged: bool, data: bytes) -> bytes:
    """``killswitch_activated`` or ``killswitch_released``; ``data`` is JSON."""
    kind = "killswitch_activated" if engaged else "killswitch_released"
    return frame_of(kind, data=msgspec.Raw(data), timestamp=utc_now())


def connection_frame(*, instance: str, env: str, cursor: int) -> bytes:
    """The first frame of each connection."""
    return frame_of(
        "connection",
        status="connected",
        message="Connected to the event stream",
        timestamp=utc_now(),
        instance=instance,
        env=env,
        cursor=cursor,
    )


def subscribed_frame(types: Sequence[str], where: str | None = None) -> bytes:
    """The types this client gets from now on, and the filter of these, if there is one."""
    more = {} if where is None else {"where": where}
    return frame_of("subscribed", types=list(types), **more)


def error_frame(error: str, message: str) -> bytes:
    """The client sent an invalid request; the connection stays open."""
    return frame_of("error", error=error, message=message)


def pong_frame() -> bytes:
    """The answer to the action ``ping``."""
    return frame_of("pong", timestamp=utc_now())
