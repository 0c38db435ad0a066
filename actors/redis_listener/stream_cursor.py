"""How far the durable stream is read, and which entries were lost before that. Pure.

Redis counts the entries ever added (``entries-added``). Read to the end, that number has grown by
as many as were read; any more were deleted or trimmed before they were read, and are lost. If it is
lower, the stream itself was lost and created again: then the count of lost entries is unknown.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from ...sql.events.stream_position import STREAM, StreamPosition, entry_id_of
from ..events import GAP, NewEvent
from ..messages.durable_stream import StreamItem

UNKNOWN: Final = -1

Entry = Sequence[Any]
"""As hiredis returns it: id, then names and values of fields in turn (or None: deleted)."""


class StreamFacts(msgspec.Struct, frozen=True):
    """What ``XINFO STREAM`` says of a stream that exists."""

    last: tuple[int, int]
    """The id of the last entry ever added."""
    first: tuple[int, int] | None
    """The id of the first entry still there; None: it is empty."""
    added: int
    """Entries ever added; -1 where the server (before Redis 7) does not count them."""


def read_facts(reply: Sequence[Any]) -> StreamFacts:
    """Parse the reply to ``XINFO STREAM``."""
    pairs = dict(zip(reply[::2], reply[1::2], strict=False))
    first = pairs.get(b"first-entry")
    return StreamFacts(
        last=entry_id_of(pairs[b"last-generated-id"].decode()),
        first=entry_id_of(first[0].decode()) if first else None,
        added=int(pairs.get(b"entries-added", UNKNOWN)),
    )


class StreamCursor:
    """A place in the stream that moves as entries are read, starting at ``position``."""

    def __init__(self, position: StreamPosition) -> None:
        self.position = position
        """After the last entry read."""
        self.gaps = 0
        """Gaps found."""
        self._started = (position.ms, position.seq) != (0, 0)

    def take(
        self,
        entries: Iterable[Entry],
        facts: StreamFacts | None,
        *,
        now_ms: int,
        now: str,
        since: str,
    ) -> tuple[tuple[StreamItem, ...], bool]:
        """Move past the entries of one read.

        Args:
            entries: Those after the position.
            facts: The state of the stream afterwards; None: it does not exist.
            now_ms: When it was read, in milliseconds since the epoch.
            now: The same, as the contract writes times.
            since: The last time at which everything was known to be read.

        Returns:
            What to persist, and whether the stream held nothing more.
        """
        before = self.position
        items = [self._item(entry, now_ms) for entry in entries]
        if facts is None:
            return (*items, *self._missing(now_ms, now, since)), True
        if facts.last < self._id:
            return (*items, *self._went_back(facts, now_ms, now, since)), True
        if facts.last != self._id:
            # No entry after the position, although some were added: they were deleted.
            gone = not items and (facts.first is None or facts.first <= self._id)
            if not gone:
                return tuple(items), False
            self._move(ms=facts.last[0], seq=facts.last[1], read_at_ms=now_ms)
        lost = self._lost(before, facts, now_ms, now, since)
        if items and not lost:  # the counter may be known only now
            items[-1] = msgspec.structs.replace(items[-1], position=self.position)
        return (*items, *lost), True

    @property
    def _id(self) -> tuple[int, int]:
        return self.position.ms, self.position.seq

    def _move(self, **changes: int) -> None:
        self.position = msgspec.structs.replace(self.position, **changes)

    def _item(self, entry: Entry, now_ms: int) -> StreamItem:
        ms, seq = entry_id_of(entry[0].decode())
        read = self.position.entries_read
        counted = read if read == UNKNOWN else read + 1
        self._move(ms=ms, seq=seq, entries_read=counted, read_at_ms=now_ms)
        self._started = True
        return item_of(self.position, entry[1])

    def _missing(self, now_ms: int, now: str, since: str) -> tuple[StreamItem, ...]:
        if not self._started:
            self._move(entries_read=0)  # all entries added from here on will be read
            return ()
        return self._restart(0, 0, 0, now_ms, now, since)

    def _went_back(
        self, facts: StreamFacts, now_ms: int, now: str, since: str
    ) -> tuple[StreamItem, ...]:
        """The stream was replaced: its entries were already read, or look like those."""
        return self._restart(*facts.last, facts.added, now_ms, now, since)

    def _restart(  # noqa: PLR0913, PLR0917 a position and a gap
        self, ms: int, seq: int, added: int, now_ms: int, now: str, since: str
    ) -> tuple[StreamItem, ...]:
        generation = self.position.generation + 1
        self.position = StreamPosition(generation, ms, seq, added, now_ms)
        self._started = (ms, seq) != (0, 0)
        return (self._gap(None, now, since),)

    def _lost(
        self, before: StreamPosition, facts: StreamFacts, now_ms: int, now: str, since: str
    ) -> tuple[StreamItem, ...]:
        """At the end of the stream: compare the entries added with those read."""
        read = self.position.entries_read
        if UNKNOWN in (facts.added, read):
            self._move(entries_read=facts.added)
            trimmed = facts.first is not None and facts.first > (before.ms, before.seq)
            known = before.entries_read == UNKNOWN and before.ms > 0 and facts.added == UNKNOWN
            return (
                (self._gap(None, now, since),) if known and trimmed and self._grew(before) else ()
            )
        if facts.added == read:
            return ()
        self._move(entries_read=facts.added, read_at_ms=now_ms)
        if facts.added > read:
            return (self._gap(facts.added - read, now, since),)
        self._move(generation=self.position.generation + 1)
        return (self._gap(None, now, since),)

    def _grew(self, before: StreamPosition) -> bool:
        return self._id > (before.ms, before.seq)

    def _gap(self, count: int | None, now: str, since: str) -> StreamItem:
        self.gaps += 1
        fields = {"cause": "stream", "from": since, "to": now, "stream": STREAM, "count": count}
        return StreamItem(self.position, event=NewEvent(GAP, msgspec.json.encode(fields)))


def item_of(position: StreamPosition, fields: Sequence[Any] | None) -> StreamItem:
    """The entry as the contract has it, or its fault."""
    pairs = list(zip(fields[::2], fields[1::2], strict=False)) if fields else []
    channels = [value for name, value in pairs if name == b"channel"]
    payloads = [value for name, value in pairs if name == b"payload"]
    channel = channels[0] if channels else b""
    payload = payloads[0] if payloads else b""
    fault = None
    if len(channels) != 1:
        fault = "a stream entry needs one field channel"
    elif len(payloads) != 1:
        fault = "a stream entry needs one field payload"
    if fault is not None and not payload:
        payload = b"".join(part for pair in pairs for part in pair)
    return StreamItem(position, channel, payload, fault)
