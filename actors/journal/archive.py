"""Segments whose rows are all in PostgreSQL, kept for a while for a restored dump that lacks them.

They lie in ``<journal>/kept``; ``refill`` reads them. Their disk is bounded, and the first to go
when the journal itself needs room. All methods run in the journal's worker.
"""

import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

HOUR_S = 3600.0


class _Kept(NamedTuple):
    path: Path
    size_bytes: int
    written_at: float


class KeptSegments:
    """The folder of kept segments, oldest first.

    Args:
        folder: Where; made when it is first needed.
        keep_s: For how long after they were written; 0: not at all.
        max_bytes: What they may take together; the oldest go first.
    """

    def __init__(self, folder: Path, keep_s: float, max_bytes: int) -> None:
        self.folder = folder
        self.size_bytes = 0
        """What they take together."""
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._kept: deque[_Kept] = deque()

    def open(self) -> None:
        """Find what was kept before; what is too old by now goes."""
        for path in sorted(self.folder.glob("*.seg")):
            self._note(path)
        self.expire()

    def take(self, path: Path) -> None:
        """Keep a segment, or delete it if none are kept.

        Raises:
            OSError: It can neither be moved nor deleted.
        """
        if not self._keep_s or not path.stat().st_size:
            path.unlink()
            return
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self._note(path.rename(self.folder / path.name))
        self.expire()

    def expire(self, now: float | None = None) -> None:
        """Delete what is too old or too much."""
        before = (time.time() if now is None else now) - self._keep_s
        while self._kept and (
            self._kept[0].written_at < before or self.size_bytes > self._max_bytes
        ):
            self._drop_oldest()

    def give_up(self) -> bool:
        """Delete all, for a disk that is full; whether there was anything."""
        some = bool(self._kept)
        while self._kept:
            self._drop_oldest()
        return some

    def _note(self, path: Path) -> None:
        found = path.stat()
        self._kept.append(_Kept(path, found.st_size, found.st_mtime))
        self.size_bytes += found.st_size

    def _drop_oldest(self) -> None:
        oldest = self._kept.popleft()
        self.size_bytes -= oldest.size_bytes
        oldest.path.unlink(missing_ok=True)
