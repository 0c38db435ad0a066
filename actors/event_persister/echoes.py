"""What the daemon published itself, so that its echo is not stored again (pure).

Bounded and expiring: an echo that never comes (Redis lost the message) is forgotten.
"""

from collections import Counter, OrderedDict
from hashlib import blake2b

from ..payloads import Cut

# The listener tries again for as long as Redis is away; an hour of that is generous.
EXPIRE_S = 3600.0
CAPACITY = 10_000


class EchoTable:
    """Recognises by channel and exact bytes (kept as a digest of 128 bits), each once."""

    def __init__(self, capacity: int = CAPACITY, expire_s: float = EXPIRE_S) -> None:
        self.capacity = capacity
        self.expire_s = expire_s
        self.forgotten = 0
        """Echoes that never came, or not in time."""
        self._channels: Counter[bytes] = Counter()
        self._expected: OrderedDict[bytes, tuple[bytes, float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._expected)

    def expect(self, channel: bytes, payload: bytes, now: float) -> None:
        """Note that ``payload`` is about to be published (once more) on ``channel``."""
        key = _digest(channel, payload)
        _channel, _until, times = self._expected.pop(key, (channel, 0.0, 0))
        if not times:
            self._channels[channel] += 1
        self._expected[key] = (channel, now + self.expire_s, times + 1)
        while self._is_over(now):
            self.forgotten += 1
            self._forget(next(iter(self._expected)))

    def _is_over(self, now: float) -> bool:
        _channel, until, _times = next(iter(self._expected.values()))
        return until < now or len(self._expected) > self.capacity

    def take(self, channel: bytes, payload: bytes, now: float) -> bool:
        """Whether this message is an echo; if so, it is not expected any more."""
        if channel not in self._channels or isinstance(payload, Cut):
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
        self._channels[channel] -= 1
        if not self._channels[channel]:
            del self._channels[channel]


def _digest(channel: bytes, payload: bytes) -> bytes:
    return blake2b(b"%d %b%b" % (len(channel), channel, payload), digest_size=16).digest()
