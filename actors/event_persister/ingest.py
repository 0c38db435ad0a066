"""From what was received to rows and events: the rules of the contract's part 1, once each (pure).

A ``Former`` knows the configured patterns and remembers channels; a ``Draft`` is a batch that has
no ids yet.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from ...agents.routing import redis_glob
from ...protocol.patterns import TypeMatcher
from ...sql.events.stream_position import StreamPosition
from ..canary import Canaries, is_canary_channel
from ..events import HEARTBEAT, HEARTBEAT_PREFIX, KILLSWITCH, REJECTED, Event, NewEvent, type_of
from ..journal.rows import join_rows, row_prefix
from ..messages.durable_stream import StreamItem
from ..messages.heartbeat_monitor import Canary
from ..payloads import MAX_PAYLOAD_BYTES, Cut, Envelope, examine, examine_in_turns, reject
from ..sources import Run
from .dedup import DurableCopies
from .echoes import EchoTable
from .sequence_gaps import Sequences

# New channels must not grow the table for ever; then it begins anew.
_CHANNELS = 10_000
# Nor by much: longer names are looked at anew each time.
_CHANNEL_BYTES = 2048

# No pattern: so what comes on a canary's channel leaves the common way, at no cost to that.
_CANARY = b"\0canary"

Reply = list[bytes]
"""``pmessage``, pattern, channel, payload: as hiredis hands it over."""


class Channel(msgspec.Struct, frozen=True):
    """What a channel's name decides."""

    pattern: bytes
    """The first configured pattern that matches: copies by others do not count."""
    name: str
    """Its name."""
    event_type: str
    """The stored type."""
    default_source: str | None
    """The source where the payload names none."""
    fault: str | None
    """Why nothing on it can be stored as it is, if so."""


class Draft:
    """Events of one batch before they have ids: lists of equal length."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.payloads: list[bytes] = []
        self.times: list[str] = []
        self.sources: list[str | None] = []
        self.prefixes: list[bytes] = []
        self.channels: dict[int, str] = {}
        """By place: channels of heartbeats whose source is not the channel's own."""
        self.payload_bytes = 0
        self.lanes: Counter[str] = Counter()
        """How many came by which lane."""
        self.rejected: Counter[str] = Counter()
        """How many were rejected, by reason (in words, without its detail)."""
        self.runs: list[Run] = []
        """By which lanes the events came, in order."""
        self.stream: StreamPosition | None = None
        """How far the durable stream is read with these, if any of them came from there."""
        self.aside: list[Canary | Event] = []
        """Not stored, but passed on: canaries, and durable stops that the stream will bring."""

    def __len__(self) -> int:
        return len(self.types)

    def truncate(self, length: int) -> None:
        """Forget what was added behind the first ``length`` events."""
        self.payload_bytes -= sum(map(len, self.payloads[length:]))
        for column in (self.types, self.payloads, self.times, self.sources, self.prefixes):
            del column[length:]
        self.channels = {at: name for at, name in self.channels.items() if at < length}

    def body(self) -> bytes:
        """The rows as the journal keeps them."""
        return join_rows(self.prefixes, self.payloads) if self.payloads else b""

    def events(self, ids: Iterable[int]) -> tuple[Event, ...]:
        """The events, with one id each."""
        made = map(Event, ids, self.types, self.payloads, self.times, self.sources)
        if not self.channels:
            return tuple(made)
        events = list(made)
        for at, channel in self.channels.items():
            events[at] = msgspec.structs.replace(events[at], channel=channel)
        return tuple(events)


class Former:
    """Turns replies and new events into drafts; remembers channels.

    Args:
        patterns: As subscribed to, in the order of the settings.
        echoes: What the daemon publishes itself.
        canaries: Recognises those.
    """

    def __init__(
        self, patterns: Sequence[str], echoes: EchoTable, canaries: Canaries | None = None
    ) -> None:
        self._matcher = TypeMatcher(patterns)
        self._echoes = echoes
        self._channels: dict[bytes, Channel] = {}
        self._prefixes: dict[tuple[str, str | None], bytes] = {}
        self._prefix_ts = ""
        self.echoed = 0
        """Echoes of our own that were left out."""
        self.copies = 0
        """Copies of messages that a pattern before had brought."""
        self.put_aside = 0
        """Canaries, and durable copies of which the other one counts."""
        self.durable = DurableCopies()
        self.sequences = Sequences()
        self._canaries = canaries
        self._examined: tuple[bytes, Envelope] | None = None

    def knows(self, payload: bytes) -> bool:
        """Whether ``payload`` need not be examined any more."""
        return self._examined is not None and self._examined[0] is payload

    def examine(self, payload: bytes, give_way: Callable[[], None]) -> None:
        """Examine a large payload before it is taken in; others have their turns meanwhile."""
        self._examined = (payload, examine_in_turns(payload, give_way))

    def add_replies(self, draft: Draft, replies: Sequence[Reply], ts: str, now: float) -> None:
        """Take in what one read of a socket brought.

        Args:
            draft: What they are added to.
            replies: As hiredis hands them over.
            ts: When they were read.
            now: Monotonic, for echoes.
        """
        channels = self._channels
        echoes = self._echoes
        for reply in replies:
            _kind, pattern, channel, payload = reply
            known = channels.get(channel) or self._learn(channel, pattern)
            if pattern != known.pattern:
                self._leave_out(draft, known, channel, payload)
            elif echoes and echoes.take(channel, payload, now):
                self.echoed += 1
            else:
                self._add(draft, known, payload, ts, heard_at=now)

    def add_item(self, draft: Draft, item: StreamItem, ts: str, now: float) -> None:
        """Take in what was read of the durable stream, as of ``ts`` and (monotonic) ``now``."""
        if item.event is not None:
            self.add_event(draft, item.event, ts)
            return
        known = self._channels.get(item.channel) or self._learn(item.channel, b"")
        fault = item.fault or known.fault
        if fault is None and self._matcher.first(known.name) is None:
            fault = "the channel matches no pattern"
        if fault is not None:
            self._add_rejected(draft, known, item.payload, ts, fault)
        else:
            self._add(draft, known, item.payload, ts, heard_at=now, item=item)

    def _leave_out(self, draft: Draft, known: Channel, channel: bytes, payload: bytes) -> None:
        if known.pattern is not _CANARY:
            self.copies += 1
            return
        self.put_aside += 1
        if self._canaries and (canary := self._canaries.read(channel, payload)):
            draft.aside.append(canary)

    def add_fault(self, draft: Draft, reply: object, ts: str) -> None:
        """Take in something that is no message at all: nothing is dropped in silence."""
        known = Channel(b"", "", REJECTED, None, "not a message of the bus")
        self._add_rejected(draft, known, repr(reply).encode(), ts, known.fault or "")

    def add_event(self, draft: Draft, event: NewEvent, ts: str) -> str | None:
        """Take in an event of the daemon's own, or a posted one; why it is rejected, if so."""
        known = Channel(b"", event.type, type_of(event.type), None, _fault(event.type))
        return self._add(draft, known, event.payload, ts, event.source)

    def add_stored(self, draft: Draft, event: Event) -> None:
        """Take in an event that was checked before: it gets another id."""
        self._append(draft, event.type, event.source, event.payload, event.ts)

    def _add(  # noqa: PLR0913 called for each event
        self,
        draft: Draft,
        known: Channel,
        payload: bytes,
        ts: str,
        source: str | None = None,
        *,
        heard_at: float | None = None,
        item: StreamItem | None = None,
    ) -> str | None:
        examined = self._examined
        if examined is not None and examined[0] is payload:
            self._examined = None
            envelope = examined[1]
        else:
            envelope = examine(payload)
        said, reason, marks = envelope
        if reason is not None or known.fault is not None:
            return self._add_rejected(draft, known, payload, ts, known.fault or reason or "")
        source = source or said or known.default_source
        if marks is not None and heard_at is not None:
            event = Event(0, known.event_type, payload, ts, source)
            if marks.durable is True and self._other_counts(draft, known, event, heard_at, item):
                self.put_aside += 1
                return None
            self.sequences.note(source, known.name, marks, ts, heard_at)
        if known.default_source is not None and source != known.default_source:
            draft.channels[len(draft)] = known.name
        self._append(draft, known.event_type, source, payload, ts)
        return None

    def _other_counts(
        self, draft: Draft, known: Channel, event: Event, now: float, item: StreamItem | None
    ) -> bool:
        """Whether the other copy of a durable message is the one that is stored."""
        channel = known.name.encode()
        if item is None:
            if event.type == KILLSWITCH:
                draft.aside.append(event)  # a stop engages whichever way it comes first
            self.durable.published(channel, event.payload, event.ts, now)
            return True
        if item.position is None:
            return False
        return not self.durable.streamed(channel, event.payload, now)

    def _add_rejected(
        self, draft: Draft, known: Channel, payload: bytes, ts: str, reason: str
    ) -> str:
        draft.rejected[reason.partition(":")[0]] += 1
        self._append(draft, REJECTED, None, reject(known.name, payload, reason), ts)
        return reason

    def _append(
        self, draft: Draft, event_type: str, source: str | None, payload: bytes, ts: str
    ) -> None:
        if ts != self._prefix_ts:
            self._prefix_ts = ts
            self._prefixes.clear()
        key = (event_type, source)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = self._prefixes[key] = row_prefix(event_type, source, ts)
        draft.types.append(event_type)
        draft.payloads.append(payload)
        draft.times.append(ts)
        draft.sources.append(source)
        draft.prefixes.append(prefix)
        draft.payload_bytes += len(payload)

    def _learn(self, channel: bytes, pattern: bytes) -> Channel:
        if len(self._channels) >= _CHANNELS:
            self._channels.clear()
        name = channel.decode(errors="replace")
        fault = _fault(name) if name.encode() == channel else "the channel is not UTF-8"
        if isinstance(channel, Cut):
            fault = f"the channel is larger than {MAX_PAYLOAD_BYTES} bytes"
        first = self._matcher.first(name)
        pattern = pattern if first is None else redis_glob(first).encode()
        known = Channel(
            _CANARY if is_canary_channel(name) else pattern,
            name,
            type_of(name),
            name.removeprefix(HEARTBEAT_PREFIX) or None if type_of(name) == HEARTBEAT else None,
            fault,
        )
        if len(channel) <= _CHANNEL_BYTES:
            self._channels[channel] = known
        return known


def _fault(name: str) -> str | None:
    """Why PostgreSQL could not keep ``name`` as a text, if so."""
    if "\x00" in name:
        return "the channel contains NUL"
    return None
