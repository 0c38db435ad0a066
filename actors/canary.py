"""Canaries: the daemon's own messages, which prove that the bus works. Pure.

Every second one is published for each subscription and goes the whole way of an event: Redis,
listener, persister, monitor. It is never stored, shown or counted as an event. All go on one
channel, named by a secret of this data directory, to which both connections subscribe besides what
the settings say: nothing goes on the channels of users. The payload holds a secret of this process.
"""

import hashlib
import re
import secrets
from typing import Final

import msgspec

from ..protocol.channels import CANARIES
from .messages.heartbeat_monitor import Canary

INTERVAL_S: Final = 1.0
"""Between two canaries of a subscription."""

# Former versions sent them on users' channels; another daemon may be one.
_TOKEN: Final = re.compile(r"canary-[0-9a-f]{32}")

LOST_AFTER_S: Final = 4.5
"""Without a canary for this long the daemon is blind (noticed within 5 s)."""


def is_canary_channel(channel: str) -> bool:
    """Whether ``channel`` is a canary's, of this daemon or another one, and so no event."""
    return channel.startswith(CANARIES) or _TOKEN.search(channel) is not None


class _Payload(msgspec.Struct, frozen=True):
    canary: str
    connection: str
    number: int
    sent_at: float


class Canaries:
    """Makes and recognises canaries; shared by the listener and the persister.

    Args:
        word: Secret of this data directory.
    """

    def __init__(self, word: str) -> None:
        token = hashlib.sha256(f"canary {word}".encode()).hexdigest()[:32]
        self._mine = secrets.token_hex(16)
        self._number = 0
        self.channel = f"{CANARIES}{token}".encode()
        """Where they are published."""
        self.pattern = f"{CANARIES}*".encode()
        """What is subscribed to: to a pattern an account must have a right in the same words."""
        self.foreign = 0
        """Canaries of a previous run, and forged ones."""

    def next(self, connection: str, now: float) -> bytes:
        """The payload of the next canary for a subscription; ``now`` in monotonic seconds."""
        self._number += 1
        return msgspec.json.encode(_Payload(self._mine, connection, self._number, now))

    def read(self, connection: str, channel: bytes, payload: bytes) -> Canary | None:
        """The canary in a message that came by ``connection``.

        ``None`` if this process did not make it, or made it for the other connection.
        """
        if channel != self.channel:
            return None
        try:
            found = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if found is None or found.canary != self._mine:
            self.foreign += 1
            return None
        return Canary(connection, found.sent_at) if found.connection == connection else None


_decode = msgspec.json.Decoder(_Payload).decode
