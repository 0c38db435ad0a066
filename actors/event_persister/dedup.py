"""Durable messages that were published as well: which of the two copies counts. Pure.

The stream's does. A published copy that says ``"durable": true`` waits for it; what the stream does
not bring within 10 s is taken from what was published, and counted. Recognised by channel and exact
bytes, as often as they came.
"""

from collections import Counter, OrderedDict, deque
from hashlib import blake2b
from typing import Final

import msgspec

FOUND_WITHIN_S: Final = 10.0
"""The contract's limit."""

PATIENCE_S: Final = 60.0
"""So long a copy waits if the stream cannot be read to its end: what it holds may still come."""

REMEMBER_S: Final = 120.0
"""How long entries of the stream are remembered for copies that come after them."""

MAX_WAITING: Final = 10_000
"""Copies that wait; beyond it the oldest is taken as it is."""

MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""The same, of their payloads."""

MAX_REMEMBERED: Final = 50_000
"""Digests of each kind."""


class Copy(msgspec.Struct, frozen=True, gc=False):
    """A published copy that waits for the stream's."""

    channel: bytes
    """Where it was published."""
    payload: bytes
    """As published."""
    ts: str
    """When it was read."""
    at: float
    """The same, monotonic."""


class DurableCopies:
    """Each of the two copies comes here; one of them is stored."""

    def __init__(
        self, *, max_waiting: int = MAX_WAITING, max_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self.withheld = 0
        """Published copies that were not stored when they came."""
        self.found = 0
        """Of these, how many the stream had too."""
        self.given_up = 0
        """Of these, how many were stored as published after all."""
        self.repeated = 0
        """Entries of the stream that came after that: not stored again."""
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._bytes = 0
        self._waiting: OrderedDict[bytes, deque[Copy]] = OrderedDict()
        self._count = 0
        self._streamed = _Memory()
        self._taken = _Memory()

    def __len__(self) -> int:
        return self._count

    def published(self, channel: bytes, payload: bytes, ts: str, now: float) -> None:
        """A copy was published; it is withheld."""
        self.withheld += 1
        digest = _digest(channel, payload)
        if self._streamed.take(digest, now):
            self.found += 1
            return
        self._waiting.setdefault(digest, deque()).append(Copy(channel, payload, ts, now))
        self._count += 1
        self._bytes += len(payload)

    def streamed(self, channel: bytes, payload: bytes, now: float) -> bool:
        """An entry of the stream; whether it is to be stored."""
        digest = _digest(channel, payload)
        if digest in self._waiting:
            self._pop(digest)
            self.found += 1
            return True
        if self._taken.take(digest, now):
            self.repeated += 1
            return False
        self._streamed.add(digest, now)
        return True

    def due(self, now: float, stream_read_at: float, *, limit: int = 500) -> list[Copy]:
        """The copies that are to be stored as published, oldest first.

        Args:
            now: Monotonic.
            stream_read_at: When the stream was last known to be read to its end.
            limit: Of their number.
        """
        given: list[Copy] = []
        while self._waiting and len(given) < limit:
            digest, copies = next(iter(self._waiting.items()))
            if not self._is_due(copies[0], now, stream_read_at):
                break
            given.append(self._pop(digest))
            self._taken.add(digest, now)
        self.given_up += len(given)
        return given

    def _is_due(self, copy: Copy, now: float, stream_read_at: float) -> bool:
        if self._count > self._max_waiting or self._bytes > self._max_bytes:
            return True
        age_s = now - copy.at
        not_found = age_s >= FOUND_WITHIN_S and stream_read_at > copy.at
        return not_found or age_s >= PATIENCE_S

    def _pop(self, digest: bytes) -> Copy:
        copies = self._waiting[digest]
        copy = copies.popleft()
        if not copies:
            del self._waiting[digest]
        self._count -= 1
        self._bytes -= len(copy.payload)
        return copy


class _Memory:
    """Digests, each as often as it was added, for a while."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()
        self._order: deque[tuple[float, bytes]] = deque()

    def add(self, digest: bytes, now: float) -> None:
        self._counts[digest] += 1
        self._order.append((now + REMEMBER_S, digest))
        while self._order[0][0] < now or len(self._order) > MAX_REMEMBERED:
            self._drop(self._order.popleft()[1])

    def take(self, digest: bytes, now: float) -> bool:
        while self._order and self._order[0][0] < now:
            self._drop(self._order.popleft()[1])
        if digest not in self._counts:
            return False
        self._drop(digest)
        return True

    def _drop(self, digest: bytes) -> None:
        """One less of it, if there is any left; an entry of the order may outlive its count."""
        left = self._counts.get(digest, 0) - 1
        if left > 0:
            self._counts[digest] = left
        else:
            self._counts.pop(digest, None)


def _digest(channel: bytes, payload: bytes) -> bytes:
    return blake2b(b"%d %b%b" % (len(channel), channel, payload), digest_size=16).digest()
