"""Unhandled messages: kept for inspection, and counted."""

import time
from collections import deque

import msgspec

# A repr of a batch may be huge, and these are for eyes.
_REPR_LIMIT = 500


class DeadLetter(msgspec.Struct, frozen=True):
    """One message that was not handled."""

    actor: str
    """The address it was sent to."""
    message: str
    """Its repr, at most 500 characters."""
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
        text = repr(message)
        if len(text) > _REPR_LIMIT:
            text = text[: _REPR_LIMIT - 1] + "…"
        self._letters.append(DeadLetter(actor, text, reason, time.time()))

    def snapshot(self) -> list[DeadLetter]:
        """The kept ones, oldest first."""
        return list(self._letters)
