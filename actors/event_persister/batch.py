"""Forms the next batch: gives it its number and, where there are any, its ids.

Never lets go of the loop: a message is in the intake, or in the batch in hand.
"""

import time

from ..events import REJECTED, Event
from ..journal.id_ranges import IdRanges
from ..journal.record_format import RecordKind
from ..messages.event_persister import MAX_TURN_EVENTS, PersistEvents
from ..messages.heartbeat_monitor import Canary
from ..sources import Run
from .backlog import Backlog, Batch
from .current import InHand
from .echoes import EchoTable
from .inbox import Intake, Taken
from .ingest import Draft, Former


class Forming:
    """Takes from the intake; first what waits for ids gets some, and what must move moves.

    Args:
        intake: Where messages wait.
        former: Makes rows of them.
        ids: In hand.
        held: Batches that wait for ids; while there are any, new ones get none.
        echoes: Told what is to be published.
    """

    def __init__(
        self, intake: Intake, former: Former, *, ids: IdRanges, held: Backlog, echoes: EchoTable
    ) -> None:
        self.next_number = 1
        """Of the next batch."""
        self.aside: list[Canary | Event] = []
        """Not stored, but passed on: canaries, and durable stops that the stream will bring."""
        self.to_move: dict[int, tuple[Event, str]] = {}
        """Events whose ids others had used, by those ids, with the lanes by which they came; until
        they are journalled again."""
        self._intake = intake
        self._former = former
        self._ids = ids
        self._held = held
        self._echoes = echoes

    def next(self, *, stream: bool) -> InHand | None:
        """The next batch, None if there is nothing to do.

        Args:
            stream: Whether the durable stream is not paused.
        """
        return self._assign_held() or self._move() or self._take_in(stream=stream)

    def take_due(self, now: float) -> None:
        """Have taken in what is certain by ``now``: gaps, and copies the stream does not bring."""
        read_at = self._intake.stream_read_at
        for copy in self._former.durable.due(now, read_at):
            self._intake.put_late(copy)
        if gaps := self._former.sequences.due(now, read_at):
            self._intake.put(PersistEvents(tuple(gaps)))

    def _number(self) -> int:
        number = self.next_number
        self.next_number += 1
        return number

    def _take_in(self, *, stream: bool) -> InHand | None:
        if not self._intake:
            return None
        has_ids = bool(self._ids.left) and not self._held
        draft = Draft()
        limit = min(MAX_TURN_EVENTS, self._ids.left) if has_ids else MAX_TURN_EVENTS
        now = time.monotonic()
        taken = self._intake.fill(draft, self._former, max_events=limit, now=now, stream=stream)
        self.aside += draft.aside
        if not draft and draft.stream is None:
            return None
        ranges = self._ids.take(len(draft)) if has_ids else None
        batch = Batch(self._number(), draft.body(), len(draft), tuple(ranges or ()))
        batch.stream = draft.stream
        hand = InHand(batch.number, RecordKind.EVENTS, [batch])
        batch.runs = tuple(draft.runs)
        hand.draft, hand.taken = draft, taken
        self._expect_echoes(taken, now)
        return hand

    def _expect_echoes(self, taken: list[Taken], now: float) -> None:
        for part in taken:
            if part.message.publish:
                for event in part.message.events:
                    self._echoes.expect(event.type.encode(), event.payload, now)

    def _assign_held(self) -> InHand | None:
        """Give ids to batches that wait for them, as far as both are at hand."""
        batches = self._held.next_block(MAX_TURN_EVENTS)
        hand = InHand(0, RecordKind.IDS, [])
        for batch in batches:
            ranges = self._ids.take(batch.rows)
            if ranges is None:
                break
            hand.assigned[batch.number] = tuple(ranges)
            hand.batches.append(batch)
        if not hand.batches:
            return None
        hand.number = self._number()
        return hand

    def _move(self) -> InHand | None:
        """Give a new id to an event whose id another writer had used."""
        if not self.to_move or self._held or not self._ids.left:
            return None
        old_id, (event, lane) = next(iter(self.to_move.items()))
        draft = Draft()
        self._former.add_stored(draft, event)
        ranges = self._ids.take(1)
        batch = Batch(self._number(), draft.body(), 1, tuple(ranges or ()))
        hand = InHand(batch.number, RecordKind.MOVED, [batch])
        batch.runs = (Run(lane, 1, int(event.type == REJECTED)),)
        hand.draft, hand.moved_id = draft, old_id
        return hand
