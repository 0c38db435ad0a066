"""Preallocated slots: a file of two checksummed records, of which the older is overwritten.

Standard library only, and nothing of ours: the guard uses it as well. A write allocates nothing,
so that it works on a full disk (on file systems that overwrite in place; btrfs and ZFS do not).
There is no lock: a file has one writer, and readers unite what both slots hold.

A slot is blank (zeros), whole, or torn; a file is made with the first one whole, so that one of
zeros alone is damaged. A slot's header is one line of ASCII::

    orchestrator-slot <sequence, 16 hex> <length, 8 hex> <BLAKE2b-128 of sequence, length, body>

A write goes over a torn slot first, and over one whose last write failed: it may hold what nobody
was promised. Else over a blank one, else over the older.
"""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from .regular_files import (
    SAFE_FLAGS,
    NotRegular,
    open_regular,
    read_all,
    sync_folder,
    write_all,
)

SLOTS: Final = 2
_HEADER: Final = re.compile(rb"orchestrator-slot ([0-9a-f]{16}) ([0-9a-f]{8}) ([0-9a-f]{32})\n")
_HEADER_BYTES: Final = len("orchestrator-slot ") + 16 + 1 + 8 + 1 + 32 + 1
_PAGE: Final = 4096
"""Slots are whole blocks of the disk, so that writing one cannot tear the other."""


@dataclass(frozen=True, slots=True)
class Slots:
    """What a slot file holds."""

    exists: bool = True
    """Whether there is anything of that name."""
    bodies: tuple[bytes, ...] = ()
    """Of whole slots, the newest first."""
    torn: tuple[bytes, ...] = ()
    """Bytes of slots that are neither blank nor whole; all of it where the form is not ours."""
    why: str = ""
    """What is wrong, in words."""


@dataclass(frozen=True, slots=True)
class _Slot:
    offset: int
    sequence: int = -1
    body: bytes | None = None
    """Of a whole slot."""
    torn: bytes = b""
    """All of a torn slot."""


class SlotFile:
    """One file of slots. Calls block for a disk's time; nothing is kept open between them.

    Args:
        path: the file.
        slot_bytes: size of a slot; more is taken when a body needs it.
    """

    def __init__(self, path: Path, slot_bytes: int) -> None:
        self.path = path
        self._slot_bytes = slot_bytes
        self._fresh = path.with_name(f"{path.name}.new")
        """A whole file on its way to its place."""
        self._draft = path.with_name(f"{path.name}.draft")
        """Never read."""
        self._failed: set[int] = set()
        """Offsets of slots whose last write failed."""

    def read(self) -> Slots:
        """What there is; a new file that a crash kept from its place counts as well."""
        found, fresh = _read(self.path), _read(self._fresh)
        if fresh.torn or not fresh.bodies:
            return found
        return Slots(True, found.bodies + fresh.bodies, found.torn, found.why)

    def write(self, body: bytes) -> None:
        """Write and fsync; returns when the disk has it, and no torn slot remains.

        Where there is no slot file, or one whose slots are too small, a new one takes its place;
        until it does the old one is what is read. What is overwritten although it is torn, or no
        slot file, is kept next to it (``<name>.kept-…``), if the disk takes it.

        Raises:
            OSError: the disk refused; what was whole before still is.
        """
        try:
            descriptor = open_regular(self.path, os.O_RDWR)
        except (FileNotFoundError, NotRegular):
            self._replace(body)
            return
        try:
            size = _slot_size(descriptor)
            if size < _HEADER_BYTES + len(body):
                self._replace(body)
            else:
                self._overwrite(descriptor, _slots(descriptor, size), body)
        finally:
            os.close(descriptor)
        self._fresh.unlink(missing_ok=True)

    def _overwrite(self, descriptor: int, slots: list[_Slot], body: bytes) -> None:
        sequence = max(slot.sequence for slot in slots) + 1
        doubtful = [slot for slot in slots if slot.torn or slot.offset in self._failed]
        for slot in doubtful or [min(slots, key=lambda slot: slot.sequence)]:
            if slot.torn:
                self._keep(slot.torn)
            self._failed.add(slot.offset)
            write_all(descriptor, _record(sequence, body), slot.offset)
            os.fsync(descriptor)
            self._failed.discard(slot.offset)

    def _replace(self, body: bytes) -> None:
        """Allocate a new file, whole and on disk before it takes the old one's place."""
        needed = _pages(_HEADER_BYTES + 2 * len(body))  # so that it can grow in place
        size = max(_pages(self._slot_bytes), needed)
        create = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(self._draft, create | SAFE_FLAGS, 0o600)
        try:
            # Real zeros: blocks that are only reserved may still need room when written.
            write_all(descriptor, _record(0, body).ljust(SLOTS * size, b"\0"), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._draft.replace(self._fresh)
        sync_folder(self.path.parent)
        self._make_way()
        self._fresh.replace(self.path)
        self._failed.clear()
        sync_folder(self.path.parent)

    def _make_way(self) -> None:
        """Keep what is in the way, if it is no slot file."""
        try:
            descriptor = open_regular(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return
        except NotRegular:  # a directory, a link, a FIFO
            self.path.replace(self._kept(os.urandom(8)))
            return
        try:
            if not _slot_size(descriptor):
                self._keep(read_all(descriptor))
        finally:
            os.close(descriptor)

    def _keep(self, data: bytes) -> None:
        with suppress(OSError):  # on a full disk the stop is worth more than its evidence
            descriptor = os.open(self._kept(data), os.O_WRONLY | os.O_CREAT | SAFE_FLAGS, 0o600)
            try:
                write_all(descriptor, data, 0)
            finally:
                os.close(descriptor)

    def _kept(self, data: bytes) -> Path:
        name = blake2b(data, digest_size=8).hexdigest()
        return self.path.with_name(f"{self.path.name}.kept-{name}")


def _read(path: Path) -> Slots:
    try:
        descriptor = open_regular(path, os.O_RDONLY)
        try:
            return _contents(descriptor, path.name)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return Slots(exists=False)
    except OSError as error:
        why = f"{path.name}: {error.strerror or error}"
        return Slots(torn=(why.encode(),), why=why)


def _contents(descriptor: int, name: str) -> Slots:
    slots = _slots(descriptor, _slot_size(descriptor))
    slots.sort(key=lambda slot: -slot.sequence)
    bodies = tuple(slot.body for slot in slots if slot.body is not None)
    torn = tuple(slot.torn for slot in slots if slot.torn)
    if not bodies and not torn:
        return Slots(torn=(read_all(descriptor),), why=f"{name}: not a file of slots")
    why = f"{name}: a slot does not hold what was written to it" if torn else ""
    return Slots(True, bodies, torn, why)


def _slot_size(descriptor: int) -> int:
    """Of each slot; 0 if the file has no length that we write."""
    size, rest = divmod(os.fstat(descriptor).st_size, SLOTS * _PAGE)
    return 0 if rest else size * _PAGE


def _slots(descriptor: int, size: int) -> list[_Slot]:
    offsets = range(0, SLOTS * size, size) if size else ()
    return [_slot(descriptor, offset, size) for offset in offsets]


def _slot(descriptor: int, offset: int, size: int) -> _Slot:
    header = _HEADER.match(os.pread(descriptor, _HEADER_BYTES, offset))
    if header is not None and (length := int(header[2], 16)) <= size - _HEADER_BYTES:
        body = os.pread(descriptor, length, offset + _HEADER_BYTES)
        if header[3].decode() == _checksum(header[1], header[2], body):
            return _Slot(offset, int(header[1], 16), body)
    data = os.pread(descriptor, size, offset)
    return _Slot(offset, torn=b"" if data == bytes(size) else data)


def _record(sequence: int, body: bytes) -> bytes:
    numbers = b"%016x" % sequence, b"%08x" % len(body)
    checksum = _checksum(*numbers, body).encode()
    return b"orchestrator-slot %b %b %b\n" % (*numbers, checksum) + body


def _checksum(sequence: bytes, length: bytes, body: bytes) -> str:
    return blake2b(sequence + length + body, digest_size=16).hexdigest()


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
