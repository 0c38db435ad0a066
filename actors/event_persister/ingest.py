"""From what was received to rows and events: the rules of the contract's part 1, once each (pure).

``Ingest`` knows the configured patterns and caches what channel names decide.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog

from ...agents.routing import redis_glob
from ...protocol.channels import is_private
from ...protocol.excerpt import excerpt
from ...protocol.patterns import TypeMatcher
from ...sql.events.stream_position import STREAM as STREAM_KEY
from ..canary import Canaries, is_canary_channel
from ..events import HEARTBEAT, HEARTBEAT_PREFIX, KILLSWITCH, REJECTED, Event, NewEvent, type_of
from ..journal.rows import row_prefix
from ..messages.durable_stream import StreamItem
from ..payloads import (
    MAX_NAME_BYTES,
    MAX_PAYLOAD_BYTES,
    Cut,
    Envelope,
    examine,
    examine_in_turns,
    is_long_name,
    reject,
)
from ..sources import STREAM
from .batch import Draft
from .dedup import DurableCopies, EchoTable
from .sequence_gaps import Sequences

# New channels must not grow the cache without bound; then it starts over.
_CHANNELS: Final = 10_000
# Nor by much: longer names are not cached.
_CHANNEL_BYTES: Final = 2048

# No pattern: so what is no event (canaries, answers) leaves the common path, at no cost to that.
_PRIVATE: Final = b"\0private"
_NO_MESSAGE: Final = "not a message of the bus"

_log = structlog.get_logger(actor="EventPersister")

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


class Ingest:
    """Adds replies, stream items and new events to drafts.

    Args:
        patterns: As subscribed to, in the order of the settings.
        canaries: Recognises those.
    """

    def __init__(self, patterns: Sequence[str], canaries: Canaries | None = None) -> None:
        self.copies: Counter[str] = Counter()
        """Left out: copies of messages that a pattern before had brought, by source."""
        self.echoes: Counter[str] = Counter()
        """Left out: echoes of our own, by source."""
        self.aside: Counter[str] = Counter()
        """Left out: canaries, answers, durable copies whose other one is stored, by source."""
        self.expected_echoes = EchoTable()
        self.durable = DurableCopies()
        self.sequences = Sequences()
        self._matcher = TypeMatcher(patterns)
        self._channels: dict[bytes, Channel] = {}
        self._prefixes: dict[tuple[str, str | None], bytes] = {}
        self._prefix_ts = ""
        self._canaries = canaries
        self._examined: tuple[bytes, Envelope] | None = None

    def knows(self, payload: bytes) -> bool:
        """Whether ``payload`` is the one examined last."""
        return self._examined is not None and self._examined[0] is payload

    def examine(self, payload: bytes, give_way: Callable[[], None]) -> None:
        """Examine a large payload before it is taken in; yields in between."""
        self._examined = (payload, examine_in_turns(payload, give_way))

    def add_replies(
        self, draft: Draft, source: str, replies: Sequence[Reply], *, ts: str, now: float
    ) -> None:
        """Take in what one read of a socket brought; what is no message becomes ``bus.rejected``.

        Args:
            draft: What they are added to.
            source: The connection.
            replies: As hiredis hands them over.
            ts: When they were read.
            now: Monotonic, for echoes.
        """
        channels, types, echoes = self._channels, draft.types, self.expected_echoes
        for reply in replies:
            length = len(types)
            try:
                _kind, pattern, channel, payload = reply
                known = channels.get(channel) or self._learn(channel, pattern)
                if pattern != known.pattern:
                    self._leave_out(draft, source, known, channel, payload)
                elif channel in echoes.channels and echoes.take(channel, payload, now):
                    self.echoes[source] += 1
                else:
                    self._add(draft, source, known, payload, ts, heard_at=now)
            except Exception:  # noqa: BLE001 the border of one item of a batch
                _log.exception("not a message of the bus", reply=excerpt(reply))
                draft.truncate(length)
                self._add_no_message(draft, reply, ts)

    def add_item(self, draft: Draft, item: StreamItem, *, ts: str, now: float) -> None:
        """Take in what was read of the durable stream, as of ``ts`` and (monotonic) ``now``."""
        length = len(draft)
        try:
            self._add_item(draft, item, ts, now)
        except Exception:  # noqa: BLE001 the border of one item of a batch
            _log.exception("not an entry of the stream", entry=excerpt(item))
            draft.truncate(length)
            self._add_no_message(draft, item, ts)
        draft.stream = item.position or draft.stream

    def add_event(self, draft: Draft, source: str, event: NewEvent, ts: str) -> str | None:
        """Take in an event that the daemon made or that was posted.

        Returns:
            Why it became a ``bus.rejected``, if so.
        """
        known = Channel(b"", event.type, type_of(event.type), None, _fault(event.type))
        if event.envelope is not None:
            self._examined = (event.payload, event.envelope)
        return self._add(draft, source, known, event.payload, ts, event.source)

    def add_stored(self, draft: Draft, event: Event) -> None:
        """Take in an event that was checked before: it gets another id."""
        self._append(draft, event.type, event.source, event.payload, event.ts)

    def _add_item(self, draft: Draft, item: StreamItem, ts: str, now: float) -> None:
        if item.event is not None:
            self.add_event(draft, STREAM, item.event, ts)
            return
        known = self._channels.get(item.channel) or self._learn(item.channel, b"")
        at, fault = len(draft), item.fault or known.fault
        if fault is None and (known.pattern is _PRIVATE or not self._matcher.first(known.name)):
            fault = "the channel matches no pattern"
        if fault is not None:
            self._add_rejected(draft, known.name, item.payload, ts, fault)
        elif self._is_echo(item, now):
            self.echoes[STREAM] += 1  # stored before: it might not have come this way
        else:
            self._add(draft, STREAM, known, item.payload, ts, heard_at=now, item=item)
        if known.event_type == KILLSWITCH and item.position is not None and len(draft) > at:
            draft.channels[at] = STREAM_KEY

    def _is_echo(self, item: StreamItem, now: float) -> bool:
        expected = self.expected_echoes
        return item.channel in expected.channels and expected.take(item.channel, item.payload, now)

    def _leave_out(
        self, draft: Draft, source: str, known: Channel, channel: bytes, payload: bytes
    ) -> None:
        if known.pattern is not _PRIVATE:
            self.copies[source] += 1
            return
        self.aside[source] += 1
        if self._canaries and (canary := self._canaries.read(source, channel, payload)):
            draft.aside.append(canary)

    def _add_no_message(self, draft: Draft, received: object, ts: str) -> None:
        self._add_rejected(draft, "", repr(received).encode(), ts, _NO_MESSAGE)

    def _add(  # noqa: PLR0913, PLR0917 called for each event
        self,
        draft: Draft,
        source: str,
        known: Channel,
        payload: bytes,
        ts: str,
        publisher: str | None = None,
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
        marks, fault = envelope.marks, known.fault or envelope.reason
        if fault is not None:
            return self._add_rejected(draft, known.name, payload, ts, fault)
        publisher = publisher or envelope.source or known.default_source
        if marks is not None and heard_at is not None:
            event = Event(0, known.event_type, payload, ts, publisher)
            if marks.durable is True and self._other_counts(draft, known, event, heard_at, item):
                self.aside[source] += 1
                return None
            self.sequences.note(publisher, known.name, marks, ts, heard_at)
        if known.default_source is not None and publisher != known.default_source:
            draft.channels[len(draft.types)] = known.name
        self._append(draft, known.event_type, publisher, payload, ts)
        return None

    def _other_counts(
        self, draft: Draft, known: Channel, event: Event, now: float, item: StreamItem | None
    ) -> bool:
        """Whether the other copy of a durable message is the one that is stored."""
        channel = known.name.encode()
        if item is None:
            if event.type == KILLSWITCH:
                draft.aside.append(event)  # a stop engages by whichever copy comes first
            self.durable.published(channel, event.payload, event.ts, now)
            return True
        if item.position is None:
            return False
        return not self.durable.streamed(channel, event.payload, now)

    def _add_rejected(self, draft: Draft, name: str, payload: bytes, ts: str, reason: str) -> str:
        self._append(draft, REJECTED, None, reject(name, payload, reason), ts)
        draft.rejected += 1
        return reason

    def _append(
        self, draft: Draft, event_type: str, publisher: str | None, payload: bytes, ts: str
    ) -> None:
        if ts != self._prefix_ts:
            self._prefix_ts = ts
            self._prefixes.clear()
        key = (event_type, publisher)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = self._prefixes[key] = row_prefix(event_type, publisher, ts)
        draft.types.append(event_type)
        draft.payloads.append(payload)
        draft.times.append(ts)
        draft.sources.append(publisher)
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
            _PRIVATE if is_canary_channel(name) or is_private(name) else pattern,
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
    if is_long_name(name):
        return f"the channel is longer than {MAX_NAME_BYTES} bytes"
    return None
