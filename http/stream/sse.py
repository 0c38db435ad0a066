"""``/events/stream``: the event feed as Server-Sent Events, for clients without WebSocket.

The same frames, filters and guarantees: a client that reconnects with the last id it has seen
(``Last-Event-ID``, which browsers send by themselves) gets everything after it.
"""

from contextlib import suppress
from typing import Any, Final

import gevent
import msgspec
import structlog
from gevent.event import Event as Signal
from websockets.frames import CloseCode

from ...actors.broadcaster.clients import Client
from ...actors.broadcaster.frames import SSE_CONTENT_TYPE, SSE_KEEP_ALIVE, sse_message
from ...runtime import give_way
from ..api.schemas import EventId
from ..errors import Unavailable, UpgradeRequired
from ..requests import Call, Environ, read_value
from ..routes import Answer, Route
from .catch_up import Feed, Feeds
from .feed_query import EventStreamQuery, check_room
from .sender import Stalled, send_all, set_socket_options
from .transport import Readable

RETRY_MS: Final = 2_000
"""How long browsers wait before they reconnect."""

# A client has nothing to send after its request; one that does is disconnected.
_MAX_EXTRA_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 4 * 1024


class EventStreamHeaders(msgspec.Struct, frozen=True):
    """The headers that ``/events/stream`` reads."""

    last_event_id: EventId | None = msgspec.field(name="Last-Event-ID", default=None)
    """As `since`, and goes before it: the last id that the client has seen. Browsers send it by
    themselves when they reconnect."""


class SseRoutes:
    """The feed over Server-Sent Events."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds

    @Route(
        "GET",
        "/events/stream",
        {200: SSE_CONTENT_TYPE},
        query=EventStreamQuery,
        headers=EventStreamHeaders,
        endless=True,
    )
    def stream(self, call: Call) -> Answer:
        """Events as they come (Server-Sent Events).

        The WebSocket's frames as Server-Sent Events: the first is `connection`, then one event a
        message. A message's `id` is the event's; a browser that reconnects sends it as
        `Last-Event-ID`, and gets everything after it, in order, then the live events. What cannot
        be delivered is reported in a `gap` message. `error` `cursor_ahead`: there is no such event.
        """
        query: EventStreamQuery = call.query
        types, where = query.patterns, query.filter
        since = _last_event_id(call.environ)
        if since is None:
            since = query.since
        headers = (("Cache-Control", "no-store, no-transform"), ("X-Accel-Buffering", "no"))
        if call.environ["REQUEST_METHOD"] == "HEAD":
            return Answer(b"", content_type=SSE_CONTENT_TYPE, headers=headers)
        check_room(self._feeds.registry, where)
        if not self._feeds.registry.reserve():
            raise Unavailable("Too many clients; try again.", retry_after_s=5)
        stream = SseFeed(self._feeds, types, where, since)
        return Answer(b"", content_type=SSE_CONTENT_TYPE, headers=headers, stream=stream)

    @Route("GET", "/ws", {}, documented=False)
    def websocket(self, _call: Call) -> Answer:
        """The WebSocket's other address, for a call that does not ask for one."""
        headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
        raise UpgradeRequired("Open it as a WebSocket.", headers=headers)


class SseFeed:
    """One client, from its request to the end.

    Args:
        feeds: What all share; a place in its registry must have been reserved.
        types: The patterns it wants.
        where: The filter of what it wants of these.
        since: The last event that it has; ``None``: live events only.
    """

    def __init__(
        self, feeds: Feeds, types: tuple[str, ...], where: str | None, since: int | None
    ) -> None:
        self._registry = feeds.registry
        self._settings = feeds.settings
        self._wake = Signal()
        self._ending: CloseCode | None = None
        limit_bytes = feeds.settings.queue_bytes
        self._client = Client(limit_bytes, self._wake.set, types, sse_message, where)
        self._client.close = self.end
        self._feed = Feed(feeds, self._client, since)
        self._has_place = True

    def end(self, code: int, reason: str) -> None:  # noqa: ARG002 as for WebSockets; SSE has no close frame
        """Begin to end; does not block. Pending frames are still sent."""
        if self._ending is None:
            self._ending = CloseCode(code)
            self._feed.close()
            self._wake.set()

    def close(self) -> None:
        """Release the reserved place; idempotent."""
        if self._has_place:
            self._has_place = False
            self._registry.free()

    def run(self, sock: Any, reader: Readable) -> None:
        """Serve until it ends; blocks the caller's greenlet."""
        set_socket_options(sock, self._settings)
        listener = gevent.spawn(self._listen, reader)
        listener.name = "event-stream-listener"
        try:
            self._client.buffer.add_urgent(b"retry: %d\n\n" % RETRY_MS)
            self._feed.open()
            self._send_until_end(sock)
        except Stalled:
            self.end(CloseCode.TRY_AGAIN_LATER, "too slow")
            structlog.get_logger(actor="http").warning("SSE client is not reading")
        except OSError:
            self.end(CloseCode.NORMAL_CLOSURE, "gone")
        finally:
            self._feed.close()
            self._registry.forget(self._client, self._ending or CloseCode.NORMAL_CLOSURE)
            listener.kill()  # it must not use the socket after that is closed

    def _listen(self, reader: Readable) -> None:
        """Discard what the client sends until it disconnects."""
        size = 0
        with suppress(OSError, ValueError):
            while (data := reader.read1(_READ_BYTES)) and size < _MAX_EXTRA_BYTES:
                size += len(data)
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
    """``Last-Event-ID``; ``None`` without it.

    Raises:
        BadRequest: It is not an id.
    """
    given = str(environ.get("HTTP_LAST_EVENT_ID", ""))
    return read_value(given, EventId, "Last-Event-ID") if given else None
