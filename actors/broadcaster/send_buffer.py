"""Frames pending for one client: urgent ones, events, states of agents. Pure."""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from .frames import Wire, as_is, gap_frame

# One send delays urgent frames for as long as it takes: some ms even on a slow link.
SEND_BYTES: Final = 256 * 1024

# States of agents pending for a client; of one agent only the newest is kept.
_MAX_STATUSES: Final = 1000


class Chunk(NamedTuple):
    """Frames of consecutive events, joined; many clients share one."""

    data: bytes
    """As sent; empty: these frames were dropped, and the client gets a gap frame instead."""
    first_id: int
    """The lowest id in it."""
    last_id: int
    """The highest id in it."""
    frames: int
    """How many."""


class SendBuffer:
    """Frames pending for one client, in at most ``limit_bytes``.

    Urgent frames (and replies to the client's own) go first and are not counted: there are few, or
    the reader stops reading. When events do not fit, the oldest are dropped, and a gap frame with
    their range takes their place. Of an agent's state only the newest is kept.

    Args:
        limit_bytes: Of pending events.
        wire: The encoding of this client's frames.
    """

    def __init__(self, limit_bytes: int, wire: Wire = as_is) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.urgent_bytes = 0
        self.dropped = 0
        """Events this client did not get, in total."""
        self.on_room: Callable[[], None] | None = None
        """Called when events were taken; must not block."""
        self._wire = wire
        self._urgent: deque[bytes] = deque()
        self._chunks: deque[Chunk] = deque()
        self._statuses: dict[str, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._urgent or self._chunks or self._statuses)

    def add(self, chunk: Chunk) -> None:
        """Queue events, or a gap; the oldest make room. An oversized chunk is queued alone."""
        if not chunk.data:
            self.note_gap(chunk.first_id, chunk.last_id, chunk.frames)
            return
        while self.size_bytes and self.size_bytes + len(chunk.data) > self.limit_bytes:
            self._drop_oldest()
        self._chunks.append(chunk)
        self.size_bytes += len(chunk.data)

    def add_urgent(self, frame: bytes) -> None:
        """Queue a frame before everything but other urgent ones."""
        self._urgent.append(frame)
        self.urgent_bytes += len(frame)

    def add_status(self, agent_id: str, frame: bytes) -> None:
        """Queue an agent's state, replacing an older one."""
        self._statuses.pop(agent_id, None)
        if len(self._statuses) >= _MAX_STATUSES:
            del self._statuses[next(iter(self._statuses))]
        self._statuses[agent_id] = frame

    def take(self, limit_bytes: int = SEND_BYTES) -> bytes:
        """What to send now, in one call; empty if nothing is pending."""
        parts = list(self._urgent)
        size = self.urgent_bytes
        self._urgent.clear()
        self.urgent_bytes = 0
        chunks = self._chunks
        taken = bool(chunks)
        while chunks and (not size or size + len(chunks[0].data) <= limit_bytes):
            chunk = chunks.popleft()
            parts.append(chunk.data or self._gap(chunk))
            size += len(chunk.data)
            self.size_bytes -= len(chunk.data)
        if not chunks:
            parts += self._statuses.values()
            self._statuses.clear()
        if taken and self.on_room is not None:
            self.on_room()
        return b"".join(parts)

    def forget_events(self) -> None:
        """Drop everything that is not urgent: this client is being closed."""
        self.dropped += sum(chunk.frames for chunk in self._chunks if chunk.data)
        self._chunks.clear()
        self.size_bytes = 0
        self._statuses.clear()

    def note_gap(self, first_id: int, last_id: int, frames: int) -> None:
        """Queue a gap of ``frames`` events, after what is pending."""
        self.dropped += frames
        gap = Chunk(b"", first_id, last_id, frames)
        if self._chunks and not self._chunks[-1].data:
            gap = _joined(self._chunks.pop(), gap)
        self._chunks.append(gap)

    def _drop_oldest(self) -> None:
        """Replace the oldest events by a gap, merged with adjacent gaps."""
        chunks = self._chunks
        before = None if chunks[0].data else chunks.popleft()
        oldest = chunks.popleft()
        self.size_bytes -= len(oldest.data)
        self.dropped += oldest.frames
        gap = oldest._replace(data=b"")
        if before is not None:
            gap = _joined(before, gap)
        if chunks and not chunks[0].data:
            gap = _joined(gap, chunks.popleft())
        chunks.appendleft(gap)

    def _gap(self, gap: Chunk) -> bytes:
        return self._wire(gap_frame(gap.first_id, gap.last_id, gap.frames), None)


def _joined(first: Chunk, second: Chunk) -> Chunk:
    """Two adjacent gaps as one."""
    first_id = min(first.first_id, second.first_id)
    last_id = max(first.last_id, second.last_id)
    return Chunk(b"", first_id, last_id, first.frames + second.frames)
