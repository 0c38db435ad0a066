"""The position in the durable stream, and its storage in PostgreSQL."""

from typing import Final

import msgspec

from ..connection import Connection
from ..named_queries import query

STREAM: Final = "orchestrator:events"
"""The contract's one stream."""


class StreamPosition(msgspec.Struct, frozen=True, gc=False, order=True):
    """The entry after which reading resumes. Later positions compare as greater."""

    generation: int = 0
    """Rises when the stream was lost and started over: its ids may be lower then."""
    ms: int = 0
    """First half of the id of the last entry read, 0 before any."""
    seq: int = 0
    """Second half."""
    entries_read: int = -1
    """Entries ever added up to this one, by the server's own counter; -1: not known."""
    read_at_ms: int = 0
    """When that was, in milliseconds since the epoch."""

    @property
    def entry_id(self) -> str:
        """As Redis writes it."""
        return f"{self.ms}-{self.seq}"


def entry_id_of(text: str) -> tuple[int, int]:
    """Both halves of an entry's id.

    Raises:
        ValueError: It is none.
    """
    ms, _, seq = text.partition("-")
    return int(ms), int(seq)


def load_position(connection: Connection) -> StreamPosition | None:
    """The committed position; None if there is none."""
    row = connection.execute(query("stream_load"), {"name": STREAM}).fetchone()
    if row is None:
        return None
    generation, last_id, entries_read, read_at_ms = row
    counted = -1 if entries_read is None else entries_read
    return StreamPosition(generation, *entry_id_of(last_id), counted, read_at_ms)


def save_position(connection: Connection, position: StreamPosition) -> None:
    """Save ``position`` in the transaction that stores the events up to it."""
    parameters = {
        "name": STREAM,
        "generation": position.generation,
        "last_id": position.entry_id,
        "entries_read": None if position.entries_read < 0 else position.entries_read,
        "read_at_ms": position.read_at_ms,
    }
    connection.execute(query("stream_save"), parameters)
