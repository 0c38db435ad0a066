"""Looks at a journal's folder without touching it, whether its daemon runs or not."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from .record_format import FORMAT_VERSION, SLOT_BYTES, Head, decode_head
from .survey import Inventory, JournalReport, Segment

SEGMENTS = "[0-9]" * 20 + ".seg"


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal's folder holds."""

    folder: str
    """Where it is."""
    format: int
    """The version of the format that this program writes."""
    segments: int
    """Files with records."""
    size_bytes: int
    """Their size."""
    damaged_segments: int
    """Files that were set aside by starts before, for people to look at."""
    last_record: int
    """The number of the last record."""
    committed_record: int
    """All records up to this one are in PostgreSQL."""
    highest_id: int
    """The highest id in it."""
    rows_total: int
    """Rows that it ever took."""
    last_at_ms: int
    """When it last took some, in milliseconds since the epoch; 0: never."""
    waiting: dict[str, int]
    """Rows that are not known to be in PostgreSQL, by source."""
    report: JournalReport
    """What reading all of it found."""

    @property
    def healthy(self) -> bool:
        """Whether nothing of it is damaged or missing."""
        report = self.report
        return not (report.damaged_places or report.missing_records or report.head_lost)


def inspect(folder: Path, on_read: Callable[[int, int], None] | None = None) -> Inspection:
    """Read all of a journal; some 200 MB a second, one segment in memory at a time.

    What a running daemon appends or deletes meanwhile may look torn or be left out; nothing else.

    Args:
        folder: ``journal`` in the data directory.
        on_read: Called with how many bytes of how many have been read.

    Raises:
        FileNotFoundError: There is no such folder.
        OSError: It cannot be read.
    """
    paths = sorted(folder.glob(SEGMENTS))
    sizes = [path.stat().st_size for path in paths]
    inventory = Inventory(_head(folder), int(paths[0].stem) if paths else None)
    done = 0
    for path, size in zip(paths, sizes, strict=True):
        try:
            inventory.add(Segment(path, size_bytes=size), path.read_bytes())
        except FileNotFoundError:  # all it held was committed a moment ago
            continue
        done += size
        if on_read is not None:
            on_read(done, sum(sizes))
    head = inventory.finish()
    waiting = inventory.uncommitted - inventory.moved_rows
    return _inspection(folder, sizes, head, inventory.report, waiting)


def _head(folder: Path) -> Head | None:
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no journal in {folder}")
    try:
        with (folder / "head").open("rb") as file:
            return decode_head(file.read(2 * SLOT_BYTES))
    except FileNotFoundError:
        return None


def _inspection(
    folder: Path, sizes: list[int], head: Head, report: JournalReport, waiting: Counter[str]
) -> Inspection:
    return Inspection(
        folder=str(folder),
        format=FORMAT_VERSION,
        segments=len(sizes),
        size_bytes=sum(sizes),
        damaged_segments=len(list((folder / "damaged").glob("*.seg"))),
        last_record=head.last_number,
        committed_record=head.committed_number,
        highest_id=head.highest_id,
        rows_total=head.rows_total,
        last_at_ms=head.last_at_ms,
        waiting=dict(waiting),
        report=report,
    )
