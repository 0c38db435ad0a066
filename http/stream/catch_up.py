"""From a client's last event to the present: every event once, in order, or a reported gap.

The missed events are read stretch by stretch, each when the one before has been sent, so a client
far behind costs no more memory than any other and is served as fast as it reads. Once nothing is
missing below the live events, the client is attached after the last event that it got.
"""

import time
from dataclasses import dataclass, field
from typing import Final

import gevent
import structlog
from gevent.event import Event as Signal
from websockets.frames import CloseCode

from ...actors.broadcaster.clients import Client, Clients
from ...actors.broadcaster.frames import connection_frame, error_frame
from ...actors.broadcaster.send_buffer import Chunk
from ...runtime import OrchestratorError, give_way
from ...sql.errors import StoreError
from ..peers import Instance, Peers
from ..settings import WebSocketSettings
from .deflate import Deflater
from .feed_query import TOO_MANY_WHERES
from .past_events import NotReadable, PastEvents

_RETRY_S: Final = 0.25

_log = structlog.get_logger(actor="http")


@dataclass(frozen=True, slots=True)
class Feeds:
    """What all clients of the event feed share."""

    registry: Clients
    """Where they attach."""
    past: PastEvents
    """What they may have missed."""
    settings: WebSocketSettings
    """Section ``[websocket]``."""
    instance: Instance
    """For the greeting."""
    deflater: Deflater = field(init=False)
    """Compresses frames, for clients that negotiated it."""

    def __post_init__(self) -> None:
        deflater = Deflater(self.settings.compression_from_bytes, self.registry.compressed)
        object.__setattr__(self, "deflater", deflater)

    @classmethod
    def of(cls, peers: Peers, settings: WebSocketSettings) -> "Feeds":
        """Build it from the daemon's parts."""
        past = PastEvents(peers.persister, peers.database, peers.clients)
        return cls(peers.clients, past, settings, peers.instance)

    def newest_id(self) -> int:
        """The newest id sent, else the newest known; 0 if unknown."""
        if self.registry.newest_id is not None:
            return self.registry.newest_id
        known = self.past.known_id()
        return self.registry.newest_id or known


class Feed:
    """The events of one client: a greeting, what it missed, then live events.

    Args:
        feeds: What all share.
        client: Its place must have been reserved.
        since: The last event that it has; ``None``: live events only.
    """

    def __init__(self, feeds: Feeds, client: Client, since: int | None) -> None:
        self._feeds = feeds
        self._client = client
        self._since = since
        self._catch_up: CatchUp | None = None

    def open(self) -> None:
        """Greet and begin; blocks for the persister (1 s at most) until the first live event."""
        feeds, client = self._feeds, self._client
        cursor = feeds.newest_id()
        name, env = feeds.instance.name, feeds.instance.env
        greeting = connection_frame(instance=name, env=env, cursor=cursor)
        if not feeds.registry.may_filter_by(client.where):  # connected at once with others
            client.urge(greeting)
            client.urge(error_frame("too_many_filters", TOO_MANY_WHERES))
            if client.close is not None:
                client.close(CloseCode.TRY_AGAIN_LATER, "too many filters")
            return
        if self._since is None:
            feeds.registry.attach(client, after=cursor)
            client.urge(greeting, cursor)
            return
        client.urge(greeting, self._since)
        self._catch_up = CatchUp(feeds, client, self._since)
        greenlet = gevent.spawn(self._catch_up.run)
        greenlet.name = "http-catch-up"

    def close(self) -> None:
        """Stop; does not block."""
        if self._catch_up is not None:
            self._catch_up.stop()
        self._feeds.registry.detach(self._client)


class CatchUp:
    """Brings one client to the present, in a greenlet of its own, and ends then.

    Args:
        feeds: What all share.
        client: Not attached.
        since: The last event that it has.
    """

    def __init__(self, feeds: Feeds, client: Client, since: int) -> None:
        self._registry = feeds.registry
        self._past = feeds.past
        self._wait_s = feeds.settings.catch_up_wait_s
        self._client = client
        self._since = since
        self._behind = self._registry.leave_behind(client, since)
        self._over = Signal()
        self._wake = Signal()
        self._waiting_since: float | None = None
        client.buffer.on_room = self._wake.set

    def stop(self) -> None:
        """End early, for a client that disconnects; does not block."""
        self._over.set()
        self._wake.set()

    def run(self) -> None:
        """Run until the client is attached or gone."""
        if not self._is_ahead():
            self._follow()
        self._client.buffer.on_room = None

    # -- parts ---------------------------------------------------------------------------------

    def _is_ahead(self) -> bool:
        """Attach a client whose cursor is ahead of all events, with an error; whether it was."""
        newest = self._registry.newest_id
        while (newest is None or newest < self._since) and not self._over.is_set():
            try:
                newest = self._past.newest_id(self._since)
                break
            except (OrchestratorError, StoreError):
                self._pause()
        if newest is None or newest >= self._since or self._over.is_set():
            return False
        text = f"There is no event {self._since}: the newest one is {newest}. From now on events "
        text += "come live; read the others again from an id of this daemon's."
        self._client.urge(error_frame("cursor_ahead", text), newest)
        self._registry.attach(self._client, after=newest)
        return True

    def _follow(self) -> None:
        complete = False
        while not self._over.is_set():
            # Does not yield between the check and attaching.
            if self._is_current(complete=complete):
                self._registry.attach(self._client, after=self._behind.position)
                return
            if self._client.buffer.size_bytes:
                self._wait_for_room()
            else:
                complete = self._read_on()

    def _is_current(self, *, complete: bool) -> bool:
        passed = self._registry.passed_id
        return complete if passed is None else self._behind.position >= passed

    def _read_on(self) -> bool:
        """Send the next stretch; returns whether it is the last."""
        before, client = self._behind.position, self._client
        self._behind.begin()
        try:
            stretch = self._past.after(before, client.types, client.wire, client.where)
        except NotReadable as error:
            self._behind.reach(before)
            self._do_without(error.through)
            return False
        except OrchestratorError as error:
            self._behind.reach(before)
            _log.debug("resuming client has to wait", reason=str(error))
            self._pause()
            return False
        self._waiting_since = None
        with self._past.turns:
            if not self._over.is_set():
                self._give(stretch.chunk, stretch.through)
            give_way()
        return stretch.through == before

    def _give(self, chunk: Chunk | None, through: int) -> None:
        if chunk is not None:
            self._client.buffer.add(chunk)
            self._registry.frames_sent += chunk.frames if chunk.data else 0
        for replaced in self._behind.reach(through):
            self._client.buffer.add(replaced)
        self._client.wake()

    def _do_without(self, through: int | None) -> None:
        """Wait for events that are not readable; after ``catch_up_wait_s`` skip them as a gap."""
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        if through is None or now - self._waiting_since < self._wait_s:
            self._pause()
            return
        before = self._behind.position
        _log.warning("client resumed with a gap", after=before, through=through)
        # An upper bound: it is unknown how many of these match its filter.
        self._give(Chunk(b"", before + 1, through, through - before), through)

    def _pause(self) -> None:
        self._over.wait(_RETRY_S)

    def _wait_for_room(self) -> None:
        """Wait until the last stretch has been sent."""
        while self._client.buffer.size_bytes and not self._over.is_set():
            self._wake.clear()
            self._wake.wait()
