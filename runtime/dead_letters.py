"""Unhandled messages: kept for inspection, and counted."""

import time
from collections import deque

import msgspec

from ..protocol.excerpt import excerpt


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was not handled."""

    actor: str
    """The address it was sent to."""
    message: str
    """Its beginning, at most 500 characters."""
    reason: str
    """Why it was not handled."""
    at: float
    """When, in seconds since the epoch."""


class DeadLetters:
    """The last ``capacity`` dead letters, and their total."""

    def __init__(self, capacity: int = 1000) -> None:
        self.total = 0
        self._letters: deque[DeadLetter] = deque(maxlen=capacity)

    def add(self, actor: str, message: object, reason: str) -> None:
        """Keep ``message``; the oldest one makes room."""
        self.total += 1
        self._letters.append(DeadLetter(actor, excerpt(message), reason, time.time()))

    def snapshot(self) -> list[DeadLetter]:
        """The kept ones, oldest first."""
        return list(self._letters)
