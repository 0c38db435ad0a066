"""Regular files alone: opened without following a link and without waiting for a FIFO.

Standard library only, and nothing of ours: the guard uses it as well. All calls block.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

SAFE_FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ_LIMIT: Final = 256 * 1024 * 1024
"""What is larger was not written by us."""
_READ_BYTES: Final = 1024 * 1024


class NotRegular(OSError):
    """A directory, a link, a FIFO, a socket, a device."""


def open_regular(path: Path, flags: int) -> int:
    """A descriptor of a regular file.

    Raises:
        NotRegular: it is something else.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, flags | SAFE_FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise NotRegular(error.errno, "not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(errno.EINVAL, "not a regular file")
    return descriptor


def read_regular(path: Path, limit: int = READ_LIMIT) -> bytes:
    """Up to ``limit`` bytes of a regular file; raises as `open_regular` does."""
    descriptor = open_regular(path, os.O_RDONLY)
    try:
        return read_all(descriptor, limit)
    finally:
        os.close(descriptor)


def read_all(descriptor: int, limit: int = READ_LIMIT) -> bytes:
    """Up to ``limit`` bytes from the file's beginning."""
    data = bytearray()
    while part := os.pread(descriptor, min(_READ_BYTES, limit - len(data)), len(data)):
        data += part
    return bytes(data)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at ``offset``."""
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
