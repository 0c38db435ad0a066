"""How far the durable stream is read, as the journal and a small file next to it record it.

Each record of the journal that holds entries says where they end. Its segments go once PostgreSQL
has all they hold; so before that the place is written to the file, lest a start without PostgreSQL
know of none.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Final

from ...sql.events.stream_position import StreamPosition

_POSITION: Final = struct.Struct("<QQQqQ")
_CRC: Final = struct.Struct("<I")
# Disks write sectors of at least 512 bytes whole; two slots, written in turn.
_SLOT_BYTES: Final = 512


def encode_position(position: StreamPosition) -> bytes:
    """Form the stream offset of a record."""
    return _POSITION.pack(
        position.generation,
        position.ms,
        position.seq,
        position.entries_read,
        position.read_at_ms,
    )


def decode_position(data: bytes) -> StreamPosition | None:
    """Read the stream offset of a record; None if it holds none."""
    return StreamPosition(*_POSITION.unpack(data)) if len(data) == _POSITION.size else None


class OffsetFile:
    """Where the stream is read to by all that is committed; for the journal's worker.

    Both slots are written when it is made, so that writing needs no room on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._turn = 0

    def open(self) -> StreamPosition | None:
        """Open it, make it if it is missing, and read what it says.

        Raises:
            OSError: It cannot be read or made.
        """
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        data = os.pread(self._file, 2 * _SLOT_BYTES, 0)
        if len(data) < 2 * _SLOT_BYTES:
            os.pwrite(self._file, data.ljust(2 * _SLOT_BYTES, b"\0"), 0)
        slots = [_slot(data[start:]) for start in (0, _SLOT_BYTES)]
        self._turn = 0 if slots[0] is None or (slots[1] is not None and slots[1] >= slots[0]) else 1
        return max((slot for slot in slots if slot is not None), default=None)

    def write(self, position: StreamPosition) -> None:
        """Note ``position`` over the older of the two notes; waits for the disk, never raises."""
        packed = encode_position(position)
        try:
            os.pwrite(self._file, packed + _CRC.pack(zlib.crc32(packed)), self._turn * _SLOT_BYTES)
        except OSError:
            return  # PostgreSQL knows it, and so do the segments that could not be deleted
        self._turn = 1 - self._turn

    def close(self) -> None:
        """Close it."""
        if self._file != -1:
            os.close(self._file)
            self._file = -1


def _slot(data: bytes) -> StreamPosition | None:
    packed, checksum = data[: _POSITION.size], data[_POSITION.size :][: _CRC.size]
    if len(checksum) < _CRC.size or checksum != _CRC.pack(zlib.crc32(packed)):
        return None
    return decode_position(packed)
