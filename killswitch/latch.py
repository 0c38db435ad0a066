"""The latch: the copy of the stop that is there when nothing else is.

``<data>/killswitch.latch`` is the daemon's, ``<data>/killswitch.guard`` the guard's; each has one
writer, and the latch is the union of both. Calls block for a disk's time: the keeper makes them in
a thread.

Room: a trip takes 6.2 KB at most (500 control characters as its reason, 100 CJK ones as the
name, its digests), a release 580 bytes, an agent that was resumed some 30. A slot of 1 MiB holds
the 100 trips that strangers may put in force and 700 releases of the last 30 days; trips of
authorised calls are not limited, nor are releases. When the room is not enough, a file twice as
large takes its place; if the disk has no room for it then, the write fails like any other and is
retried.
"""

import re
import zlib
from pathlib import Path
from typing import Final

from ..protocol.document import FORMAT, write_document
from ..protocol.json_object import read_object, write_object
from ..protocol.trips import Stop
from .readings import Condition, Reading
from .slots import SlotFile, Slots

LATCH_NAME: Final = "killswitch.latch"
GUARD_NAME: Final = "killswitch.guard"
SLOT_BYTES: Final = 1024 * 1024
GUARD_SLOT_BYTES: Final = 128 * 1024
"""20 of the largest trips; the guard makes one in a silence."""

# Before there were slots: one line with the CRC-32 of the next, and JSON.
_OLD_FORM: Final = re.compile(rb"([0-9a-f]{8})\n(.*)", re.DOTALL)


class Latch:
    """Both files of a data directory.

    Args:
        folder: the data directory.
        slot_bytes: how large a slot of the daemon's file is made.
    """

    def __init__(self, folder: Path, slot_bytes: int = SLOT_BYTES) -> None:
        self._own = SlotFile(folder / LATCH_NAME, slot_bytes)
        self._guards = SlotFile(folder / GUARD_NAME, GUARD_SLOT_BYTES)

    def read(self) -> Reading:
        """What the daemon wrote."""
        return _reading(self._own.read())

    def read_guard(self) -> Reading:
        """What the guard wrote; absent is no reason for doubt."""
        return _reading(self._guards.read())

    def write(self, stop: Stop, *, resolved: bool, **extra: object) -> None:
        """Write and fsync; the disk has it on return.

        Args:
            stop: all that is known.
            resolved: as the last resolution says; of a latch that never met the other copies
                it must not be concluded that nothing is in force.
            extra: further fields, for the daemon's own use.

        Raises:
            OSError: the disk refused; what was written before still holds.
        """
        self._own.write(write_document(stop, resolved=resolved, **extra))


def _reading(slots: Slots) -> Reading:
    if not slots.exists:
        return Reading(Condition.ABSENT)
    if (old := _old_body(b"".join(slots.torn))) is not None and not slots.bodies:
        return Reading(Condition.FOUND, (old,))
    alien = tuple(body for body in slots.bodies if not _is_ours(body))
    ours = tuple(body for body in slots.bodies if _is_ours(body))
    why = slots.why or ("not a document of ours" if alien else "")
    resolved = bool(ours) and _is_resolved(ours[0])  # the newest
    return Reading(Condition.FOUND, ours, slots.torn + alien, why=why, resolved=resolved)


def _is_ours(body: bytes) -> bool:
    return (read_object(body) or {}).get("format") == FORMAT


def _is_resolved(body: bytes) -> bool:
    return (read_object(body) or {}).get("resolved") is True


def _old_body(data: bytes) -> bytes | None:
    """The JSON of a file in the old form; the guard's was one trip, put into a document here."""
    match = _OLD_FORM.fullmatch(data)
    if match is None or match[1] != b"%08x" % zlib.crc32(match[2]):
        return None
    fields = read_object(match[2]) or {}
    if "enabled" in fields or "trip_id" not in fields:
        return match[2]
    return write_object({"enabled": True, "revision": 0, "trips": [fields]})
