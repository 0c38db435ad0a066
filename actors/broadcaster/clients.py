"""The clients of the event stream: which there are, what each wants, and from which event on.

Pure but for the wake-up calls. Made once and shared with the HTTP server, whose connections attach
to it and send what is in their buffers; so it outlives the Broadcaster's crashes. Clients with the
same filter and encoding form a group; frames are joined once per group, not once per client.

A client that resumes is *behind* at first: it reads what it missed from memory and PostgreSQL, and
of what is shown it gets only urgent frames, agents' states, and corrections of what it has read.
Then it is attached after the last event that it read. If the Broadcaster has not come that far yet,
the client is *ahead*: it is in no group, and joins one exactly after that event.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Final

from ...protocol.where import Subject
from ...protocol.where import where as compiled_where
from ..event_query import subject_of, type_test
from ..events import Event
from ..messages.events import EventReplaced, EventsJournalled
from .frames import Wire, as_is
from .send_buffer import Chunk, SendBuffer

ALL_TYPES: Final = ("*",)

COMPARISON_MATCHES: Final = 6
"""What one comparison of a filter costs at most, in matches of a pattern: some 3 µs."""
MAX_WHERES: Final = 64
"""Different filters (`where`) at a time: each is tested on every event that its types admit."""

# A joined chunk is dropped as a whole, so it must be small compared with a client's buffer.
CHUNK_BYTES: Final = 64 * 1024

_id_of = attrgetter("id")
_second = itemgetter(1)


class Behind:
    """How far a client has come that is reading what it missed.

    An event can be replaced while it is being read; it is unknown then which of the two was read,
    so the client gets the new one once more, after it.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        """Everything it wants up to this id is in its buffer."""
        self._reading = False
        self._replaced: list[Chunk] = []

    def begin(self) -> None:
        """More is being read."""
        self._reading = True

    def reach(self, position: int) -> list[Chunk]:
        """Everything up to ``position`` is in the buffer; returns what has to follow it there."""
        self.position = position
        self._reading = False
        replaced, self._replaced = self._replaced, []
        return [chunk for chunk in replaced if chunk.last_id <= position]

    def must_know(self, chunk: Chunk) -> bool:
        """Whether a replaced event must be shown now; kept if it may have to be later."""
        if chunk.last_id <= self.position:
            return True
        if self._reading:
            self._replaced.append(chunk)
        return False


class Client:
    """One connection: its filter, its encoding and its buffer.

    Args:
        limit_bytes: Of its buffer.
        wake: Called when something is pending; must not block.
        types: The patterns it wants.
        wire: The encoding of its frames.
        where: The filter of what it wants of these.
    """

    def __init__(
        self,
        limit_bytes: int,
        wake: Callable[[], None],
        types: tuple[str, ...] = ALL_TYPES,
        wire: Wire = as_is,
        where: str | None = None,
    ) -> None:
        self.buffer = SendBuffer(limit_bytes, wire)
        self.wake = wake
        self.types = types
        self.where = where
        self.wire = wire
        self.close: Callable[[int, str], None] | None = None
        """Closes the connection with a code and a reason; set by its owner, must not block."""

    def urge(self, frame: bytes, event_id: int | None = None) -> None:
        """Send ``frame`` next; ``event_id`` is where to resume from then on."""
        self.buffer.add_urgent(self.wire(frame, event_id))
        self.wake()

    @property
    def key(self) -> "_Key":
        """Clients with the same one are a group."""
        return self.types, self.where, self.wire

    def wants(self, event: Event) -> bool:
        """Whether it wants an event; a group knows that faster."""
        if not type_test(self.types)(event):
            return False
        return self.where is None or compiled_where(self.where)(subject_of(event))


_Key = tuple[tuple[str, ...], str | None, Wire]


class _Group:
    """Clients with the same filter, and the frames they get at the next flush."""

    def __init__(self, types: tuple[str, ...], where: str | None, wire: Wire) -> None:
        self.clients: set[Client] = set()
        self.where = None if where is None else compiled_where(where)
        self._wire = wire
        self._wants_all = "*" in types
        self._is_wanted = type_test(types)
        self._frames: list[bytes] = []
        self._ids: list[int] = []
        self._bytes = 0

    def wants(self, event: Event, subject: Subject | None = None) -> bool:
        if not (self._wants_all or self._is_wanted(event)):
            return False
        return self.where is None or self.where(subject or subject_of(event))

    def add(self, event_id: int, frame: bytes, *, replaces: bool = False) -> None:
        # A client must not resume from a replaced event: what came after it has been seen.
        frame = self._wire(frame, None if replaces else event_id)
        self._frames.append(frame)
        self._ids.append(event_id)
        self._bytes += len(frame)
        if self._bytes >= CHUNK_BYTES:
            self.join()

    def join(self) -> None:
        """Turn the frames so far into one chunk for every client in the group."""
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


@dataclass(slots=True)
class Compressed:
    """Effect of compression since the daemon's start."""

    frames: int = 0
    """Frames that were compressed, each once for all clients."""
    bytes_before: int = 0
    """Their size before."""
    bytes_after: int = 0
    """Their size as sent; never larger."""


class Clients:
    """All clients, by their filters.

    Args:
        max_clients: How many there may be.
    """

    def __init__(self, max_clients: int = 1000) -> None:
        self.max_clients = max_clients
        self.newest_id: int | None = None
        """The newest id that was queued for clients; a client attached now gets all above it."""
        self.replaced = 0
        """Events replaced; a change means that what was read before may be out of date."""
        self.frames_sent = 0
        self.compressed = Compressed()
        """Outlives the HTTP servers that compress."""
        self.dropped_before = 0
        """Events that clients now disconnected did not get."""
        self.closed: Counter[int] = Counter()
        """Connections that ended, by close code."""
        self._groups: dict[_Key, _Group] = {}
        self._ahead: dict[Client, int] = {}
        self._behind: dict[Client, Behind] = {}
        self._given_up_id = 0
        self._reserved = 0

    def __len__(self) -> int:
        attached = sum(len(group.clients) for group in self._groups.values())
        return attached + len(self._ahead) + len(self._behind)

    def __iter__(self) -> Iterator[Client]:
        for group in list(self._groups.values()):
            yield from list(group.clients)
        yield from list(self._ahead)
        yield from list(self._behind)

    @property
    def matches_per_event(self) -> int:
        """What one event costs, in matches of a pattern: each comparison counts for several."""
        terms = sum(group.where.terms for group in self._groups.values() if group.where)
        return len(self._groups) + COMPARISON_MATCHES * terms

    @property
    def passed_id(self) -> int | None:
        """Everything above this id is still to be shown; None before the first event."""
        if self.newest_id is None:
            return self._given_up_id or None
        return max(self.newest_id, self._given_up_id)

    @property
    def dropped(self) -> int:
        """Events that slow clients did not get, in total."""
        return self.dropped_before + sum(client.buffer.dropped for client in self)

    @property
    def places_taken(self) -> int:
        """Clients connected, connecting or closing."""
        return self._reserved

    def reserve(self) -> bool:
        """Take a place for a client that is connecting; returns whether one was free."""
        if self._reserved >= self.max_clients:
            return False
        self._reserved += 1
        return True

    def free(self) -> None:
        """Give back a reserved place."""
        self._reserved -= 1

    def leave_behind(self, client: Client, position: int) -> Behind:
        """Until it is attached, ``client`` reads by itself what came after ``position``."""
        behind = self._behind[client] = Behind(position)
        return behind

    def attach(self, client: Client, *, after: int | None = None) -> None:
        """From now on ``client`` gets what it wants, and nothing older.

        Args:
            client: Not attached.
            after: It has everything up to this id, which may be ahead of what is shown so far.
        """
        self._behind.pop(client, None)
        if after is not None and (self.newest_id is None or after > self.newest_id):
            self._ahead[client] = after
            return
        key = client.key
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(*key)
        group.join()
        group.clients.add(client)

    def detach(self, client: Client) -> None:
        """Remove ``client``; harmless if it is not attached."""
        self._ahead.pop(client, None)
        self._behind.pop(client, None)
        key = client.key
        group = self._groups.get(key)
        if group is None or client not in group.clients:
            return
        group.join()
        group.clients.discard(client)
        if not group.clients:
            del self._groups[key]

    def may_filter_by(self, where: str | None) -> bool:
        """Whether there is room for one more client with this filter."""
        in_force = {client.where for client in self} - {None}
        return where is None or where in in_force or len(in_force) < MAX_WHERES

    def subscribe(self, client: Client, types: tuple[str, ...], where: str | None = None) -> None:
        """Change what ``client`` wants; what is queued for it already still comes."""
        if client in self._ahead or client in self._behind:
            client.types, client.where = types, where
            return
        self.detach(client)
        client.types, client.where = types, where
        self.attach(client)

    def forget(self, client: Client, code: int) -> None:
        """``client`` was closed with ``code``: detach it and keep its counts."""
        self.detach(client)
        self.dropped_before += client.buffer.dropped
        self.closed[code] += 1

    # -- for the Broadcaster -----------------------------------------------------------------

    def publish(self, events: Sequence[Event], build: Callable[[Event], bytes]) -> None:
        """Queue ``events`` for the groups; each frame is built once, if any client wants it.

        Args:
            events: With ascending ids, all above those before.
            build: Makes a frame.
        """
        for client, after in sorted(self._ahead.items(), key=_second) if self._ahead else ():
            if after >= events[-1].id:
                break
            cut = bisect_right(events, after, key=_id_of)
            self._show(events[:cut], build)
            events = events[cut:]
            del self._ahead[client]
            self.attach(client)
        self._show(events, build)

    def _show(self, events: Sequence[Event], build: Callable[[Event], bytes]) -> None:
        groups = list(self._groups.values())
        if not groups:
            return
        filtering = any(group.where is not None for group in groups)
        for event in events:
            frame: bytes | None = None
            subject = subject_of(event) if filtering else None  # decoded once for all
            for group in groups:
                if group.wants(event, subject):
                    frame = frame or build(event)
                    group.add(event.id, frame)
                    self.frames_sent += len(group.clients)

    def correct(self, event: Event, frame: bytes) -> None:
        """``event`` has replaced another one; ``frame`` says so."""
        self.replaced += 1
        for group in list(self._groups.values()):
            if group.wants(event):
                group.add(event.id, frame, replaces=True)
                self.frames_sent += len(group.clients)
        for client in (*self._ahead, *self._behind):
            if client.wants(event):
                self._correct_one(client, Chunk(client.wire(frame, None), event.id, event.id, 1))

    def note_foreign(self) -> None:
        """Another program has written events: what was read before may be out of date."""
        self.replaced += 1

    def _correct_one(self, client: Client, chunk: Chunk) -> None:
        behind = self._behind.get(client)
        if behind is None or behind.must_know(chunk):
            client.buffer.add(chunk)
            client.wake()

    def missed(self, message: object) -> None:
        """The Broadcaster's full mailbox dropped ``message``: queue a gap for the clients.

        Those that are behind read it from memory all the same. For ``Mailbox(on_drop=...)``.
        """
        if isinstance(message, EventsJournalled):
            events = message.events
            self._given_up_id = max(self._given_up_id, events[-1].id)
            for group in self._groups.values():
                wanted = sum(map(group.wants, events))
                group.join()
                for client in group.clients if wanted else ():
                    client.buffer.note_gap(events[0].id, events[-1].id, wanted)
            for client, after in self._ahead.items():
                rest = events[bisect_right(events, after, key=_id_of) :]
                if wanted := sum(map(client.wants, rest)):
                    client.buffer.note_gap(rest[0].id, rest[-1].id, wanted)
        elif isinstance(message, EventReplaced):
            self.replaced += 1
            event_id = message.event.id
            for client in self:
                if client.wants(message.event):
                    self._correct_one(client, Chunk(b"", event_id, event_id, 1))

    def saw(self, newest_id: int) -> None:
        """Note the newest id that was queued."""
        if self.newest_id is None or newest_id > self.newest_id:
            self.newest_id = newest_id

    def flush(self) -> None:
        """Join what the groups hold and wake the clients with something pending."""
        for group in list(self._groups.values()):
            group.join()
            group.wake()

    def urge(self, frame: bytes) -> None:
        """Send ``frame`` to every client, past filters and buffers."""
        for client in self:
            client.urge(frame)

    def show_status(self, agent_id: str, frame: bytes) -> None:
        """Queue an agent's state for every client; the next flush sends it."""
        for client in self:
            client.buffer.add_status(agent_id, client.wire(frame, None))
