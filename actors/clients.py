"""The WebSocket clients: what waits for each, and who wants what.

Pure but for the wake-up calls. The registry belongs to no incarnation of the Broadcaster: made
once, it is shared with the HTTP server, whose connections attach to it and send what they find.
Clients with the same filter form a group; frames are joined once a group, not once a client.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from .events import (
    HEARTBEAT,
    HEARTBEAT_PREFIX,
    Event,
    EventReplaced,
    EventsJournalled,
    TypeMatcher,
)
from .frames import gap_frame

ALL_TYPES: Final = ("*",)

# One send holds up urgent frames for as long as it takes: some ms even on a slow link.
SEND_BYTES: Final = 256 * 1024

# A joined piece is dropped as a whole, so it must be small beside a client's queue.
CHUNK_BYTES: Final = 64 * 1024

# The state of this many agents may wait for a client; of one agent only the newest does.
_MAX_STATUSES: Final = 1000


class Chunk(NamedTuple):
    """Frames of neighbouring events, joined; many clients share one."""

    data: bytes
    """As they go on the wire."""
    first_id: int
    """The lowest id in it."""
    last_id: int
    """The highest id in it."""
    frames: int
    """How many."""


class SendBuffer:
    """What waits for one client, in at most ``limit_bytes``.

    Urgent frames (and replies to the client's own) go first and are not counted: there are few, or
    the reader stops reading. When events do not fit, the oldest go, and the client is told the
    range. Of an agent's state only the newest waits.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.urgent_bytes = 0
        self.dropped = 0
        """Events this client did not get, in all."""
        self._urgent: deque[bytes] = deque()
        self._chunks: deque[Chunk] = deque()
        self._statuses: dict[str, bytes] = {}
        self._gap: Chunk | None = None

    def __bool__(self) -> bool:
        return bool(self._urgent or self._chunks or self._statuses or self._gap)

    def add(self, chunk: Chunk) -> None:
        """Queue events; the oldest make room. One that is too large by itself waits alone."""
        while self._chunks and self.size_bytes + len(chunk.data) > self.limit_bytes:
            self._drop(self._chunks.popleft())
        self._chunks.append(chunk)
        self.size_bytes += len(chunk.data)

    def add_urgent(self, frame: bytes) -> None:
        """Queue a frame before everything but other urgent ones."""
        self._urgent.append(frame)
        self.urgent_bytes += len(frame)

    def add_status(self, agent_id: str, frame: bytes) -> None:
        """Queue an agent's state in the place of an older one."""
        self._statuses.pop(agent_id, None)
        if len(self._statuses) >= _MAX_STATUSES:
            del self._statuses[next(iter(self._statuses))]
        self._statuses[agent_id] = frame

    def take(self, limit_bytes: int = SEND_BYTES) -> bytes:
        """What to send now, in one call; empty if nothing waits."""
        parts = list(self._urgent)
        size = self.urgent_bytes
        self._urgent.clear()
        self.urgent_bytes = 0
        if self._gap is not None:
            parts.append(gap_frame(self._gap.first_id, self._gap.last_id, self._gap.frames))
            self._gap = None
        while self._chunks and (not size or size + len(self._chunks[0].data) <= limit_bytes):
            data = self._chunks.popleft().data
            parts.append(data)
            size += len(data)
            self.size_bytes -= len(data)
        if not self._chunks:
            parts += self._statuses.values()
            self._statuses.clear()
        return b"".join(parts)

    def forget_events(self) -> None:
        """Let go of everything that is not urgent: this client is being closed."""
        while self._chunks:
            self._drop(self._chunks.popleft())
        self._statuses.clear()
        self._gap = None

    def note_gap(self, first_id: int, last_id: int, frames: int) -> None:
        """Remember that this client will not get ``frames`` events, and tell it next."""
        self.dropped += frames
        if self._gap is not None:
            first_id, last_id = min(self._gap.first_id, first_id), max(self._gap.last_id, last_id)
            frames += self._gap.frames
        self._gap = Chunk(b"", first_id, last_id, frames)

    def _drop(self, chunk: Chunk) -> None:
        self.size_bytes -= len(chunk.data)
        self.note_gap(chunk.first_id, chunk.last_id, chunk.frames)


class Client:
    """One connection, as the registry sees it.

    Args:
        limit_bytes: What may wait for it.
        wake: Called when something waits; must not wait itself.
        types: The patterns it wants.
    """

    def __init__(
        self, limit_bytes: int, wake: Callable[[], None], types: tuple[str, ...] = ALL_TYPES
    ) -> None:
        self.buffer = SendBuffer(limit_bytes)
        self.wake = wake
        self.types = types
        self.close: Callable[[int, str], None] | None = None
        """Ends the connection with a code and a reason; set by its owner, must not wait."""

    def urge(self, frame: bytes) -> None:
        """Send ``frame`` next."""
        self.buffer.add_urgent(frame)
        self.wake()


class _Group:
    """Clients that want the same, and the frames they will get at the next flush."""

    def __init__(self, types: tuple[str, ...]) -> None:
        self.clients: set[Client] = set()
        self._wants_all = "*" in types
        self._match_type = TypeMatcher(types)
        beats = [name for name in types if name.startswith(HEARTBEAT_PREFIX)]
        self._match_source = TypeMatcher(name.removeprefix(HEARTBEAT_PREFIX) for name in beats)
        self._frames: list[bytes] = []
        self._ids: list[int] = []
        self._bytes = 0

    def wants(self, event: Event) -> bool:
        if self._wants_all or self._match_type(event.type):
            return True
        source = event.source
        return event.type == HEARTBEAT and source is not None and self._match_source(source)

    def add(self, event_id: int, frame: bytes) -> None:
        self._frames.append(frame)
        self._ids.append(event_id)
        self._bytes += len(frame)
        if self._bytes >= CHUNK_BYTES:
            self.join()

    def join(self) -> None:
        """Turn the frames so far into one chunk for everybody in the group."""
        if not self._frames:
            return
        ids = self._ids
        chunk = Chunk(b"".join(self._frames), min(ids), max(ids), len(ids))
        self._frames, self._ids, self._bytes = [], [], 0
        for client in self.clients:
            client.buffer.add(chunk)

    def wake(self) -> None:
        for client in self.clients:
            if client.buffer:
                client.wake()


class ClientRegistry:
    """All clients, by what they want.

    Args:
        max_clients: How many there may be.
    """

    def __init__(self, max_clients: int = 1000) -> None:
        self.max_clients = max_clients
        self.newest_id: int | None = None
        """The newest id that was passed to clients; a client attached now gets all above it."""
        self.replaced = 0
        """How many events were replaced; what was read before may be out of date then."""
        self.frames_sent = 0
        self.dropped_before = 0
        """Events that clients now gone did not get."""
        self.closed: Counter[int] = Counter()
        """Connections that ended, by close code."""
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._reserved = 0

    def __len__(self) -> int:
        return sum(len(group.clients) for group in self._groups.values())

    def __iter__(self) -> Iterator[Client]:
        for group in list(self._groups.values()):
            yield from list(group.clients)

    @property
    def filters(self) -> int:
        """How many different filters there are."""
        return len(self._groups)

    @property
    def dropped(self) -> int:
        """Events that slow clients did not get, in all."""
        return self.dropped_before + sum(client.buffer.dropped for client in self)

    @property
    def places_taken(self) -> int:
        """Clients that are here, coming or going."""
        return self._reserved

    def reserve(self) -> bool:
        """Take a place for a client that is about to come; say whether there was one."""
        if self._reserved >= self.max_clients:
            return False
        self._reserved += 1
        return True

    def free(self) -> None:
        """Give back a reserved place."""
        self._reserved -= 1

    def attach(self, client: Client) -> None:
        """From now on ``client`` gets what it wants, and nothing from before."""
        group = self._groups.get(client.types)
        if group is None:
            group = self._groups[client.types] = _Group(client.types)
        group.join()
        group.clients.add(client)

    def detach(self, client: Client) -> None:
        """Forget ``client``; harmless if it is not attached."""
        group = self._groups.get(client.types)
        if group is None or client not in group.clients:
            return
        group.join()
        group.clients.discard(client)
        if not group.clients:
            del self._groups[client.types]

    def subscribe(self, client: Client, types: tuple[str, ...]) -> None:
        """Change what ``client`` wants; what was meant for it before still comes."""
        self.detach(client)
        client.types = types
        self.attach(client)

    def forget(self, client: Client, code: int) -> None:
        """``client`` has gone with ``code``: detach it and keep its counts."""
        self.detach(client)
        self.dropped_before += client.buffer.dropped
        self.closed[code] += 1

    # -- for the Broadcaster -----------------------------------------------------------------

    def publish(self, events: Iterable[Event], build: Callable[[Event], bytes]) -> None:
        """Hand ``events`` to the groups; each frame is built once, if anybody wants it."""
        groups = list(self._groups.values())
        if not groups:
            return
        for event in events:
            frame: bytes | None = None
            for group in groups:
                if group.wants(event):
                    frame = frame or build(event)
                    group.add(event.id, frame)
                    self.frames_sent += len(group.clients)

    def missed(self, message: object) -> None:
        """The Broadcaster's mailbox was full and gave up ``message``: tell the clients.

        Meant for ``Mailbox(on_drop=...)``.
        """
        if isinstance(message, EventsJournalled):
            events = message.events
            for group in self._groups.values():
                wanted = sum(map(group.wants, events))
                for client in group.clients if wanted else ():
                    client.buffer.note_gap(events[0].id, events[-1].id, wanted)
        elif isinstance(message, EventReplaced):
            self.replaced += 1

    def saw(self, newest_id: int) -> None:
        """Remember the newest id that was passed on."""
        if self.newest_id is None or newest_id > self.newest_id:
            self.newest_id = newest_id

    def flush(self) -> None:
        """Join what the groups hold and wake those for whom something waits."""
        for group in list(self._groups.values()):
            group.join()
            group.wake()

    def urge(self, frame: bytes) -> None:
        """Send ``frame`` to everybody, past filters and queues."""
        for client in self:
            client.urge(frame)

    def show_status(self, agent_id: str, frame: bytes) -> None:
        """Queue an agent's state for everybody; the next flush sends it."""
        for client in self:
            client.buffer.add_status(agent_id, frame)
