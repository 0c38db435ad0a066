"""What was told to the persister and is not in a batch yet (pure).

It outlives incarnations, so that a message is either here, or in a batch, or journalled: none is
lost and none counts twice when the actor fails in between. Two lanes: the control connection and
what is to be published go first, so that a burst of prices never delays a stop.
"""

from collections import Counter, deque
from typing import Final

import structlog

from ..runtime import DeferredReply
from ._draft import Draft, Former, Reply
from ._persister_messages import PersistEvents, PersistReplies
from .events import utc_now

MAX_TURN_BYTES: Final = 2 * 1024 * 1024
"""Payloads of one batch: checking them takes some 10 ms."""

CONTROL: Final = "control"
DAEMON: Final = "daemon"
# Looked at together; small enough that one slice of the largest payloads stays a moment's work.
_SLICE: Final = 64

_log = structlog.get_logger(actor="EventPersister")


class Waiting:
    """A message, how far it has been taken, and who waits for an answer."""

    __slots__ = ("message", "reply", "taken")

    def __init__(
        self, message: PersistReplies | PersistEvents, reply: DeferredReply | None
    ) -> None:
        self.message = message
        self.reply = reply
        self.taken = 0

    @property
    def urgent(self) -> bool:
        """Whether it goes first."""
        if isinstance(self.message, PersistReplies):
            return self.message.lane == CONTROL
        return self.message.publish

    @property
    def left(self) -> int:
        """Events not taken yet."""
        if isinstance(self.message, PersistReplies):
            return len(self.message.replies) - self.taken
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
    """Two queues of messages, taken in turns of bounded size."""

    def __init__(self) -> None:
        self.events = 0
        """Events that wait."""
        self.received: Counter[str] = Counter()
        """Messages taken into batches, by lane."""
        self._urgent: deque[Waiting] = deque()
        self._normal: deque[Waiting] = deque()

    def put(
        self, message: PersistReplies | PersistEvents, reply: DeferredReply | None = None
    ) -> None:
        """Append a message."""
        waiting = Waiting(message, reply)
        (self._urgent if waiting.urgent else self._normal).append(waiting)
        self.events += waiting.left

    def __bool__(self) -> bool:
        return bool(self._urgent or self._normal)

    def fill(self, draft: Draft, former: Former, *, max_events: int, now: float) -> list[Taken]:
        """Move what waits into ``draft``, up to a bound (or one message that is larger).

        Args:
            draft: Where the events go.
            former: Forms them.
            max_events: The bound of their number.
            now: Monotonic, for echoes.
        """
        taken: list[Taken] = []
        for lane in (self._urgent, self._normal):
            while lane and len(draft) < max_events and draft.payload_bytes < MAX_TURN_BYTES:
                waiting, room = lane[0], max_events - len(draft)
                message = waiting.message
                if isinstance(message, PersistReplies):
                    replies = self._next_replies(lane, message, room)
                    length = len(draft)
                    _add_replies(draft, former, replies, message.ts, now)
                    draft.lanes[message.lane] += len(draft) - length
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
        if sum(len(reply[-1]) for reply in replies) > MAX_TURN_BYTES:
            replies = replies[:1]
        self._note_taken(lane, len(replies), message.lane)
        return replies

    def _take_events(
        self, lane: deque[Waiting], message: PersistEvents, draft: Draft, former: Former
    ) -> Taken:
        reply = lane[0].reply
        self._note_taken(lane, len(message.events), DAEMON)
        start, ts = len(draft), utc_now()
        rejected = [former.add_event(draft, event, ts) for event in message.events]
        draft.lanes[DAEMON] += len(rejected)
        return Taken(message, reply, start, rejected)

    def _note_taken(self, lane: deque[Waiting], count: int, name: str) -> None:
        """Before anything can go wrong with them: what fails must not be met again for ever."""
        lane[0].taken += count
        if not lane[0].left:
            lane.popleft()
        self.events -= count
        self.received[name] += count


def _add_replies(draft: Draft, former: Former, replies: list[Reply], ts: str, now: float) -> None:
    """Add a slice; if that fails on one of them, each alone."""
    length = len(draft)
    try:
        former.add_replies(draft, replies, ts, now)
    except Exception:  # noqa: BLE001 the border of one item of a batch
        draft.truncate(length)
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
