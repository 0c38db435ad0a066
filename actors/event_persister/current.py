"""A batch on its way into the journal (pure)."""

from ..journal.record_format import IdRange, Record, RecordKind, encode_assigned
from ..journal.stream_offset import encode_position
from ..sources import code_of
from .backlog import Batch
from .inbox import Taken
from .ingest import Draft


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

    def passed_on(self) -> None:
        """Let go of what is not journalled: while the disk refuses, hands wait in memory."""
        self.draft, self.taken = Draft(), []

    def record(self) -> Record:
        """What is journalled."""
        if self.kind is RecordKind.IDS:
            ranges = tuple(part for parts in self.assigned.values() for part in parts)
            return Record(self.number, self.kind, 0, encode_assigned(self.assigned), ranges)
        batch = self.batches[0]
        offset = self.moved_id.to_bytes(8) if self.moved_id else b""
        if batch.stream is not None:
            offset = encode_position(batch.stream)
        runs = tuple((code_of(run.lane), run.rows, run.rejected) for run in batch.runs)
        return Record(
            number=self.number,
            kind=self.kind,
            rows=batch.rows,
            body=batch.body,
            ranges=batch.ranges,
            stream_offset=offset,
            runs=runs,
        )
