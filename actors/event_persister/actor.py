"""The persister: numbers events, journals them, shows them, and then stores them in PostgreSQL.

Three greenlets: the actor takes messages in and answers questions; linked to it, the ``Pipeline``
forms batches, journals them and shows them, and the ``Storer`` brings them into PostgreSQL. A
fourth one surveys the journal at the start, and ends.

What it holds is in ``PersisterState`` (and in the writer's connection), which outlives the actor's
runs: the inbox, the current batch, the backlog, the window. A successor goes on with them. What
ends with a run are the answers it owed: askers get ``ActorFailed`` although their event is stored.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, assert_never

import msgspec
from gevent import Greenlet

from ...protocol.excerpt import excerpt
from ...runtime import Actor, Address, DeferredReply, Outbox, deadline, give_way
from ...runtime.errors import OrchestratorError
from ...sql.errors import StoreError
from ...sql.events.event_reader import EventReader
from ...sql.events.event_writer import EventWriter
from ...sql.events.fenced_connection import STALE_AFTER_S
from ..event_query import EventPage, NeedsDatabase, with_others
from ..events import DROPPED, Event, NewEvent
from ..messages.durable_stream import PersistStream, ReadStream, StreamProgress
from ..messages.event_persister import (
    AwaitCommitted,
    GetBooks,
    GetEvent,
    GetEvents,
    GetPersisterStatus,
    NoteProcessed,
    PersisterStatus,
    PersistEvents,
    PersistReplies,
    StillStoring,
    StoredEvent,
)
from ..messages.events import StopFound, Surveyed
from .foreign_rows import ForeignRowsWatch
from .pipeline import Pipeline
from .recovery import Loader, Newest, Stops, survey
from .state import PersisterState
from .status import status_of
from .storer import Storer

Message = (
    PersistReplies
    | PersistStream
    | PersistEvents
    | GetEvents
    | GetEvent
    | AwaitCommitted
    | NoteProcessed
    | GetPersisterStatus
    | GetBooks
)

# Events buffered outside the mailbox before back-pressure sets in.
MAX_INBOX_EVENTS: Final = 20_000
# Back-pressure per message: a hanging disk must not look like an unresponsive actor.
ROOM_WAIT_S: Final = 1.0
STATISTICS_S: Final = 60.0
# How often a disk that refused is tried again, and drops are reported.
RETRY_S: Final = 1.0
# At a stop: how long the journal, the backlog and the fence may take.
DRAIN_S: Final = 3.0
RELEASE_S: Final = 2.0
# How often the position to read the stream from is determined, and progress reported.
BEGIN_S: Final = 0.25
# If PostgreSQL has not said by then how far the stream is read, the journal's position is used.
ASK_POSITION_S: Final = 5.0


class EventPersister(Actor):
    """The only one that stores events.

    Args:
        state: Opened; outlives this run.
        writer: The connection that stores; outlives this run.
        consumers: Get ``EventsJournalled`` and ``EventReplaced``, of the types named with each
            (None: all); see ``Showing``.
        listener: Gets ``Publish`` and ``ReadStream``.
        monitor: Gets each ``Canary``.
        stops: Gets each ``Canary``, ``StopHeard`` (a durable stop that was published and comes by
            the stream soon), ``StopFound`` (one that the journal held at the start) and
            ``Surveyed`` (whether more of these may follow).
        rules: Gets each ``Canary``, while all that was received is shown.
        instance: The name under which the database's fence is claimed.
        stale_after_s: When another daemon may take the fence over.
        on_fenced: Called when another daemon writes to this database; this one must stop.
        reader: Finds the rows of other programs.
        on_foreign: Called when some were found or are gone.
    """

    drain_on_stop = True

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        state: PersisterState,
        writer: EventWriter,
        *,
        consumers: Mapping[Address, frozenset[str] | None] | None = None,
        listener: Address | None = None,
        monitor: Address | None = None,
        stops: Address | None = None,
        rules: Address | None = None,
        instance: str = "orchestrator",
        stale_after_s: float = STALE_AFTER_S,
        on_fenced: Callable[[StoreError], None] = lambda _error: None,
        reader: EventReader | None = None,
        on_foreign: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._foreign: ForeignRowsWatch | None = None
        if reader is not None:
            self._foreign = ForeignRowsWatch(
                state.id_map,
                state.foreign,
                reader,
                newest_id=lambda: state.newest_id,
                on_change=on_foreign,
            )
        self._state = state
        self._writer = writer
        self._pipeline = Pipeline(
            state,
            consumers,
            monitor=monitor,
            stops=stops,
            rules=rules,
            load_held=Loader(state, state.held).load,
            on_stream=self._tell_progress,
        )
        if listener is not None and state.to_publish is None:
            state.to_publish = Outbox(listener, on_drop=self._not_published)
        self._stops = stops
        self._to_listener = Outbox(listener, capacity=100) if listener is not None else None
        self._last_progress: StreamProgress | None = None
        self._stream_begun = False
        self._started_at = time.monotonic()
        self._instance = instance
        self._stale_after_s = stale_after_s
        self._on_fenced = on_fenced
        self._storer: Greenlet | None = None
        self._last_totals = (0, 0)
        self._reported_disk_errors = state.journal.disk_errors
        self._reported_refused = state.not_offered

    # -- hooks ---------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Show again the newest of what may not be stored (the first run does), begin."""
        state = self._state
        if not state.shown_again:
            self._show_newest()
        if not state.surveyed:
            self._tell_stops(Surveyed(done=False))  # before the first permit
            self.spawn(self._survey, name="survey")
        if state.to_publish is not None:
            self.spawn(state.to_publish.pump, name="outbox")
        if self._to_listener is not None:
            self.spawn(self._to_listener.pump, name="stream-outbox")
            self.every(BEGIN_S, self._keep_stream)
        self.spawn(self._pipeline.run, name="pipeline")
        if self._foreign is not None:
            self.spawn(self._foreign.run, name="foreign-rows")
        storer = Storer(
            state,
            self._writer,
            instance=self._instance,
            stale_after_s=self._stale_after_s,
            replaced=self._pipeline.show_replaced,
            on_fenced=self._on_fenced,
            log=self.log,
        )
        self._storer = self.spawn(storer.run, name="storer")
        self.every(STATISTICS_S, self._log_statistics)
        self.every(RETRY_S, self._retry)
        state.to_journal.set()
        state.to_store.set()

    def on_stop(self) -> None:
        """Journal what was taken in, store what PostgreSQL takes, give the fence back."""
        until = time.monotonic() + DRAIN_S
        state = self._state
        while (state.inbox or state.current) and time.monotonic() < until:
            state.to_journal.set()
            self._await_progress(until)
        while state.backlog and state.store_error is None and time.monotonic() < until:
            state.to_store.set()
            self._await_progress(until)
        if state.inbox or state.current or state.backlog:
            self.log.warning("stopped before all was stored", pending=state.pending)
        self._release()

    def _await_progress(self, until: float) -> None:
        self._state.progress.clear()
        self._state.progress.wait(max(0.0, until - time.monotonic()))

    def _release(self) -> None:
        if self._storer is not None:
            self._storer.kill()
        if self._writer.epoch is None or self._state.store_error is not None:
            return
        try:
            with deadline(RELEASE_S, OrchestratorError("the fence could not be given back")):
                self._writer.release()
        except (OrchestratorError, StoreError) as error:
            self.log.warning(
                "could not release the writer lease; it expires by itself", reason=str(error)
            )

    def on_receive(self, message: Message) -> Any:
        """Dispatch."""
        match message:
            case PersistReplies():
                self._handle_replies(message)
            case PersistEvents():
                return self._handle_events(message)
            case PersistStream():
                self._handle_stream(message)
            case GetEvents():
                return self._handle_get_events(message)
            case GetEvent():
                return self._handle_get_event(message)
            case AwaitCommitted():
                self.spawn(self._await_committed, message, self.defer_reply(), name="commit")
            case NoteProcessed():
                self._state.window.mark_processed(message.ids)
                self._state.foreign.mark_processed(message.ids)
            case GetPersisterStatus():
                return self.status()
            case GetBooks():
                return self._state.balances()
            case _:
                assert_never(message)
        return None

    # -- taking in -------------------------------------------------------------------------------

    def _handle_replies(self, message: PersistReplies) -> None:
        self._state.inbox.put(message)
        self._after_put()

    def _handle_events(self, message: PersistEvents) -> tuple[StoredEvent, ...]:
        if message.events:
            self._state.inbox.put(message, self.defer_reply())
            self._after_put()
        return ()

    def _handle_stream(self, message: PersistStream) -> None:
        if self._state.inbox.put_stream(message):
            self._after_put()
        else:
            self._begin_stream(anew=True)

    def _begin_stream(self, *, anew: bool = False) -> None:
        """Have the stream read, as soon as the position is known.

        PostgreSQL is asked first; without it, what the data directory says will do.
        """
        state = self._state
        begun = state.stream_asked or state.inbox.stream_end is not None
        if self._to_listener is None or not (
            begun or time.monotonic() > self._started_at + ASK_POSITION_S
        ):
            return
        position = state.begin_stream()
        if position is not None:
            self._stream_begun = True
            self._to_listener.send(ReadStream(position, anew))
            self._tell_progress()

    def _tell_progress(self) -> None:
        """Say how far the stream is journalled, and how far it may be trimmed."""
        state = self._state
        if self._to_listener is not None and state.stream_known is not None:
            progress = StreamProgress(state.stream_known, state.stream_committed)
            if progress != self._last_progress:
                self._last_progress = progress
                self._to_listener.send(progress)
                if self._stops is not None:
                    self._stops.offer(progress)

    def _after_put(self) -> None:
        state = self._state
        state.to_journal.set()
        if state.inbox.events > MAX_INBOX_EVENTS:
            state.room.clear()
            state.room.wait(ROOM_WAIT_S)

    def _handle_get_events(self, message: GetEvents) -> EventPage | NeedsDatabase:
        state, query = self._state, message.query
        answer = state.window.ask(query, state.committed_id, give_way)
        boundary = None if query.before is None else state.window.get(query.before)
        others = state.foreign.matching(query, boundary)
        if isinstance(answer, EventPage):
            return with_others(answer, query, others)
        return msgspec.structs.replace(answer, others=others)

    def _handle_get_event(self, message: GetEvent) -> Event | StillStoring | None:
        found = self._state.window.get(message.id)
        if found is None and self._state.is_out_of_reach(message.id):
            return StillStoring()
        return found

    def _await_committed(self, message: AwaitCommitted, reply: DeferredReply) -> None:
        event_id = min(message.id, self._state.newest_id)
        until = time.monotonic() + message.wait_s
        while not (committed := self._state.is_committed(event_id)) and time.monotonic() < until:
            self._await_progress(until)
        reply.set(committed)

    def _not_published(self, message: object) -> None:
        self.log.error("not published: the listener does not keep up", dropped=excerpt(message))

    # -- what the journal brings -----------------------------------------------------------------

    def _show_newest(self) -> None:
        newest = Newest(self._state, self._pipeline.show)
        newest.show()
        if newest.rows:
            self.log.info("newest events of the journal shown again", events=newest.rows)

    def _survey(self) -> None:
        """Read all of the journal, while new events come in; what is in it can be stored then."""
        state, began = self._state, time.monotonic()
        stops = Stops(state, lambda event: self._tell_stops(StopFound(event)))
        survey(state, stops.heed, stops.pass_on)
        self._tell_stops(Surveyed(done=True))
        if state.journal.report.records:
            took_s = round(time.monotonic() - began, 3)
            self.log.info("the journal was read", took_s=took_s, pending=state.pending)

    def _tell_stops(self, message: Surveyed | StopFound) -> None:
        if self._stops is not None:
            self._stops.offer(message, urgent=True)

    # -- now and then ----------------------------------------------------------------------------

    def _retry(self) -> None:
        state, sums = self._state, self._state.reconciliation
        if (rows := sums.damaged_rows) is not None:
            sums.damaged_rows = None
            self._tell_dropped("the journal was damaged", {}, rows)
        if types := dict(sums.dropped_types):
            sums.dropped_types.clear()
            self._tell_dropped("no room on disk and in memory", types, sum(types.values()))
        if state.not_offered > self._reported_refused:
            refused, self._reported_refused = state.not_offered, state.not_offered
            self.log.warning("consumer's mailbox full", batches_refused=refused)
        if (errors := state.journal.disk_errors) > self._reported_disk_errors:
            self._reported_disk_errors = errors
            self.log.warning("the journal's disk failed without losing an event", errors=errors)
        state.inbox.put_due(state.ingest, time.monotonic())
        if state.inbox or state.journal_error is not None:
            state.to_journal.set()

    def _keep_stream(self) -> None:
        self._state.fence.look()
        if not self._stream_begun:
            self._begin_stream()
        self._tell_progress()

    def _tell_dropped(self, reason: str, types: dict[str, int], count: int) -> None:
        payload = msgspec.json.encode({"reason": reason, "types": types, "count": count})
        self._state.inbox.put(PersistEvents((NewEvent(DROPPED, payload),)))
        self._state.to_journal.set()

    def _log_statistics(self) -> None:
        status = self.status()
        received, stored = sum(status.received.values()), status.stored
        self._state.rate_per_s = (received - self._last_totals[0]) / STATISTICS_S
        self.log.info(
            "processing",
            received_per_s=round(self._state.rate_per_s, 1),
            stored_per_s=round((stored - self._last_totals[1]) / STATISTICS_S, 1),
            received=received,
            stored=stored,
            rejected=status.rejected,
            dropped=status.dropped,
            pending=status.pending,
            journal_bytes=status.journal_bytes,
            journal_p99_ms=status.journal_latency_ms["p99"],
        )
        self._last_totals = (received, stored)

    def status(self) -> PersisterStatus:
        """How storing stands."""
        return status_of(self._state)
