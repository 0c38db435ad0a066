"""Trip files in the data directory: ``TRIP`` and ``killswitch`` by hand, ``TRIP.<ulid>`` by `orc`.

Regular files only, opened without following links and without waiting for a FIFO, and read to
4 KiB: their text is published.
"""

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..regular_files import NotRegular, read_regular

READ_BYTES: Final = 4096
BY_HAND: Final = ("TRIP", "killswitch")
WITH_ID: Final = re.compile(r"TRIP\.[0-9A-HJKMNP-TV-Z]{26}")
"""The daemon renames it once its latch holds the trip."""
WRITING_S: Final = 0.1
"""So young an empty file may still be written (``echo why > TRIP``)."""


@dataclass(frozen=True, slots=True)
class TripFile:
    """One that has appeared."""

    name: str
    data: bytes = b""
    """Its beginning."""
    ignored: str = ""
    """Why it engages nothing."""


class TripFiles:
    """Looks for files that appear.

    A file is known by its inode for as long as it is there: one whose text changes is no new one.

    Args:
        folder: the data directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[tuple[str, int]] = set()

    def look(self) -> list[TripFile]:
        """Those that were not there at the last look."""
        found = dict(self._candidates())
        self._seen &= found.keys()
        new = {key for key in found.keys() - self._seen if not _is_being_written(found[key])}
        self._seen |= new
        files = (self._read(name) for name, _ in sorted(new))
        return [file for file in files if file is not None]

    def _candidates(self) -> Iterator[tuple[tuple[str, int], os.stat_result]]:
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if _is_trip(entry.name):
                    with suppress(OSError):
                        found = entry.stat(follow_symlinks=False)
                        yield (entry.name, found.st_ino), found

    def _read(self, name: str) -> TripFile | None:
        try:
            return TripFile(name, read_regular(self._folder / name, READ_BYTES))
        except NotRegular:
            return TripFile(name, ignored="not a regular file")
        except FileNotFoundError:
            return None
        except OSError:  # it is there: that is what counts
            return TripFile(name)


def _is_trip(name: str) -> bool:
    return name in BY_HAND or WITH_ID.fullmatch(name) is not None


def _is_being_written(found: os.stat_result) -> bool:
    empty = stat.S_ISREG(found.st_mode) and not found.st_size
    return empty and 0 <= time.time() - found.st_mtime < WRITING_S
