"""The event stream's WebSocket: its upgrade, and what its clients are told and may ask.

How frames come and go is the channel's affair (``websocket_channel.py``).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from websockets.datastructures import Headers as HandshakeHeaders
from websockets.http11 import Request as HandshakeRequest
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from ..actors.clients import ALL_TYPES, Client, ClientRegistry
from ..actors.frames import connection_frame, error_frame, pong_frame, subscribed_frame
from .access import SUBPROTOCOL
from .errors import ApiError, BadRequest
from .frame_reader import Message
from .frame_shapes import Ping, Subscribe
from .peers import Instance
from .requests import Environ
from .settings import WebSocketSettings
from .websocket_channel import Channel, Readable

MAX_TYPES: Final = 100
MAX_TYPE_LENGTH: Final = 200

_SWITCHING: Final = 101

_decode_action = msgspec.json.Decoder(Subscribe | Ping).decode


class Handshake:
    """Checks an upgrade request and holds what was agreed.

    Raises:
        BadRequest: It is no proper WebSocket handshake (RFC 6455, section 4.2.1).
    """

    def __init__(self, environ: Environ, settings: WebSocketSettings) -> None:  # noqa: ARG002 what may be agreed depends on them
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


def _bearer_only(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Browsers fail unless one of what they offered is taken; others are left as they were."""
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


class Connection:
    """One client, from the upgrade to the end; the session of its channel.

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
        self._registry = registry
        self._instance = instance
        self._cursor = cursor
        self._client = Client(settings.queue_bytes, self._wake, handshake.types)
        self._client.close = self.close
        self._channel = Channel(
            self, sock=sock, reader=reader, buffer=self._client.buffer, settings=settings
        )

    def run(self) -> None:
        """Serve until it ends; blocks the caller's greenlet."""
        self._channel.run()

    def close(self, code: int, reason: str) -> None:
        """Begin to close; does not wait. The peer has 2 s to answer."""
        self._channel.close(code, reason)

    # -- what the channel tells --------------------------------------------------------------

    def opened(self) -> None:
        """Greet, and attach to what is shown from now on."""
        newest = self._registry.newest_id
        known = self._cursor() if newest is None else newest
        self._registry.attach(self._client)
        cursor = self._registry.newest_id if self._registry.newest_id is not None else known
        name, env = self._instance.name, self._instance.env
        self._client.urge(connection_frame(instance=name, env=env, cursor=cursor))
        if self._handshake.since:
            said = "Resuming by since is not available yet: read /bus/events?since=… instead."
            self._client.urge(error_frame("since_unavailable", said))

    def received(self, message: Message) -> None:
        """Do what a message asks for, or tell what may be asked."""
        try:
            action = _decode_action(message.data)
            if isinstance(action, Subscribe):
                self._subscribe(check_types(action.types))
            else:
                self._client.urge(pong_frame())
        except (msgspec.DecodeError, RecursionError) as error:
            self._client.urge(error_frame("bad_message", _advice(error)))
        except ApiError as error:
            self._client.urge(error_frame("bad_message", error.message))

    def closing(self) -> None:
        """Show this client no more events."""
        self._registry.detach(self._client)

    def ended(self, code: int) -> None:
        """Forget the client, and count how it went."""
        self._registry.forget(self._client, code)

    # -- parts -------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._channel.wake()

    def _subscribe(self, types: tuple[str, ...]) -> None:
        self._registry.subscribe(self._client, types)
        self._client.urge(subscribed_frame(types))


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
