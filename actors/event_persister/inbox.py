"""Messages that the persister has received and that are not in a batch yet (pure).

It outlives the actor's runs: a message is here, or in a batch, or journalled, so none is lost or
counted twice when the actor fails in between. Messages of the control connection, and those to be
published, go first: a burst of prices never delays a stop.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import accumulate, takewhile
from typing import Final

from ...protocol.timestamps import utc_now
from ...runtime import DeferredReply
from ...sql.events.stream_position import StreamPosition
from ..messages.durable_stream import PersistStream, StreamItem
from ..messages.event_persister import PersistEvents, PersistReplies
from ..payloads import LARGE_BYTES
from ..sources import CONTROL, DAEMON, STREAM
from .batch import Draft, Request
from .dedup import Copy
from .ingest import Ingest

MAX_TURN_BYTES: Final = 1024 * 1024
"""Payloads of one batch: forming its rows takes some 5 ms at most."""

MAX_TURN_S: Final = 0.005
"""After this, no further slice is checked in this turn. Common payloads never take that long;
hostile ones take some ms per slice."""

# Checked together; small enough that one slice of the most hostile payloads takes a few ms.
_SLICE: Final = 64
_SLICE_BYTES: Final = 32 * 1024

Message = PersistReplies | PersistEvents | PersistStream


class _Pending:
    """A message, how much of it has been taken, and who expects an answer."""

    __slots__ = ("items", "message", "reply", "taken")

    def __init__(self, message: Message, reply: DeferredReply | None = None) -> None:
        self.message = message
        self.reply = reply
        self.taken = 0
        if isinstance(message, PersistReplies):
            self.items = len(message.replies)
        elif isinstance(message, PersistStream):
            self.items = len(message.items)
        else:
            self.items = len(message.events)

    @property
    def left(self) -> int:
        """Events not taken yet."""
        return self.items - self.taken

    @property
    def urgent(self) -> bool:
        """Whether it goes first."""
        if isinstance(self.message, PersistReplies):
            return self.message.connection == CONTROL
        return isinstance(self.message, PersistEvents) and self.message.publish

    def large(self, ingest: Ingest) -> bytes | None:
        """The next payload if it is large and was not examined yet."""
        if isinstance(self.message, PersistReplies):
            payload = self.message.replies[self.taken][-1]
            large = isinstance(payload, bytes) and len(payload) >= LARGE_BYTES
        elif isinstance(self.message, PersistStream):
            payload = self.message.items[self.taken].payload if self.left else b""
            large = len(payload) >= LARGE_BYTES
        else:
            event = self.message.events[0]
            payload = event.payload
            large = self.items == 1 and event.envelope is None and len(payload) >= LARGE_BYTES
        return payload if large and not ingest.knows(payload) else None


class Inbox:
    """Queues of messages, taken in turns of bounded size.

    What is read of the durable stream has a queue of its own, which can be paused: it is safe where
    it is.
    """

    def __init__(self) -> None:
        self.events = 0
        """Events pending."""
        self.received: Counter[str] = Counter()
        """Messages taken into batches, by source."""
        self.stream_end: StreamPosition | None = None
        """Where what was taken in of the durable stream ends; None: nothing is expected yet."""
        self.stream_read_at = 0.0
        """When that was known to be all of it, and all of that was taken into batches."""
        self._urgent: deque[_Pending] = deque()
        self._normal: deque[_Pending] = deque()
        self._stream: deque[_Pending] = deque()
        self._stream_first = False

    def __bool__(self) -> bool:
        return bool(self._urgent or self._normal or self._stream)

    def put(
        self, message: PersistReplies | PersistEvents, reply: DeferredReply | None = None
    ) -> None:
        """Append a message."""
        pending = _Pending(message, reply)
        (self._urgent if pending.urgent else self._normal).append(pending)
        self.events += pending.left

    def put_stream(self, message: PersistStream) -> bool:
        """Append what was read of the durable stream, unless something before it is missing."""
        if message.after != self.stream_end:
            return False
        self.stream_end = message.end
        self._stream.append(_Pending(message))
        self.events += len(message.items)
        return True

    def put_late(self, copy: Copy) -> None:
        """Append a published copy of what the durable stream did not bring."""
        item = StreamItem(None, copy.channel, copy.payload)
        self._stream.append(_Pending(PersistStream(StreamPosition(), copy.ts, (item,))))
        self.events += 1

    def put_due(self, ingest: Ingest, now: float) -> None:
        """Append what is certain by ``now``: gaps, and copies the stream does not bring."""
        for copy in ingest.durable.due(now, self.stream_read_at):
            self.put_late(copy)
        if gaps := ingest.sequences.due(now, self.stream_read_at):
            self.put(PersistEvents(tuple(gaps)))

    def discard(self) -> list[tuple[Message, int]]:
        """Give up everything but what the durable stream has: each message, and its events left."""
        rest = [(pending.message, pending.left) for pending in (*self._urgent, *self._normal)]
        self._urgent.clear()
        self._normal.clear()
        self.events -= sum(left for _message, left in rest)
        return rest

    def has_work(self, *, stream: bool) -> bool:
        """Whether anything is pending that can be taken now."""
        return bool(self._urgent or self._normal or (stream and self._stream))

    def examine_next(
        self, ingest: Ingest, give_way: Callable[[], None], *, stream: bool = True
    ) -> None:
        """Examine the payload that is next, if it is a large one; yields in between."""
        for queue in self._queues(stream=stream):
            if queue:
                payload = queue[0].large(ingest)
                if payload is not None:
                    ingest.examine(payload, give_way)
                return

    def take(self, ingest: Ingest, *, max_events: int, now: float, stream: bool = True) -> Draft:
        """Move what is pending into a draft, up to a bound (or one message that is larger).

        A large payload that was not examined yet ends it: see ``examine_next``.

        Args:
            ingest: Checks the payloads and forms the rows.
            max_events: The bound of their number.
            now: Monotonic, for echoes.
            stream: Whether the durable stream is not paused.
        """
        draft = Draft()
        until = time.perf_counter() + MAX_TURN_S
        queues = self._queues(stream=stream)
        self._stream_first = not self._stream_first  # neither can starve the other
        for queue in queues:
            while queue and len(draft.types) < max_events and draft.payload_bytes < MAX_TURN_BYTES:
                pending, room = queue[0], max_events - len(draft.types)
                late = bool(draft.types) and time.perf_counter() > until
                if late or pending.large(ingest) is not None:
                    return draft
                message = pending.message
                if isinstance(message, PersistReplies):
                    self._take_replies(draft, queue, message, ingest, min(room, _SLICE), now)
                elif isinstance(message, PersistStream):
                    self._take_items(draft, queue, message, ingest, min(room, _SLICE), now)
                elif draft.types and pending.left > room:
                    return draft
                else:
                    self._take_events(draft, queue, message, ingest, now)
        return draft

    def _queues(self, *, stream: bool) -> tuple[deque[_Pending], ...]:
        if not stream:
            return self._urgent, self._normal
        if self._stream_first:
            return self._urgent, self._stream, self._normal
        return self._urgent, self._normal, self._stream

    def _take_replies(  # noqa: PLR0913, PLR0917 called in one place
        self,
        draft: Draft,
        queue: deque[_Pending],
        message: PersistReplies,
        ingest: Ingest,
        room: int,
        now: float,
    ) -> None:
        start, source = queue[0].taken, message.connection
        replies = message.replies[start : start + room]
        replies = replies[: _within(len(reply[-1]) for reply in replies)]
        self._note_taken(queue, len(replies), source)
        ingest.add_replies(draft, source, replies, ts=message.ts, now=now)
        draft.end_run(source)

    def _take_items(  # noqa: PLR0913, PLR0917 called in one place
        self,
        draft: Draft,
        queue: deque[_Pending],
        message: PersistStream,
        ingest: Ingest,
        room: int,
        now: float,
    ) -> None:
        start = queue[0].taken
        items = message.items[start : start + room]
        items = items[: _within(len(item.payload) for item in items)]
        self._note_taken(queue, len(items), STREAM)
        if start + len(items) == len(message.items) and message.at_end:
            self.stream_read_at = message.at_end
        for item in items:
            ingest.add_item(draft, item, ts=message.ts, now=now)
        draft.end_run(STREAM)

    def _take_events(
        self,
        draft: Draft,
        queue: deque[_Pending],
        message: PersistEvents,
        ingest: Ingest,
        now: float,
    ) -> None:
        reply, start, ts = queue[0].reply, len(draft), utc_now()
        self._note_taken(queue, len(message.events), DAEMON)
        rejected = [ingest.add_event(draft, DAEMON, event, ts) for event in message.events]
        draft.end_run(DAEMON)
        draft.requests.append(Request(message, reply, start, rejected))
        if message.publish:
            for event in message.events:
                ingest.expected_echoes.expect(event.type.encode(), event.payload, now)

    def _note_taken(self, queue: deque[_Pending], count: int, source: str) -> None:
        """Before anything can go wrong with them: what fails must not be retried endlessly."""
        queue[0].taken += count
        if not queue[0].left:
            queue.popleft()
        self.events -= count
        self.received[source] += count


def _within(sizes: Iterable[int]) -> int:
    """How many of the first ones fit into a slice, one at least."""
    sums = accumulate(sizes)
    return max(1, sum(1 for _ in takewhile(lambda size: size <= _SLICE_BYTES, sums)))
