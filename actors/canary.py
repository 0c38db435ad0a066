"""Canaries: the daemon's own messages, which prove that the bus works. Pure.

Every second one is published for each subscription and goes the whole way of an event: Redis,
listener, persister, monitor. It is never stored, shown or counted as an event. Its channel is a
pattern of the subscription filled with a secret of this data directory; its payload holds a secret
of this process.
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
"""Between two canaries of a subscription."""

_TOKEN: Final = re.compile(r"canary-[0-9a-f]{32}")

LOST_AFTER_S: Final = 4.5
"""Without a canary for this long the daemon is blind (noticed within 5 s)."""


def is_canary_channel(channel: str) -> bool:
    """Whether ``channel`` is a canary's, of this daemon or another one, and so no event."""
    return _TOKEN.search(channel) is not None


class _Payload(msgspec.Struct, frozen=True):
    canary: str
    connection: str
    number: int
    sent_at: float


class Canaries:
    """Makes and recognises canaries; shared by the listener and the persister.

    Args:
        word: Secret of this data directory, so that those of a previous run are recognised too.
        patterns: Of each subscription by name, in the order in which the first match counts.
    """

    def __init__(self, word: str, patterns: Mapping[str, Sequence[str]]) -> None:
        token = "canary-" + hashlib.sha256(f"canary {word}".encode()).hexdigest()[:32]
        self._mine = secrets.token_hex(16)
        self._number = 0
        matcher = TypeMatcher([pattern for each in patterns.values() for pattern in each])
        self.channels: dict[str, bytes] = {}
        """Of each subscription that can have a canary, by name."""
        for name, own in patterns.items():
            for pattern in sorted(own, key=_preference):
                channel = pattern.replace("*", token)
                if "*" in pattern and matcher.first(channel) in own:
                    self.channels[name] = channel.encode()
                    break
        self.foreign = 0
        """Canaries of a previous run, and forged ones."""

    def next(self, name: str, now: float) -> bytes:
        """The payload of the next canary for subscription ``name``."""
        self._number += 1
        return msgspec.json.encode(_Payload(self._mine, name, self._number, now))

    def read(self, channel: bytes, payload: bytes) -> Canary | None:
        """The canary in a message on ``channel``; None if this process did not make it."""
        try:
            found = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if (
            found is None
            or found.canary != self._mine
            or self.channels[found.connection] != channel
        ):
            self.foreign += 1
            return None
        return Canary(found.connection, found.sent_at)


_decode = msgspec.json.Decoder(_Payload).decode


def _preference(pattern: str) -> int:
    """Heartbeats first: the canary proves that those are visible."""
    return 0 if matches(pattern, HEARTBEAT_PREFIX + "x") else 1
