"""A batch on its way into the journal (pure)."""

from ._backlog import Batch
from ._draft import Draft
from ._intake import Taken
from ._segments import IdRange, Record, RecordKind, encode_assigned


class InHand:
    """A batch on its way into the journal: offered again by a successor as it is."""

    __slots__ = ("assigned", "batches", "draft", "kind", "moved_id", "number", "taken")

    def __init__(self, number: int, kind: RecordKind, batches: list[Batch]) -> None:
        self.number = number
        self.kind = kind
        self.batches = batches
        self.draft = Draft()
        self.taken: list[Taken] = []
        self.assigned: dict[int, tuple[IdRange, ...]] = {}
        self.moved_id = 0

    def record(self) -> Record:
        """What is journalled."""
        if self.kind is RecordKind.IDS:
            ranges = tuple(part for parts in self.assigned.values() for part in parts)
            return Record(self.number, self.kind, 0, encode_assigned(self.assigned), ranges)
        batch = self.batches[0]
        offset = self.moved_id.to_bytes(8) if self.moved_id else b""
        return Record(self.number, self.kind, batch.rows, batch.body, batch.ranges, 0, offset)
