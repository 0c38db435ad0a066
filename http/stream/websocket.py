"""The event feed's WebSocket: its upgrade, and the messages in both directions.

Frames are the business of ``transport.py``.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from websockets.datastructures import Headers as HandshakeHeaders
from websockets.http11 import Request as HandshakeRequest
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ...actors.broadcaster.clients import Client
from ...actors.broadcaster.frames import as_is, error_frame, pong_frame, subscribed_frame
from ..api.event_routes import check_where
from ..auth import SUBPROTOCOL
from ..docs.feed_messages import Ping, Subscribe
from ..errors import ApiError, BadRequest
from ..requests import Environ, read_query
from ..settings import WebSocketSettings
from .catch_up import Feed, Feeds
from .deflate import MessageInflater, extensions_of
from .feed_query import EventStreamQuery, check_room, check_types
from .frame_reader import Message
from .sender import set_socket_options
from .transport import Readable, Transport

# What we send is JSON, whether a client says so or not.
_SUBPROTOCOLS: Final = (Subprotocol(SUBPROTOCOL), Subprotocol("json"))
_SWITCHING: Final = 101
# Of a decoder's fault, which quotes the message.
_QUOTED_CHARS: Final = 200

_decode_action = msgspec.json.Decoder(Subscribe | Ping).decode


class Handshake:
    """Checks an upgrade request and holds what was agreed.

    Raises:
        BadRequest: It is no valid WebSocket handshake (RFC 6455, section 4.2.1).
    """

    def __init__(self, environ: Environ, settings: WebSocketSettings) -> None:
        if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
            raise BadRequest("A WebSocket begins with HTTP/1.1.")
        request = HandshakeRequest(str(environ.get("PATH_INFO", "/")), _headers_of(environ))
        # A token offered as the second protocol is checked in auth.py; it is never echoed.
        extensions = extensions_of(compression=settings.compression)
        handshake = ServerProtocol(select_subprotocol=_known_one, extensions=extensions)
        response = handshake.accept(request)
        if response.status_code != _SWITCHING:
            reason = handshake.handshake_exc
            raise BadRequest(f"This is no WebSocket handshake: {reason}.")
        self.headers = [(name, value) for name, value in response.headers.raw_items()]
        self.compressed = bool(handshake.extensions)
        query = read_query(environ, EventStreamQuery)
        self.types, self.where, self.since = query.patterns, query.filter, query.since


def _known_one(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Browsers fail unless one of the offered is selected; other clients get none."""
    return next((one for one in _SUBPROTOCOLS if one in offered), None)


class Connection:
    """One client, from the upgrade to the end; the session of its transport.

    Args:
        handshake: What was agreed.
        sock: The gevent socket.
        reader: Reads from that socket.
        feeds: What all share; a place in its registry must have been reserved.
    """

    def __init__(self, handshake: Handshake, *, sock: Any, reader: Readable, feeds: Feeds) -> None:
        settings = feeds.settings
        set_socket_options(sock, settings)
        self._registry = feeds.registry
        wire = feeds.deflater if handshake.compressed else as_is
        types, where = handshake.types, handshake.where
        self._client = Client(settings.queue_bytes, self._wake, types, wire, where)
        self._feed = Feed(feeds, self._client, handshake.since)
        self._client.close = self.close
        self._transport = Transport(
            self,
            sock=sock,
            reader=reader,
            buffer=self._client.buffer,
            settings=settings,
            inflater=MessageInflater() if handshake.compressed else None,
        )

    def run(self) -> None:
        """Serve until it ends; blocks the caller's greenlet."""
        self._transport.run()

    def close(self, code: int, reason: str) -> None:
        """Begin to close; does not block. The peer has ``close_timeout_s`` to answer."""
        self._transport.close(code, reason)

    # -- called by the transport ---------------------------------------------------------------

    def opened(self) -> None:
        """Greet the client and start its feed."""
        self._feed.open()

    def received(self, message: Message) -> None:
        """Handle a message; answers an invalid one with what is valid."""
        try:
            action = _decode_action(message.data)
            if isinstance(action, Subscribe):
                self._subscribe(check_types(action.types), action.where)
            else:
                self._client.urge(pong_frame())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._client.urge(error_frame("bad_message", _advice(error)))
        except ApiError as error:
            self._client.urge(error_frame("bad_message", error.message))

    def closing(self) -> None:
        """Stop the feed."""
        self._feed.close()

    def ended(self, code: int) -> None:
        """Remove the client, and count its close code."""
        self._feed.close()
        self._registry.forget(self._client, code)

    # -- parts -------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._transport.wake()

    def _subscribe(self, types: tuple[str, ...], where: str | None) -> None:
        check_where(where)
        check_room(self._registry, where)
        self._registry.subscribe(self._client, types, where)
        self._client.urge(subscribed_frame(types, where))


def _headers_of(environ: Environ) -> HandshakeHeaders:
    headers = HandshakeHeaders()
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            headers[key[5:].replace("_", "-").title()] = str(value)
    return headers


def _advice(error: Exception) -> str:
    actions = '{"action":"subscribe","types":["risk.*"]} or {"action":"ping"}'
    return f"Send {actions} ({str(error)[:_QUOTED_CHARS]})."
