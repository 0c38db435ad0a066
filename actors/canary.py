"""The canary: a message of the daemon's own that proves that the bus works. Pure.

Every second one is published for each lane and goes the whole way of an event: Redis, listener,
persister, monitor. It is never stored, shown or counted as an event. Its channel is made from a
pattern of the lane and a word that only this data directory knows, its payload holds a word that
only this process knows.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..protocol.patterns import TypeMatcher, matches
from .events import HEARTBEAT_PREFIX
from .messages.heartbeat_monitor import Canary

INTERVAL_S: Final = 1.0
"""From one to the next."""

_TOKEN: Final = re.compile(r"canary-[0-9a-f]{32}")

LOST_AFTER_S: Final = 4.5
"""Without one for so long the daemon is blind (noticed within 5 s)."""


def is_canary_channel(channel: str) -> bool:
    """Whether ``channel`` is a canary's, of this daemon or another one: nobody's event."""
    return _TOKEN.search(channel) is not None


class _Payload(msgspec.Struct, frozen=True):
    canary: str
    lane: str
    number: int
    sent_at: float


class Canaries:
    """Makes and recognises them; shared by those on the way.

    Args:
        word: Unguessable, of this data directory: messages of a daemon before this one are
            recognised by it too.
        lanes: Each lane's patterns, in the order in which the first that matches counts.
    """

    def __init__(self, word: str, lanes: Mapping[str, Sequence[str]]) -> None:
        token = "canary-" + hashlib.sha256(f"canary {word}".encode()).hexdigest()[:32]
        self._mine = secrets.token_hex(16)
        self._number = 0
        matcher = TypeMatcher([pattern for patterns in lanes.values() for pattern in patterns])
        self.channels: dict[str, bytes] = {}
        """The channel of each lane that can have one."""
        for lane, patterns in lanes.items():
            for pattern in sorted(patterns, key=_preference):
                channel = pattern.replace("*", token)
                if "*" in pattern and matcher.first(channel) in patterns:
                    self.channels[lane] = channel.encode()
                    break
        self.foreign = 0
        """Messages on these channels that were not ours: of a daemon before this one."""

    def next(self, lane: str, now: float) -> bytes:
        """The payload of the next one for ``lane``."""
        self._number += 1
        return msgspec.json.encode(_Payload(self._mine, lane, self._number, now))

    def read(self, channel: bytes, payload: bytes) -> Canary | None:
        """What came on ``channel``, one of ours, if it was made by this process."""
        try:
            found = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if found is None or found.canary != self._mine or self.channels[found.lane] != channel:
            self.foreign += 1
            return None
        return Canary(found.lane, found.sent_at)


_decode = msgspec.json.Decoder(_Payload).decode


def _preference(pattern: str) -> int:
    """Heartbeats first: the canary tells whether those can be seen."""
    return 0 if matches(pattern, HEARTBEAT_PREFIX + "x") else 1
