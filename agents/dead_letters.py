"""Events that a handler of an agent refused or failed on; the last of them are kept."""

from collections import deque

import msgspec

from .event import Event

CAPACITY = 100
"""The oldest goes first."""


class DeadLetter(msgspec.Struct, frozen=True):
    """One event and why it was not handled."""

    event: Event
    """As it came."""
    handler: str
    """The method."""
    reason: str
    """What it raised, or what its payload lacks."""


class DeadLetters:
    """The last `CAPACITY`; written by the handlers' thread, read by any."""

    def __init__(self) -> None:
        self._kept: deque[DeadLetter] = deque(maxlen=CAPACITY)
        self.total = 0
        """Since the start, those that are not kept any more included."""

    def add(self, event: Event, handler: str, reason: str) -> None:
        """Keep one."""
        self.total += 1
        self._kept.append(DeadLetter(event, handler, reason))

    def last(self) -> tuple[DeadLetter, ...]:
        """Those that are kept, the oldest first."""
        return tuple(self._kept)
