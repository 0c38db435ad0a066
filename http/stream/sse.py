"""``/events/stream``: the event stream as Server-Sent Events, for those who cannot do WebSocket.

The same frames, the same filters and the same promises: a client that comes back with the last id
it has seen (``Last-Event-ID``, which browsers send by themselves) is given everything behind it.
"""

from contextlib import suppress
from typing import Annotated, Any, Final

import gevent
import msgspec
import structlog
from gevent.event import Event as Signal
from msgspec import Meta
from websockets.frames import CloseCode

from ...actors.broadcaster.clients import Client
from ...actors.broadcaster.frames import SSE_CONTENT_TYPE, SSE_KEEP_ALIVE, sse_message
from ...runtime import give_way
from ..api.schemas import EventId
from ..errors import Unavailable
from ..requests import Call, Environ
from ..routes import Answer, Route
from .catch_up import Feed, Streams
from .channel import Readable
from .sender import Stalled, bound, send_all
from .websocket import check_types, parse_id

RETRY_MS: Final = 2_000
"""How long browsers wait before they connect again."""

# A client has nothing to say after its request; one that goes on talking is let go.
_MAX_TALK_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 4 * 1024


class EventStreamQuery(msgspec.Struct, frozen=True):
    """The query of ``/events/stream``."""

    types: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    """Only events of these types, comma-separated; `*` matches any run of characters."""
    type: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    """The same; may repeat."""
    since: EventId | None = None
    """First every event after this id, in order, then the live ones. `Last-Event-ID` goes before
    it."""


class EventStreamHeaders(msgspec.Struct, frozen=True):
    """The headers that ``/events/stream`` reads."""

    last_event_id: EventId | None = msgspec.field(name="Last-Event-ID", default=None)
    """As `since`, and goes before it: the last id that the client has seen. Browsers send it by
    themselves when they connect again."""


class EventStreamRoutes:
    """The route."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def routes(self) -> list[Route]:
        """The route."""
        return [
            Route(
                "GET",
                "/events/stream",
                self.stream,
                "Events as they come (Server-Sent Events)",
                {200: SSE_CONTENT_TYPE},
                query=EventStreamQuery,
                headers=EventStreamHeaders,
                endless=True,
                errors=(503,),
            )
        ]

    def stream(self, call: Call) -> Answer:
        """Takes a place among the clients, which the stream gives back at its end."""
        query: EventStreamQuery = call.query
        several = [one for text in query.types for one in text.split(",")]
        types = check_types([*several, *query.type])
        since = _last_event_id(call.environ)
        if since is None:
            since = query.since
        headers = (("Cache-Control", "no-store, no-transform"), ("X-Accel-Buffering", "no"))
        if call.environ["REQUEST_METHOD"] == "HEAD":
            return Answer(b"", content_type=SSE_CONTENT_TYPE, headers=headers)
        if not self._streams.registry.reserve():
            raise Unavailable("There are too many clients; try again.", retry_after_s=5)
        stream = EventStream(self._streams, types, since)
        return Answer(b"", content_type=SSE_CONTENT_TYPE, headers=headers, stream=stream)


class EventStream:
    """One client, from its request to the end.

    Args:
        streams: What all share; a place in its registry must have been reserved.
        types: The patterns it wants.
        since: The last event that it has; None: it wants none from before.
    """

    def __init__(self, streams: Streams, types: tuple[str, ...], since: int | None) -> None:
        self._registry = streams.registry
        self._settings = streams.settings
        self._wake = Signal()
        self._ending: CloseCode | None = None
        self._client = Client(streams.settings.queue_bytes, self._wake.set, types, sse_message)
        self._client.close = self.end
        self._feed = Feed(streams, self._client, since)
        self._has_place = True

    def end(self, code: int, reason: str) -> None:  # noqa: ARG002 as for WebSockets; nobody could be told
        """Begin to end; does not wait. What waits is still sent."""
        if self._ending is None:
            self._ending = CloseCode(code)
            self._feed.close()
            self._wake.set()

    def close(self) -> None:
        """Give back the place; twice is no harm."""
        if self._has_place:
            self._has_place = False
            self._registry.free()

    def run(self, sock: Any, reader: Readable) -> None:
        """Serve until it ends; blocks the caller's greenlet."""
        bound(sock, self._settings)
        listener = gevent.spawn(self._listen, reader)
        listener.name = "event-stream-listener"
        try:
            self._client.buffer.add_urgent(b"retry: %d\n\n" % RETRY_MS)
            self._feed.open()
            self._send_until_end(sock)
        except Stalled:
            self.end(CloseCode.TRY_AGAIN_LATER, "too slow")
            structlog.get_logger(actor="http").warning("event stream client takes nothing")
        except OSError:
            self.end(CloseCode.NORMAL_CLOSURE, "gone")
        finally:
            self._feed.close()
            self._registry.forget(self._client, self._ending or CloseCode.NORMAL_CLOSURE)
            listener.kill()  # it must have let go of the socket before that is closed

    def _listen(self, reader: Readable) -> None:
        """Until the client goes; what it says is read and forgotten."""
        said = 0
        with suppress(OSError, ValueError):
            while (data := reader.read1(_READ_BYTES)) and said < _MAX_TALK_BYTES:
                said += len(data)
                give_way()
        self.end(CloseCode.NORMAL_CLOSURE, "gone")

    def _send_until_end(self, sock: Any) -> None:
        limit_s = self._settings.send_timeout_s
        while True:
            self._wake.clear()
            data = self._client.buffer.take()
            if not data and self._ending is not None:
                return
            if data:
                send_all(sock, data, limit_s)
            elif not self._wake.wait(self._settings.ping_interval_s / 2):
                send_all(sock, SSE_KEEP_ALIVE, limit_s)


def _last_event_id(environ: Environ) -> int | None:
    """Where the client was, by its own word.

    Raises:
        BadRequest: It is no id.
    """
    given = str(environ.get("HTTP_LAST_EVENT_ID", "")).strip()
    if not given:
        return None
    return parse_id(given, "Last-Event-ID")
