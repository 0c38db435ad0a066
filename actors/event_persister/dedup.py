"""What arrives twice is stored once (pure); recognised by channel and exact bytes.

Echoes: what the daemon published itself comes back from Redis. Each is left out as often as it was
published. Bounded and expiring: an echo that never comes (Redis lost the message) is forgotten.

Durable messages that are published as well: the durable stream's copy is stored. A published copy
that says ``"durable": true`` is withheld; if the stream does not bring it within 10 s, it is stored
as published, and counted.
"""

from collections import Counter, OrderedDict, deque
from hashlib import blake2b
from typing import Final

import msgspec

from ..payloads import Cut

FOUND_WITHIN_S: Final = 10.0
"""The contract's limit."""

PATIENCE_S: Final = 60.0
"""How long a copy is withheld if the stream cannot be read to its end: it may still come."""

REMEMBER_S: Final = 120.0
"""How long entries of the stream are remembered for copies that come later."""

MAX_WAITING: Final = 10_000
"""Copies withheld; beyond it the oldest is stored as published."""

MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""The same, of their payloads."""

MAX_REMEMBERED: Final = 50_000
"""Digests of each kind."""


# The listener tries again for as long as Redis is away; an hour of that is generous.
ECHO_EXPIRE_S: Final = 3600.0
ECHO_CAPACITY: Final = 10_000


class EchoTable:
    """What the daemon published and has not heard back; kept as digests of 128 bits."""

    def __init__(self, capacity: int = ECHO_CAPACITY, expire_s: float = ECHO_EXPIRE_S) -> None:
        self.capacity = capacity
        self.expire_s = expire_s
        self.channels: Counter[bytes] = Counter()
        """Messages expected, by channel; only those channels need be looked up."""
        self._expected: OrderedDict[bytes, tuple[bytes, float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._expected)

    def expect(self, channel: bytes, payload: bytes, now: float) -> None:
        """Note that ``payload`` is about to be published (once more) on ``channel``."""
        key = _digest(channel, payload)
        _channel, _until, times = self._expected.pop(key, (channel, 0.0, 0))
        if not times:
            self.channels[channel] += 1
        self._expected[key] = (channel, now + self.expire_s, times + 1)
        while self._is_over(now):
            self._forget(next(iter(self._expected)))

    def _is_over(self, now: float) -> bool:
        _channel, until, _times = next(iter(self._expected.values()))
        return until < now or len(self._expected) > self.capacity

    def take(self, channel: bytes, payload: bytes, now: float) -> bool:
        """Whether this message is an echo; if so, it is not expected any more."""
        if channel not in self.channels or isinstance(payload, Cut):
            return False
        key = _digest(channel, payload)
        if key not in self._expected:
            return False
        _channel, until, times = self._expected[key]
        if times > 1:
            self._expected[key] = (channel, until, times - 1)
        else:
            self._forget(key)
        return until >= now

    def _forget(self, key: bytes) -> None:
        channel, _until, _times = self._expected.pop(key)
        self.channels[channel] -= 1
        if not self.channels[channel]:
            del self.channels[channel]


class Copy(msgspec.Struct, frozen=True, gc=False):
    """A published copy that is withheld for the stream's."""

    channel: bytes
    """Where it was published."""
    payload: bytes
    """As published."""
    ts: str
    """When it was read."""
    at: float
    """The same, monotonic."""


class DurableCopies:
    """Decides which of the two copies of a durable message is stored."""

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
