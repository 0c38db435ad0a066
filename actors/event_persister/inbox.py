"""What was told to the persister and is not in a batch yet (pure).

It outlives incarnations, so that a message is either here, or in a batch, or journalled: none is
lost and none counts twice when the actor fails in between. Two lanes: the control connection and
what is to be published go first, so that a burst of prices never delays a stop.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import accumulate, takewhile
from typing import Final

import structlog

from ...runtime import DeferredReply
from ...sql.events.stream_position import StreamPosition
from ..events import utc_now
from ..messages.durable_stream import PersistStream, StreamItem
from ..messages.event_persister import PersistEvents, PersistReplies
from ..sources import Run, append_run
from .dedup import Copy
from .ingest import Draft, Former, Reply

MAX_TURN_BYTES: Final = 1024 * 1024
"""Payloads of one batch: forming its rows takes some 5 ms at most."""

MAX_TURN_S: Final = 0.005
"""So long payloads are checked in one go, and one slice longer: common ones never take that long,
hostile ones some ms per slice."""

LARGE_BYTES: Final = 16 * 1024
"""From here on a payload is examined before it is taken in, while others have their turns."""

CONTROL: Final = "control"
STREAM: Final = "stream"
DAEMON: Final = "daemon"
# Looked at together; small enough that one slice of the most hostile payloads takes a few ms.
_SLICE: Final = 64
_SLICE_BYTES: Final = 32 * 1024

_log = structlog.get_logger(actor="EventPersister")


Message = PersistReplies | PersistEvents | PersistStream


class Waiting:
    """A message, how far it has been taken, and who waits for an answer."""

    __slots__ = ("message", "reply", "taken")

    def __init__(self, message: Message, reply: DeferredReply | None = None) -> None:
        self.message = message
        self.reply = reply
        self.taken = 0

    @property
    def urgent(self) -> bool:
        """Whether it goes first."""
        if isinstance(self.message, PersistReplies):
            return self.message.lane == CONTROL
        return isinstance(self.message, PersistEvents) and self.message.publish

    def large(self, former: Former) -> bytes | None:
        """The next payload if it is large and was not examined yet."""
        if isinstance(self.message, PersistReplies):
            payload = self.message.replies[self.taken][-1]
            large = isinstance(payload, bytes) and len(payload) >= LARGE_BYTES
        elif isinstance(self.message, PersistStream):
            payload = self.message.items[self.taken].payload if self.left else b""
            large = len(payload) >= LARGE_BYTES
        else:
            payload = self.message.events[0].payload
            large = len(self.message.events) == 1 and len(payload) >= LARGE_BYTES
        return payload if large and not former.knows(payload) else None

    @property
    def left(self) -> int:
        """Events not taken yet."""
        if isinstance(self.message, PersistReplies):
            return len(self.message.replies) - self.taken
        if isinstance(self.message, PersistStream):
            return len(self.message.items) - self.taken
        return len(self.message.events) - self.taken


class Taken:
    """Events of the daemon's own (or posted ones) in a draft: who asked, and where they are."""

    __slots__ = ("message", "rejected", "reply", "start")

    def __init__(
        self,
        message: PersistEvents,
        reply: DeferredReply | None,
        start: int,
        rejected: list[str | None],
    ) -> None:
        self.message = message
        self.reply = reply
        self.start = start
        self.rejected = rejected


class Intake:
    """Queues of messages, taken in turns of bounded size.

    What is read of the durable stream has a queue of its own, which can be paused: it is safe where
    it is.
    """

    def __init__(self) -> None:
        self.events = 0
        """Events that wait."""
        self.received: Counter[str] = Counter()
        """Messages taken into batches, by lane."""
        self.copies: Counter[str] = Counter()
        """Second copies of them that were left out, by lane."""
        self.echoes: Counter[str] = Counter()
        """Echoes of our own that were left out, by lane."""
        self.aside: Counter[str] = Counter()
        """Passed on without being stored, by lane."""
        self.stream_end: StreamPosition | None = None
        """Where what was taken in of the durable stream ends; None: nothing is expected yet."""
        self.stream_read_at = 0.0
        """When that was known to be all of it, and all of that was taken into batches."""
        self._urgent: deque[Waiting] = deque()
        self._normal: deque[Waiting] = deque()
        self._stream: deque[Waiting] = deque()
        self._stream_first = False

    def put_stream(self, message: PersistStream) -> bool:
        """Append what was read of the durable stream, unless something before it is missing."""
        if message.after != self.stream_end:
            return False
        self.stream_end = message.end
        self._stream.append(Waiting(message))
        self.events += len(message.items)
        return True

    def put_late(self, copy: Copy) -> None:
        """Append a published copy of what the durable stream did not bring."""
        item = StreamItem(None, copy.channel, copy.payload)
        self._stream.append(Waiting(PersistStream(StreamPosition(), copy.ts, (item,))))
        self.events += 1

    def put(
        self, message: PersistReplies | PersistEvents, reply: DeferredReply | None = None
    ) -> None:
        """Append a message."""
        waiting = Waiting(message, reply)
        (self._urgent if waiting.urgent else self._normal).append(waiting)
        self.events += waiting.left

    def take_rest(self) -> list[tuple[Message, int]]:
        """Give up what waits, but for what the durable stream has: each, and its events left."""
        rest = [(waiting.message, waiting.left) for waiting in (*self._urgent, *self._normal)]
        self._urgent.clear()
        self._normal.clear()
        self.events -= sum(left for _message, left in rest)
        return rest

    def __bool__(self) -> bool:
        return bool(self._urgent or self._normal or self._stream)

    def has_work(self, *, stream: bool) -> bool:
        """Whether anything waits that can be taken now."""
        return any(self._lanes(stream=stream))

    def _lanes(self, *, stream: bool = True) -> tuple[deque[Waiting], ...]:
        if not stream:
            return self._urgent, self._normal
        if self._stream_first:
            return self._urgent, self._stream, self._normal
        return self._urgent, self._normal, self._stream

    def examine_next(self, former: Former, give_way: Callable[[], None]) -> None:
        """Examine the payload that is next, if it is a large one; others have their turns."""
        for lane in self._lanes():
            if lane:
                payload = lane[0].large(former)
                if payload is not None:
                    former.examine(payload, give_way)
                return

    def fill(
        self, draft: Draft, former: Former, *, max_events: int, now: float, stream: bool = True
    ) -> list[Taken]:
        """Move what waits into ``draft``, up to a bound (or one message that is larger).

        A large payload that was not examined yet is the end of it: see ``examine_next``.

        Args:
            draft: Where the events go.
            former: Forms them.
            max_events: The bound of their number.
            now: Monotonic, for echoes.
            stream: Whether the durable stream is not paused.
        """
        taken: list[Taken] = []
        until = time.perf_counter() + MAX_TURN_S
        lanes = self._lanes(stream=stream)
        self._stream_first = not self._stream_first  # neither can starve the other
        for lane in lanes:
            while lane and len(draft) < max_events and draft.payload_bytes < MAX_TURN_BYTES:
                waiting, room = lane[0], max_events - len(draft)
                message = waiting.message
                if waiting.large(former) is not None or time.perf_counter() > until:
                    return taken
                if isinstance(message, PersistReplies):
                    replies = self._next_replies(lane, message, room)
                    self._add_replies(draft, former, replies, message, now)
                elif isinstance(message, PersistStream):
                    self._take_entries(lane, message, draft, former, min(room, _SLICE), now)
                elif draft.types and waiting.left > room:
                    return taken
                else:
                    taken.append(self._take_events(lane, message, draft, former))
        return taken

    def _next_replies(
        self, lane: deque[Waiting], message: PersistReplies, room: int
    ) -> list[Reply]:
        start = lane[0].taken
        replies = message.replies[start : start + min(room, _SLICE)]
        replies = replies[: _within(len(reply[-1]) for reply in replies)]
        self._note_taken(lane, len(replies), message.lane)
        return replies

    def _take_entries(  # noqa: PLR0913, PLR0917 called in one place
        self,
        lane: deque[Waiting],
        message: PersistStream,
        draft: Draft,
        former: Former,
        room: int,
        now: float,
    ) -> None:
        start = lane[0].taken
        items = message.items[start : start + room]
        items = items[: _within(len(item.payload) for item in items)]
        self._note_taken(lane, len(items), STREAM)
        if start + len(items) == len(message.items) and message.at_end:
            self.stream_read_at = message.at_end
        length, rejected, aside = len(draft), draft.rejected.total(), former.put_aside
        for item in items:
            _add_item(draft, former, item, message.ts, now)
            draft.stream = item.position or draft.stream
        added = len(draft) - length
        draft.lanes[STREAM] += added
        append_run(draft.runs, Run(STREAM, added, draft.rejected.total() - rejected))
        self.aside[STREAM] += former.put_aside - aside

    def _add_replies(
        self,
        draft: Draft,
        former: Former,
        replies: list[Reply],
        message: PersistReplies,
        now: float,
    ) -> None:
        """Take a slice in, and note what became of it."""
        length, rejected = len(draft), draft.rejected.total()
        copies, echoes, aside = former.copies, former.echoed, former.put_aside
        _add_replies(draft, former, replies, message.ts, now)
        added, name = len(draft) - length, message.lane
        draft.lanes[name] += added
        append_run(draft.runs, Run(name, added, draft.rejected.total() - rejected))
        self.copies[name] += former.copies - copies
        self.echoes[name] += former.echoed - echoes
        self.aside[name] += former.put_aside - aside

    def _take_events(
        self, lane: deque[Waiting], message: PersistEvents, draft: Draft, former: Former
    ) -> Taken:
        reply = lane[0].reply
        self._note_taken(lane, len(message.events), DAEMON)
        start, ts = len(draft), utc_now()
        rejected = [former.add_event(draft, event, ts) for event in message.events]
        draft.lanes[DAEMON] += len(rejected)
        refused = sum(reason is not None for reason in rejected)
        append_run(draft.runs, Run(DAEMON, len(rejected), refused))
        return Taken(message, reply, start, rejected)

    def _note_taken(self, lane: deque[Waiting], count: int, name: str) -> None:
        """Before anything can go wrong with them: what fails must not be met again for ever."""
        lane[0].taken += count
        if not lane[0].left:
            lane.popleft()
        self.events -= count
        self.received[name] += count


def _within(sizes: Iterable[int]) -> int:
    """How many of the first ones fit into a slice, one at least."""
    sums = accumulate(sizes)
    return max(1, sum(1 for _ in takewhile(lambda size: size <= _SLICE_BYTES, sums)))


def _add_item(draft: Draft, former: Former, item: StreamItem, ts: str, now: float) -> None:
    length = len(draft)
    try:
        former.add_item(draft, item, ts, now)
    except Exception:  # noqa: BLE001 the border of one item of a batch
        _log.exception("not an entry of the stream", entry=repr(item)[:500])
        draft.truncate(length)
        former.add_fault(draft, item, ts)


def _add_replies(draft: Draft, former: Former, replies: list[Reply], ts: str, now: float) -> None:
    """Add a slice; if that fails on one of them, each alone."""
    length, rejected = len(draft), draft.rejected.copy()
    counts, aside = (former.copies, former.echoed, former.put_aside), len(draft.aside)
    try:
        former.add_replies(draft, replies, ts, now)
    except Exception:  # noqa: BLE001 the border of one item of a batch
        draft.truncate(length)
        draft.rejected = rejected
        former.copies, former.echoed, former.put_aside = counts
        del draft.aside[aside:]
        for reply in replies:
            _add_reply(draft, former, reply, ts, now)


def _add_reply(draft: Draft, former: Former, reply: Reply, ts: str, now: float) -> None:
    length = len(draft)
    try:
        former.add_replies(draft, [reply], ts, now)
    except Exception:  # noqa: BLE001 the same border
        _log.exception("not a message of the bus", reply=repr(reply)[:500])
        draft.truncate(length)
        former.add_fault(draft, reply, ts)
