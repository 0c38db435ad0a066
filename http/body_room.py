"""Room for the bodies of requests that are still arriving, all connections together.

A body is kept until it is complete, and a caller may leave that to the last byte. So they share a
room; the first piece of each is free, so that small bodies, stops above all, always have some.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .errors import Unavailable

PIECE_BYTES: Final = 16 * 1024
"""Read at once; this much of each body takes no room."""
ROOM_BYTES: Final = 32 * 1024 * 1024
"""Thirty of the largest bodies that are allowed by default."""


class BodyRoom:
    """Counts the bytes held. Pure.

    Args:
        room_bytes: The most, the first piece of each body not counted.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self.room_bytes = room_bytes
        self.held_bytes = 0

    @contextmanager
    def held(self) -> Iterator[Callable[[int], None]]:
        """Hold one body while the block runs; call what it gives with the size of each piece.

        That raises `Unavailable` where there is no room: the caller may try again.
        """
        size = counted = 0

        def hold(more: int) -> None:
            nonlocal size, counted
            size += more
            wanted = max(0, size - PIECE_BYTES) - counted
            if wanted and self.held_bytes + wanted > max(self.room_bytes, wanted):
                raise Unavailable("Too many large bodies are on their way; try again.")
            counted += wanted
            self.held_bytes += wanted

        try:
            yield hold
        finally:
            self.held_bytes -= counted


BODIES: Final = BodyRoom()
"""The process's."""
