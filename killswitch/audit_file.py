"""Audit rows on disk, until PostgreSQL has them: a JSON object a line in ``<data>/audit.pending``.

Calls block; run them in one thread. Raises `OSError` where the disk refuses; then nothing changed.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..protocol.files import write_atomically
from ..sql.audit import AuditRow
from .regular_files import open_regular, write_all

PENDING: Final = "audit.pending"
MAX_BYTES: Final = 16 * 1024 * 1024
"""Some 40,000 rows; there is no room for more while PostgreSQL is away."""
CHUNK_BYTES: Final = 256 * 1024
"""How much is read at once; a line is far shorter."""


class AuditFile:
    """The rows of one daemon that wait.

    Args:
        folder: The data directory.
        max_bytes: How large the file may get.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = folder / PENDING
        self._max_bytes = max_bytes
        self._descriptor: int | None = None
        self._offset = 0

    def append(self, rows: Sequence[AuditRow]) -> int:
        """Add rows, synced to disk; returns how many there was room for, the first ones."""
        descriptor = self._opened()
        size = os.fstat(descriptor).st_size
        data, fitting = bytearray(), 0
        for row in rows:
            line = msgspec.json.encode(row) + b"\n"
            if size + len(data) + len(line) > self._max_bytes:
                break
            data += line
            fitting += 1
        try:
            write_all(descriptor, bytes(data), size)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        return fitting

    def read(self) -> list[AuditRow] | None:
        """The next rows, ``None`` after the last; a line that is no row is left out."""
        data = os.pread(self._opened(), CHUNK_BYTES, self._offset)
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            return None
        self._offset += len(whole)
        return [row for line in whole.splitlines() if (row := _read_row(line)) is not None]

    def rewind(self) -> None:
        """Read from the beginning again."""
        self._offset = 0

    def keep(self, rows: Sequence[AuditRow]) -> None:
        """Hold these rows and no others."""
        self._offset = 0
        if not rows:
            os.ftruncate(self._opened(), 0)
            return
        self.close()
        write_atomically(self._path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def count(self) -> int:
        """How many rows wait; 0 where the file cannot be read."""
        try:
            self._opened()
            with self._path.open("rb") as file:
                return sum(_read_row(line) is not None for line in file)
        except OSError:
            return 0

    def close(self) -> None:
        """Close it; the next call opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        if self._descriptor is None:
            descriptor = open_regular(self._path, os.O_RDWR | os.O_CREAT)
            os.fchmod(descriptor, 0o600)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                write_all(descriptor, b"\n", size)  # a crash has torn the last line
            self._descriptor = descriptor
        return self._descriptor


def _read_row(line: bytes) -> AuditRow | None:
    try:
        return msgspec.json.decode(line, type=AuditRow)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
