"""The storer: a greenlet linked to the persister that brings the backlog into PostgreSQL.

In order of id, a block of whole batches in one transaction; while one is under way the next grows
(group commit without a timer). What it knows of a block outlives it in the state and in the
writer, so a successor goes on with the same block.
"""

import os
import random
import socket
import time
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import gevent
import msgspec

from ...runtime import give_way
from ...sql.errors import (
    CommitUnknown,
    Doubt,
    Fenced,
    HostChanged,
    RefusedRows,
    StoreError,
    UniqueClash,
    WriterClaimed,
    is_refusal,
)
from ...sql.events.copy_text import copy_field
from ...sql.events.event_writer import EventWriter
from ...sql.events.stream_position import StreamPosition
from ..events import REJECTED, Event, channel_of
from ..journal.rows import halves, parse_row, row_prefix, split_rows, with_ids
from ..payloads import Rejection, reject
from .backlog import MAX_BLOCK_ROWS, stream_of
from .batch import Batch
from .recovery import Loader
from .state import PersisterState
from .writer_calls import PostgresMoved, PostgresSilent, WriterCalls

RETRY_MIN_S: Final = 0.1
RETRY_MAX_S: Final = 2.0
# While moved events are journalled again: how often it is checked that there are ids for them.
MOVE_WAIT_S: Final = 0.5
# A block of which rows are refused is stored by many statements.
SIFTED_AFTER_S: Final = 600.0
# Rows put together without letting others run: some 2 ms.
_TURN_BYTES: Final = 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


class Storer:
    """Claims the fence, keeps ids in stock, stores; one for each run of the persister.

    Args:
        state: Outlives it.
        writer: Outlives it.
        instance: The name under which the fence is claimed.
        stale_after_s: When another daemon may take over.
        replaced: Called with each event that became ``bus.rejected`` at its id.
        on_fenced: Called when another daemon writes to this database; nothing is stored then.
        log: The actor's.
    """

    def __init__(  # noqa: PLR0913 wired in one place
        self,
        state: PersisterState,
        writer: EventWriter,
        *,
        instance: str,
        stale_after_s: float,
        replaced: Callable[[Event], None],
        on_fenced: Callable[[StoreError], None],
        log: Any,
    ) -> None:
        self._state = state
        self._writer = writer
        self._instance = instance
        self._stale_after_s = stale_after_s
        self._replaced = replaced
        self._on_fenced = on_fenced
        self._log = log
        self._calls = WriterCalls(writer, stale_after_s)
        self._loader = Loader(state, state.backlog)
        self._doubt: Doubt | None = None
        self._renew_at = 0.0
        self._retry_s = RETRY_MIN_S

    def run(self) -> None:
        """Store until killed; returns only when another daemon has taken over."""
        self._doubt = self._writer.doubt
        while True:
            try:
                self._step()
            except WriterClaimed as error:
                self._state.store_error = str(error)
                self._state.fence.give_up()
                self._state.progress.set()
                self._log.error("another daemon writes to this database", reason=str(error))
                self._on_fenced(error)
                return
            except Fenced as error:
                self._writer.epoch = None
                self._state.fence.lose()
                self._note_error(error)
            except CommitUnknown as error:
                self._doubt = error.doubt
                self._note_error(error)
            except PostgresMoved as error:
                self._doubt = self._writer.doubt or self._doubt
                self._writer.use(error.place)
                self._move_host(error)
            except HostChanged as error:
                self._move_host(error)
            except PostgresSilent as error:
                self._doubt = self._writer.doubt or self._doubt
                self._note_error(error)
            except StoreError as error:
                self._note_error(error)
                self._wait_to_retry()
            else:
                self._note_success()

    def _within(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._calls.within(self._writer.silent_after_s, call, *args, **kwargs)

    def _move_host(self, error: StoreError | PostgresMoved) -> None:
        """Go on at another host of the URL: nothing is shown until the claim is made there."""
        self._log.warning("PostgreSQL is another host now", reason=str(error))
        self._writer.epoch = None
        self._state.fence.doubt()
        self._state.store_error = None  # it answers, so what is in doubt can be proved
        self._state.progress.set()

    def _note_error(self, error: StoreError | PostgresSilent) -> None:
        if self._state.store_error is None:
            self._log.warning("PostgreSQL does not store", reason=str(error))
        self._state.store_error = str(error)
        self._state.progress.set()

    def _note_success(self) -> None:
        if self._state.store_error is not None:
            self._log.info("PostgreSQL stores again", pending=self._state.pending)
            self._state.store_error = None
        self._state.progress.set()
        self._retry_s = RETRY_MIN_S

    def _wait_to_retry(self) -> None:
        gevent.sleep(self._retry_s * random.uniform(0.8, 1.2))  # noqa: S311 jitter
        self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)

    def _step(self) -> None:
        """One transaction's worth, or a wait for work."""
        state = self._state
        self._keep_fence()
        more_ids = self._keep_ids()
        self._loader.load()
        if block := state.backlog.next_block(MAX_BLOCK_ROWS):
            self._store(block)
        elif not more_ids:
            state.note_all_stored()
            state.to_store.clear()
            state.to_store.wait(max(0.0, self._renew_at - time.monotonic()))

    # -- the fence and the ids -----------------------------------------------------------------

    def _keep_fence(self) -> None:
        self._state.fence.look()
        asked_at = time.monotonic()
        if self._writer.epoch is None:
            self._claim()
        elif asked_at >= self._renew_at:
            self._within(self._writer.renew)
        else:
            return
        self._calls.renewed_at = asked_at
        self._state.fence.prove(asked_at, self._stale_after_s)
        self._state.progress.set()
        self._renew_at = time.monotonic() + self._stale_after_s / 3

    def _claim(self) -> None:
        """Become the one that writes, and raise the sequence above every id there is."""
        self._within(
            self._writer.claim,
            instance=self._instance,
            host=socket.gethostname(),
            pid=os.getpid(),
            stale_after_s=self._stale_after_s,
        )
        state = self._state
        try:
            highest, oldest, stream = self._within(self._look_round)
        except (StoreError, PostgresSilent):
            self._writer.epoch = None
            raise
        state.note_in_database(highest, oldest)
        state.note_stream_in_database(stream)

    def _look_round(self) -> tuple[int, int | None, StreamPosition | None]:
        """The highest and the lowest id there is, and how far the stream was read."""
        state, highest = self._state, self._writer.committed_max()
        self._warn_if_set_back(highest)
        state.ids.discard_through(highest)
        self._writer.raise_sequence(max(highest, state.newest_id, state.ids.highest))
        return highest, self._writer.oldest_id(), self._stream_position()

    def _stream_position(self) -> StreamPosition | None:
        """PostgreSQL's; where it refuses to say, the data directory's will do, if it has one."""
        try:
            return self._writer.stream_position()
        except StoreError as error:
            if self._state.stream_known is None or not is_refusal(error):
                raise
            self._log.warning("the stream's position is not readable", reason=str(error))
            return None

    def _warn_if_set_back(self, highest: int) -> None:
        """A restored dump ends before what was stored; refilling is only possible while stopped."""
        if highest < self._state.committed_id:
            self._log.warning(
                "the database lacks the newest events that were stored in it: if it was restored,"
                " stop the daemon and run `orchestrator db refill`",
                highest_id=highest,
                stored_up_to_id=self._state.committed_id,
            )

    def _keep_ids(self) -> bool:
        """Take one more range, if that is wanted now; say whether it was."""
        state = self._state
        idle = not state.backlog
        count = state.ids.wanted(rate_per_s=state.rate_per_s, idle=idle)
        if count:
            state.add_ids(self._within(self._writer.take_ids, count))
        return bool(count)

    # -- a block -------------------------------------------------------------------------------

    def _store(self, block: list[Batch]) -> None:
        rows = _rows_of(block)
        if self._state.moved or self._state.replaced:
            done = self._state.moved | self._state.replaced
            kept = (line for line in split_rows(rows) if _id_of(line) not in done)
            rows = b"".join([line + b"\n" for line in kept])
        stream = stream_of(block)
        clashes = self._store_rows(rows, stream) if rows or stream else ()
        self._wait_until_moved(clashes)
        self._state.note_stored(block)

    def _store_rows(self, rows: bytes, stream: StreamPosition | None) -> tuple[int, ...]:
        """Store ``rows``, whatever it takes; the ids that other rows have.

        ``stream`` is committed with the last of them.
        """
        try:
            return self._put(rows, stream)
        except RefusedRows as error:
            lines = split_rows(rows)
            if len(lines) == 1:
                return self._replace(lines[0], _reason_of(error), stream)
            if self._sift(lines, stream):
                return ()
        first, second = halves(lines)
        return self._store_rows(first, None) + self._store_rows(second, stream)

    def _sift(self, lines: list[bytes], stream: StreamPosition | None) -> bool:
        """Store ``lines`` with ``bus.rejected`` for those refused; False if that will not do."""
        replaced: dict[bytes, Event] = {}

        def instead(line: bytes, error: RefusedRows) -> bytes:
            replaced[line] = _rejected(line, _reason_of(error))
            return _line_of(replaced[line])

        try:
            self._calls.within(SIFTED_AFTER_S, self._writer.sift, lines, instead, stream)
        except (RefusedRows, UniqueClash):
            return False
        ids = [event.id for event in replaced.values()]
        self._log.warning("PostgreSQL refused events", ids=ids[:100])
        for event in replaced.values():
            self._note_replaced(event)
        return True

    def _put(self, rows: bytes, stream: StreamPosition | None) -> tuple[int, ...]:
        if self._doubt is None:
            try:
                self._within(self._writer.store, rows, stream)
            except UniqueClash:
                self._log.warning("ids of a block are taken", first=_id_of(rows))
            else:
                return ()
        try:
            resolution = self._within(self._writer.resolve, rows, self._doubt, stream)
        except RefusedRows:
            self._doubt = None
            raise
        self._doubt = None
        if not resolution.clashes:
            return ()
        by_id = {_id_of(line): line for line in split_rows(rows)}
        clashes = [number for number in resolution.clashes if not self._was_replaced(by_id[number])]
        for event_id in clashes:
            self._move(event_id, by_id[event_id])
        return tuple(clashes)

    def _was_replaced(self, line: bytes) -> bool:
        """Whether the row at our id is the ``bus.rejected`` that a daemon before put there."""
        event = _event_of(line)
        there = self._within(self._writer.rejected_at, event.id)
        if there is None:
            return False
        instead = event.payload
        if event.type != REJECTED:
            instead = reject(channel_of(event), event.payload, "PostgreSQL refused it")
        ours = msgspec.json.decode(instead, type=Rejection)
        same = there == (ours.channel, ours.size, ours.raw)
        if same and event.type != REJECTED:
            self._note_replaced(Event(event.id, REJECTED, instead, event.ts, None))
        return same

    def _move(self, event_id: int, line: bytes) -> None:
        """Another row has our id: ours is journalled again under a new one."""
        event = _event_of(line)
        self._log.error("another writer used an id of ours", id=event_id, type=event.type)
        source = self._state.reconciliation.source_of(event_id)
        self._state.to_move[event_id] = event, source
        self._state.to_journal.set()

    def _wait_until_moved(self, event_ids: tuple[int, ...]) -> None:
        state = self._state
        while any(event_id in state.to_move for event_id in event_ids):
            self._keep_ids()
            state.progress.clear()
            state.progress.wait(MOVE_WAIT_S)

    def _replace(self, line: bytes, reason: str, stream: StreamPosition | None) -> tuple[int, ...]:
        """Put ``bus.rejected`` in the place of a row that PostgreSQL cannot take.

        Raises:
            StoreError: It does not take that either, so the row is not what is wrong.
        """
        rejected = _rejected(line, reason)
        try:
            clashes = self._put(_line_of(rejected) + b"\n", stream)
        except RefusedRows as error:
            raise StoreError(f"PostgreSQL refuses every row: {error}") from error
        self._log.warning("PostgreSQL refused an event", id=rejected.id, reason=reason)
        self._note_replaced(rejected)
        return clashes

    def _note_replaced(self, rejected: Event) -> None:
        self._state.replaced.add(rejected.id)
        self._state.reconciliation.note_refused(rejected.id)
        self._state.window.replace(rejected)
        self._replaced(rejected)


def _rows_of(block: list[Batch]) -> bytes:
    """The rows of ``block`` as COPY takes them; yields in between."""
    parts, turn_bytes = [], 0
    for batch in block:
        parts.append(with_ids(batch.body, batch.ranges))
        turn_bytes += len(parts[-1])
        if turn_bytes > _TURN_BYTES:
            turn_bytes = 0
            give_way()
    return b"".join(parts)


def _rejected(line: bytes, reason: str) -> Event:
    """What stands at the id of a row that PostgreSQL refused."""
    event = _event_of(line)
    payload = reject(channel_of(event), event.payload, reason)
    return Event(event.id, REJECTED, payload, event.ts, None)


def _line_of(event: Event) -> bytes:
    """The line of a ``bus.rejected``."""
    prefix = row_prefix(REJECTED, None, event.ts)
    return b"%d\t%b%b" % (event.id, prefix, copy_field(event.payload))


def _reason_of(error: RefusedRows) -> str:
    """What PostgreSQL said, without the row itself."""
    return str(error).partition(" Failing row contains ")[0]


def _id_of(line: bytes) -> int:
    return int(line[: line.index(b"\t")])


def _event_of(line: bytes) -> Event:
    event_id, _, rest = line.partition(b"\t")
    return parse_row(int(event_id), rest)
