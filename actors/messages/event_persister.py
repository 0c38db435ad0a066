"""To the EventPersister, with its answers: what to store, and questions about what is stored.

The RedisListener sends :class:`PersistReplies`; every actor and the HTTP server may send
:class:`PersistEvents`; the HTTP server asks the rest. The durable stream has
:mod:`~.durable_stream`.
"""

from typing import Final

import msgspec

from ...runtime import Address
from ...runtime.address import HandlingTimes
from ..event_query import EventQuery
from ..events import NewEvent
from ..unread import WAIT_S

MAX_TURN_EVENTS: Final = 1_000
"""Events of one batch: some 4 ms of work. Longer turns starve the storer: PostgreSQL has worked off
what its socket holds (200 KB) after 7 ms, and then waits for us (measured: a tenth of the rate)."""


class PersistReplies(msgspec.Struct, frozen=True):
    """Store what one read of a subscription's socket brought; never asked."""

    connection: str
    """``control`` (goes first) or ``data``."""
    ts: str
    """When it was read, in the contract's form."""
    replies: list[list[bytes]]
    """As hiredis hands them over: ``pmessage``, pattern, channel, payload."""


class PersistEvents(msgspec.Struct, frozen=True):
    """Store events that the daemon made, or that were posted.

    Asked: answered by ``tuple[StoredEvent, ...]`` as soon as they are journalled.
    """

    events: tuple[NewEvent, ...]
    """In order."""
    publish: bool = False
    """Whether they are published on the bus too, once journalled; these go before others."""
    reply_to: Address | None = None
    """Gets the listener's ``Published``."""
    tag: str = ""
    """Comes back in ``Published``."""


class StoredEvent(msgspec.Struct, frozen=True):
    """One event of ``PersistEvents``, journalled."""

    id: int | None
    """Its id; None while no id can be had (it gets one later)."""
    ts: str
    """Its time."""
    rejected: str | None = None
    """Why it became a ``bus.rejected`` instead, if so."""


class GetEvents(msgspec.Struct, frozen=True):
    """Asks for a page; answered by ``EventPage`` or ``NeedsDatabase``."""

    query: EventQuery
    """Which."""


class GetEvent(msgspec.Struct, frozen=True):
    """Asks for one event in memory; answered by ``Event``, ``StillStoring`` or None.

    With None, PostgreSQL has it or it does not exist.
    """

    id: int
    """Which."""


class StillStoring(msgspec.Struct, frozen=True):
    """Unknown yet: not in memory, and if it is ours not in PostgreSQL."""


class AwaitCommitted(msgspec.Struct, frozen=True):
    """Asks whether our events up to ``id`` are in PostgreSQL; answered by a bool.

    ``True`` as soon as they are, ``False`` if they are not within ``wait_s``. Ids that were not
    given yet when it is asked are not waited for.
    """

    id: int
    """The highest of them."""
    wait_s: float = WAIT_S
    """How long the answer waits."""


class NoteProcessed(msgspec.Struct, frozen=True):
    """From the HTTP server: rows were marked as processed in PostgreSQL."""

    ids: tuple[int, ...]
    """Which."""


class GetBooks(msgspec.Struct, frozen=True):
    """Asks what became of all that came; answered by ``tuple[SourceBalance, ...]``."""


class GetPersisterStatus(msgspec.Struct, frozen=True):
    """Asks how storing stands; answered by ``PersisterStatus``."""


class PersisterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How storing stands. Counts are since the daemon's start if nothing else is said."""

    received: dict[str, int]
    """Messages taken in, by source: ``control``, ``data``, ``daemon`` (its own and posted ones)."""
    journalled: dict[str, int]
    """Events journalled, by source."""
    journalled_total: int
    """Rows the journal ever took, over all starts."""
    stored: int
    """Rows committed in PostgreSQL, those found there after an unknown commit included."""
    rejected: int
    """Events that became ``bus.rejected``, before or by PostgreSQL."""
    dropped: int
    """Events given up because neither disk nor memory had room."""
    copies: int
    """Second copies of messages that two patterns matched."""
    echoes: int
    """Own publications that came back."""
    clashes: int
    """Events that got a new id because another writer had used theirs."""
    not_offered: int
    """Batches that a consumer's full mailbox did not take."""
    pending: int
    """Events that are not committed in PostgreSQL yet."""
    held: int
    """Batches of them that wait for ids."""
    ids_left: int
    """Ids in stock."""
    newest_id: int
    """The highest id given."""
    committed_id: int
    """All our ids up to this one are committed."""
    journal_bytes: int
    """Size of the journal's segments."""
    journal_error: str | None
    """Why the journal does not take events at this moment, if so."""
    store_error: str | None
    """Why PostgreSQL does not take events at this moment, if so."""
    damaged_places: int
    """Damaged places found in the journal at the start."""
    missing_rows: int
    """Rows that they held."""
    durable: dict[str, int] = {}
    """Durable messages that were published too: ``withheld`` copies, ``found`` in the stream,
    ``given_up`` (stored as published after 10 s), ``repeated`` (came by the stream after that)."""
    sequence_gaps: int = 0
    """Jumps in producers' numbers that were said."""
    sequence_missing: int = 0
    """Messages left out in them."""
    journal_latency_ms: dict[str, float]
    """Socket to journal: ``p50``, ``p95``, ``p99``, ``max`` of the last 10,000 batches."""
    ingest_times: HandlingTimes
    """The same of all batches."""
    behind_s: float
    """Age of the oldest event that PostgreSQL does not have; 0 when all are stored."""
