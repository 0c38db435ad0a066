"""The event feed: live over the daemon's WebSocket, earlier events over REST.

The live stream is opened first; events up to its first cursor are read over REST. Ids decide, so
none is missed in between and none comes twice. What the daemon dropped (`gap`), and what was stored
while the connection was down, is fetched by id as well.
"""

import json
import random
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlunsplit

from ..errors import ExitCode, Failure
from ..filters import Filter
from .pages import Event, Pages
from .rest import Answer, Client, cause_of, refusal, split_url, unix_socket
from .tls import refusal_of

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

MAX_FRAME_BYTES = 8 * 1024 * 1024
"""A payload may have 1 MiB, which JSON escapes can lengthen sixfold."""
RECONNECT_LIMIT_S = 300.0
"""A daemon that is down for longer will not come back by itself."""
FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0
CLOSE_LIMIT_S = 1.0


class LinkLost(Exception):
    """The WebSocket ended."""


@dataclass(frozen=True)
class Start:
    """Where the feed starts."""

    after: int | None = None
    """After this id."""
    last: int = 0
    """With this many of the latest events."""
    from_begin: bool = False
    """With the first event at or after the filter's `begin`."""


class Link:
    """One WebSocket to the daemon, opened by the constructor.

    Args:
        client: address, token and TLS.
        wanted: which events.
        timeout_s: for the handshake and the first frame.

    Raises:
        Failure: it cannot be opened.
    """

    def __init__(self, client: Client, wanted: Filter, timeout_s: float) -> None:
        self._closing = ExitStack()
        self._socket = _connected(client, wanted, timeout_s, self._closing)
        try:
            first = self.frame(timeout_s)
        except LinkLost as error:
            raise _no_link(client, error) from error
        if first is None or first.get("type") != "connection":
            self.close()
            raise _no_link(client, "it did not greet")
        self.cursor = int(first.get("cursor") or 0)
        """The newest id when the stream began."""

    def frame(self, timeout_s: float | None) -> dict[str, Any] | None:
        """The next frame; None after ``timeout_s``.

        Raises:
            LinkLost: the connection is closed.
        """
        from websockets.exceptions import ConnectionClosed

        try:
            frame = json.loads(self._socket.recv(timeout=timeout_s))
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise LinkLost(str(error)) from error
        except ValueError:
            return {}
        return frame if isinstance(frame, dict) else {}

    def close(self) -> None:
        """Say good-bye, within a second."""
        self._closing.close()


class Feed:
    """The events that a filter admits, from a start on, without end.

    Args:
        client: the way to the daemon.
        wanted: which events.
        timeout_s: for each answer.
        note: called with messages about the connection.
        on_stop: called for each killswitch frame, whatever the filter.
    """

    def __init__(
        self,
        client: Client,
        wanted: Filter,
        *,
        timeout_s: float,
        note: Callable[[str], None],
        on_stop: Callable[[dict[str, Any]], None],
    ) -> None:
        self._client = client
        self._wanted = wanted
        self._timeout_s = timeout_s
        self._note = note
        self._on_stop = on_stop
        self._pages = Pages(client, note)
        self._position = 0
        self._link: Link | None = None

    def events(self, start: Start, *, idle_s: float | None = None) -> Iterator[Event]:
        """Events in ascending order of id, the stored ones first.

        Ends when nothing came for ``idle_s``, or with the stored ones if the filter has an `end`;
        otherwise never.

        Raises:
            Failure: the daemon is unreachable.
        """
        link = self._opened()
        try:
            yield from self._backlog(start, link.cursor)
            if self._wanted.end is not None:
                return
            self._position = max(self._position, link.cursor)
            yield from self._live(idle_s)
        finally:
            self.close()

    def close(self) -> None:
        """Close the link."""
        if self._link is not None:
            with suppress(OSError):
                self._link.close()
            self._link = None

    def _opened(self) -> Link:
        self._link = Link(self._client, self._wanted, self._timeout_s)
        return self._link

    def _backlog(self, start: Start, cursor: int) -> Iterator[Event]:
        if start.last:
            yield from self._pages.latest(start.last, self._wanted, up_to=cursor)
        elif start.after is not None or start.from_begin:
            yield from self._pages.between(start.after or 0, cursor, self._wanted)
            self._position = max(self._position, start.after or 0)

    def _live(self, idle_s: float | None) -> Iterator[Event]:
        heard = time.monotonic()
        while True:
            left_s = None if idle_s is None else max(0.0, heard + idle_s - time.monotonic())
            try:
                frame = self._frame(left_s)
            except LinkLost as error:
                yield from self._reconnected(error)
                continue
            if frame is None:
                return
            for event in self._read(frame):
                heard = time.monotonic()
                yield event

    def _frame(self, timeout_s: float | None) -> dict[str, Any] | None:
        if self._link is None:
            raise LinkLost("closed")
        return self._link.frame(timeout_s)

    def _read(self, frame: dict[str, Any]) -> Iterator[Event]:
        kind = frame.get("type")
        if kind == "redis_event":
            yield from self._read_event(frame)
        elif kind == "gap":
            self._note(f"behind the live stream: fetching {frame.get('dropped')} events")
            yield from self._fetched(int(frame["to"]), after=int(frame["from"]) - 1)
        elif kind in ("killswitch_activated", "killswitch_released"):
            self._on_stop(frame)
        elif kind == "error":
            self._note(f"the daemon says: {frame.get('message') or frame.get('error')}")

    def _read_event(self, frame: dict[str, Any]) -> Iterator[Event]:
        event = event_of(frame)
        if event["id"] <= self._position and not event.get("replaces"):
            return
        self._position = max(self._position, event["id"])
        yield event

    def _fetched(self, up_to: int, *, after: int) -> Iterator[Event]:
        yield from self._pages.between(max(after, self._position), up_to, self._wanted)
        self._position = max(self._position, up_to)

    def _reconnected(self, why: LinkLost) -> Iterator[Event]:
        """Reconnect with backoff, and fetch missed events."""
        self.close()
        self._note(f"connection lost ({why}): reconnecting")
        end = time.monotonic() + RECONNECT_LIMIT_S
        backoff_s = FIRST_BACKOFF_S
        while True:
            time.sleep(backoff_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
            backoff_s = min(LONGEST_BACKOFF_S, backoff_s * 2)
            try:
                link = self._opened()
            except Failure as failure:
                if time.monotonic() > end or failure.exit_code != ExitCode.UNREACHABLE:
                    raise
                continue
            self._note("reconnected")
            break
        yield from self._fetched(link.cursor, after=self._position)


def event_of(frame: dict[str, Any]) -> Event:
    """A frame's event, in the shape that REST gives."""
    event = {
        "id": frame["id"],
        "type": frame.get("eventType"),
        "payload": frame.get("data"),
        "ts": frame.get("timestamp"),
        "source": frame.get("source"),
    }
    return event | ({"replaces": True} if frame.get("replaces") else {})


def _connected(
    client: Client, wanted: Filter, timeout_s: float, closing: ExitStack
) -> "ClientConnection":
    from websockets.exceptions import InvalidHandshake, InvalidStatus
    from websockets.sync.client import connect

    place = split_url(client.url)
    scheme = "wss" if place.scheme == "https" else "ws"
    asked = {"types": ",".join(wanted.types), "where": wanted.whole}
    query = urlencode({name: text for name, text in asked.items() if text})
    path = place.path.rstrip("/") + "/ws"
    address = place._replace(scheme=scheme, path=path, query=query).geturl()
    try:
        sock = None
        if place.scheme == "unix":
            sock = unix_socket(place.path, timeout_s)
            address = urlunsplit(("ws", "localhost", "/ws", query, ""))
        connection = connect(
            address,
            sock=sock,
            ssl=client.tls_context(),
            additional_headers=client.headers(),
            open_timeout=timeout_s,
            close_timeout=CLOSE_LIMIT_S,
            max_size=MAX_FRAME_BYTES,
            proxy=None,
        )
        return closing.enter_context(connection)
    except InvalidStatus as error:
        raise _refused(client, error.response.status_code, error.response.body) from error
    except ssl.SSLError as error:
        raise refusal_of(error, client.url) from error
    except (OSError, InvalidHandshake) as error:
        raise _no_link(client, error) from error


def _refused(client: Client, status: int, content: bytes | bytearray | None) -> Failure:
    try:
        body = json.loads(content or b"{}")
    except ValueError:
        body = {}
    if status < 400 or not isinstance(body, dict):  # noqa: PLR2004 - HTTP's
        return _no_link(client, f"HTTP {status}")
    return refusal(Answer(status, body, 0.0, None))


def _no_link(client: Client, why: BaseException | str) -> Failure:
    return Failure(
        f"cannot open the live stream of {client.url}",
        code="unreachable",
        cause=why if isinstance(why, str) else cause_of(why),
        advice="start the daemon with `orchestrator run`, or name another with --url",
        exit_code=ExitCode.UNREACHABLE,
    )
