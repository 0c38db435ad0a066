"""The path of an event: take, check, number, append, show, answer.

A greenlet of the persister carries one batch at a time all the way (``Pipeline.step``). From there
it is the ``Storer`` that brings it from the backlog into PostgreSQL.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from ...runtime import Address, give_way
from ..events import REJECTED, Event
from ..journal.journal import JournalUnavailable
from ..journal.record_format import RecordKind
from ..journal.rows import ids_of, parse_rows
from ..messages.event_persister import MAX_TURN_EVENTS, StoredEvent
from ..messages.events import EventReplaced, EventsJournalled, StopHeard
from ..messages.heartbeat_monitor import Canary
from ..messages.redis_listener import Publish
from .batch import Batch, Draft, Request, batch_of_draft
from .state import PersisterState

# After so long, a disk that refused an append is tried again.
JOURNAL_RETRY_S: Final = 1.0
_STOPS: Final = "risk."


def _nothing() -> None:
    return None


class Pipeline:
    """One for each run of the persister; what it works on outlives it in the state.

    Args:
        state: Outlives it.
        consumers: Get ``EventsJournalled`` and ``EventReplaced`` by ``offer``: the policies of
            their mailboxes decide what happens when they are full. Each gets events of the types
            named for it only (None: all), so that no flood of others fills its mailbox.
        monitor: Gets each ``Canary``.
        stops: Gets ``StopHeard``, and each ``Canary`` after all that came before it.
        rules: Gets the latter, too, while nothing that was received is held back from showing.
        load_held: Reads held batches back that only the journal has.
        on_stream: Called when more of the durable stream is journalled.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        state: PersisterState,
        consumers: Mapping[Address, frozenset[str] | None] | None = None,
        *,
        monitor: Address | None = None,
        stops: Address | None = None,
        rules: Address | None = None,
        load_held: Callable[[], None] = _nothing,
        on_stream: Callable[[], None] = _nothing,
    ) -> None:
        self._state = state
        self._consumers = dict(consumers or {})
        self._monitor = monitor
        self._stops = stops
        self._rules = rules
        self._heard: list[Canary] = []
        self._load_held = load_held
        self._on_stream = on_stream
        self._log = structlog.get_logger(actor="EventPersister")

    def run(self) -> None:
        """Carry batches until killed. Run it in a linked greenlet."""
        state = self._state
        while True:
            state.to_journal.wait()
            state.to_journal.clear()
            self.append_unjournalled()
            while self.step():
                give_way()

    def step(self) -> bool:
        """Carry one batch all the way.

        Returns:
            Whether there may be another one.
        """
        state = self._state
        if state.ids.left and state.held.span is not None:
            self._load_held()
        batch = self.take()
        if batch is None:
            self._tell_heard()
            state.progress.set()
            return self.examine_next()
        self.append(batch)
        is_ours = state.fence.wait(state.progress, lambda: state.store_error is not None)
        # From here on it does not yield: all of a batch is passed on, or nothing of it.
        events = self.finish(batch)
        if is_ours:
            self.show(events)
        self._tell_heard()
        self._answer(batch, events)
        batch.forget_events()
        return True

    # -- take, check, number: does not yield ---------------------------------------------------

    def take(self) -> Batch | None:
        """The current batch, or a new one with its number; None if there is nothing to do."""
        state = self._state
        if state.current is None:
            state.current = self._next()
            state.room.set()
        return state.current

    def _next(self) -> Batch | None:
        """A new batch. While some are held, new ones get no ids: ids are in order of receipt."""
        state = self._state
        if not state.ids.left:
            return self._take_in(with_ids=False)
        if state.held:
            return self._assign_held() or self._take_in(with_ids=False)
        return self._move() if state.to_move else self._take_in(with_ids=True)

    def _take_in(self, *, with_ids: bool) -> Batch | None:
        """A batch of what is pending in the inbox."""
        state = self._state
        draft = state.inbox.take(
            state.ingest,
            max_events=min(MAX_TURN_EVENTS, state.ids.left) if with_ids else MAX_TURN_EVENTS,
            now=time.monotonic(),
            stream=self._reads_stream,
        )
        self._pass_aside(draft)
        if not draft.types and draft.stream is None:
            return None
        return self._number(draft, with_ids=with_ids)

    def examine_next(self) -> bool:
        """Examine the payload that is next if it is a large one, which ``take`` leaves; yields.

        Returns:
            Whether anything is pending that can be taken.
        """
        state = self._state
        state.inbox.examine_next(state.ingest, give_way, stream=self._reads_stream)
        return state.inbox.has_work(stream=self._reads_stream)

    def _assign_held(self) -> Batch | None:
        """Ids for held batches, as far as both are available."""
        state = self._state
        assigned, held = {}, []
        for batch in state.held.next_block(MAX_TURN_EVENTS):
            ranges = state.ids.take(batch.rows)
            if ranges is None:
                break
            assigned[batch.number] = tuple(ranges)
            held.append(batch)
        if not held:
            return None
        batch = self._number(Draft(), RecordKind.IDS)
        batch.held, batch.assigned = tuple(held), assigned
        return batch

    def _move(self) -> Batch:
        """A new id for an event whose id another writer had used."""
        state = self._state
        old_id, (event, source) = next(iter(state.to_move.items()))
        draft = Draft()
        state.ingest.add_stored(draft, event)
        draft.rejected = int(event.type == REJECTED)
        draft.end_run(source)
        batch = self._number(draft, RecordKind.MOVED, with_ids=True)
        batch.moved_id = old_id
        return batch

    def _number(
        self, draft: Draft, kind: RecordKind = RecordKind.EVENTS, *, with_ids: bool = False
    ) -> Batch:
        state = self._state
        ranges = state.ids.take(len(draft.types)) if with_ids else None
        number, state.next_number = state.next_number, state.next_number + 1
        return batch_of_draft(draft, number, tuple(ranges or ()), kind)

    @property
    def _reads_stream(self) -> bool:
        """Whether the durable stream is taken in: not while the disk refuses what is read of it."""
        return self._state.journal_error is None

    def _pass_aside(self, draft: Draft) -> None:
        """What is not stored: canaries to the monitor, durable stops to the keeper of stops."""
        for message in draft.aside:
            if isinstance(message, Canary):
                self._heard.append(message)
                if self._monitor is not None:
                    self._monitor.offer(message)
            elif self._stops is not None:
                self._stops.offer(StopHeard(message), urgent=True)

    def _tell_heard(self) -> None:
        """Send Killswitch and rules, after what came before, the canary up to which all is shown.

        Events without ids, and those of the stream while the disk refuses, are not shown yet.
        """
        heard, self._heard = self._heard, []
        is_all_shown = not self._state.held and self._reads_stream
        for canary in heard:
            if self._stops is not None:
                self._stops.offer(canary)
            if self._rules is not None and is_all_shown:
                self._rules.offer(canary)

    # -- append: waits for the disk ------------------------------------------------------------

    def append(self, batch: Batch) -> None:
        """Journal ``batch``, after what the disk refused before.

        If the disk refuses again, the batch lives in memory alone until it takes it.
        """
        unjournalled = self._state.unjournalled
        if batch not in unjournalled:  # a run before this one may have failed while appending
            unjournalled.append(batch)
        self.append_unjournalled()

    def append_unjournalled(self) -> None:
        """Offer to the journal what it does not have yet."""
        state = self._state
        if not state.unjournalled or time.monotonic() < state.retry_journal_at:
            return
        try:
            while state.unjournalled:
                self._append_first()
        except JournalUnavailable as error:
            state.retry_journal_at = time.monotonic() + JOURNAL_RETRY_S
            if state.journal_error is None:
                self._log.error("events are kept in memory only", reason=str(error))
            state.journal_error = str(error)
            return
        if state.journal_error is not None:
            self._log.info("journal writable again")
            state.journal_error = None
        for backlog in (state.backlog, state.held):
            if backlog.rear:
                backlog.note_journalled()

    def _append_first(self) -> None:
        state = self._state
        batch = state.unjournalled[0]
        if batch.number > state.stored_number:  # the journal need not have what PostgreSQL has
            state.journal.append(batch.record())
            rows_through = state.journal.head.rows_total
            for one in batch.held or (batch,):
                one.journalled = True
                one.rows_through = one.rows_through or rows_through
        state.unjournalled.popleft()

    # -- show: does not yield ------------------------------------------------------------------

    def finish(self, batch: Batch) -> tuple[Event, ...]:
        """Put the current batch into the window and the backlog; returns the events to show."""
        state = self._state
        state.current = None
        match batch.kind:
            case RecordKind.EVENTS:
                events = self._finish_new(batch)
            case RecordKind.IDS:
                events = self._finish_assigned(batch)
            case RecordKind.MOVED:
                events = self._finish_moved(batch)
        if state.journal_error is not None and state.reconciliation.shed():
            self._forget_given_up()
        state.to_store.set()
        state.progress.set()
        return events

    def _finish_new(self, batch: Batch) -> tuple[Event, ...]:
        state, draft = self._state, batch.draft
        for run in batch.runs:
            state.journalled[run.source] += run.rows
        if draft.times:
            latency = latency_ms(min(set(draft.times)))
            state.latencies_ms.append(latency)
            state.ingest_times.note(latency / 1_000)
        state.reconciliation.rejected += draft.rejected
        state.stream_known = batch.stream or state.stream_known
        if not batch.ranges and (batch.rows or state.held):
            state.held.put(batch)
            return ()
        return self._finish_draft(batch)

    def _finish_draft(self, batch: Batch) -> tuple[Event, ...]:
        events = batch.draft.events(ids_of(batch.ranges))
        self._put(batch, events, batch.draft.payload_bytes)
        return events

    def _finish_assigned(self, batch: Batch) -> tuple[Event, ...]:
        state, events = self._state, list[Event]()
        state.held.done([*batch.held])
        for held in batch.held:
            held.ranges = state.assigned[held.number] = batch.assigned[held.number]
            found = parse_rows(held.body, held.ranges)
            self._put(held, found, len(held.body))
            events += found
        return tuple(events)

    def _finish_moved(self, batch: Batch) -> tuple[Event, ...]:
        state = self._state
        state.to_move.pop(batch.moved_id, None)
        state.moved.add(batch.moved_id)
        state.window.remove(batch.moved_id)
        state.reconciliation.note_moved(batch)
        return self._finish_draft(batch)

    def _put(self, batch: Batch, events: tuple[Event, ...], payload_bytes: int) -> None:
        state = self._state
        if events:
            if not state.backlog:
                state.note_first_uncommitted(batch.ranges[0][0])
            state.window.append(events, payload_bytes)
        state.backlog.put(batch)

    def _forget_given_up(self) -> None:
        """Forget batches of which nothing is left: the disk may refuse for hours."""
        pending = self._state.unjournalled
        kept = [batch for batch in pending if not _is_given_up(batch)]
        pending.clear()
        pending.extend(kept)

    def show(self, events: tuple[Event, ...]) -> None:
        """Offer a batch of events to the consumers."""
        if not events:
            return
        message = EventsJournalled(events)
        types = {event.type for event in events}
        for consumer, wanted in self._consumers.items():
            if wanted is None or types <= wanted:
                self._offer(consumer, message)
            elif not types.isdisjoint(wanted):
                part = tuple(event for event in events if event.type in wanted)
                self._offer(consumer, EventsJournalled(part))

    def show_replaced(self, event: Event) -> None:
        """Offer ``event``, which PostgreSQL has instead of one that it refused."""
        for consumer, wanted in self._consumers.items():
            if (wanted is None or event.type in wanted) and not consumer.offer(
                EventReplaced(event)
            ):
                self._state.not_offered += 1

    def _offer(self, consumer: Address, message: EventsJournalled) -> None:
        if consumer.offer(message):
            return
        self._state.not_offered += 1
        stops = tuple(event for event in message.events if event.type.startswith(_STOPS))
        if stops:  # they still get through a full mailbox, the others do not
            consumer.offer(EventsJournalled(stops), urgent=True)

    # -- answer: does not yield ----------------------------------------------------------------

    def _answer(self, batch: Batch, events: tuple[Event, ...]) -> None:
        """Answer and publish what was posted; report how far the durable stream is journalled."""
        for request in batch.draft.requests:
            stop = request.start + len(request.rejected)
            posted = events[request.start : stop]  # none while they have no ids
            ids: list[int | None] = [event.id for event in posted]
            ids = ids or [None] * len(request.rejected)
            if request.reply is not None:
                times = batch.draft.times[request.start : stop]
                request.reply.set(tuple(map(StoredEvent, ids, times, request.rejected)))
            self._log_requests(request, ids)
            self._publish(request)
        if batch.stream is not None:
            self._on_stream()

    def _publish(self, request: Request) -> None:
        message, outbox = request.message, self._state.to_publish
        if message.publish and outbox is not None:
            for event in message.events:
                outbox.send(Publish(event.type, event.payload, message.reply_to, message.tag))

    def _log_requests(self, request: Request, ids: Sequence[int | None]) -> None:
        """Lead from an HTTP request's id to the event that came of it."""
        for event, event_id in zip(request.message.events, ids, strict=True):
            if event.request_id is not None:
                self._log.info(
                    "event journalled",
                    request_id=event.request_id,
                    event_id=event_id,
                    type=event.type,
                )


def _is_given_up(batch: Batch) -> bool:
    return batch.kind is RecordKind.EVENTS and not batch.rows and batch.shed_for > 0


def latency_ms(ts: str) -> float:
    """Milliseconds since ``ts`` by the wall clock, 0 if that lies ahead."""
    return max(0.0, (time.time() - datetime.fromisoformat(ts).timestamp()) * 1000)
