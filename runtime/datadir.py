"""The data directory: one daemon at a time, and an identity that outlives it.

Holds ``lock`` (JSON ``{"pid", "instance", "started_at"}`` of the daemon that holds the lock, or
last held it) and ``instance`` (the random id given when the directory was made). Other files
belong to the components that are given its path.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import stat
import time
from pathlib import Path
from typing import Self

from ..protocol.files import write_atomically
from ..protocol.timestamps import timestamp
from .errors import OrchestratorError


class DataDirError(OrchestratorError):
    """The data directory cannot be used; the text says why and what to do, in one line."""


class DataDirInUse(DataDirError):
    """Another daemon holds the data directory."""

    def __init__(self, path: Path, holder: dict[str, object]) -> None:
        super().__init__(path, holder)
        self.path = path
        self.holder = holder

    def __str__(self) -> str:
        pid = self.holder.get("pid", "unknown")
        since = self.holder.get("started_at", "an unknown time")
        return (
            f"another daemon (pid {pid}, running since {since}) uses the data directory"
            f" {self.path}. Stop it first, or set ORCHESTRATOR_DATA_DIR to another directory."
        )


class DataDirUnusable(DataDirError):
    """The data directory cannot be made or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"cannot write to the data directory {self.path}: {self.reason}."
            " Change its owner, or set ORCHESTRATOR_DATA_DIR to a directory of yours."
        )


class DataDirExposed(DataDirError):
    """Accounts other than the daemon's may write to the data directory."""

    def __init__(self, path: Path, writers: str) -> None:
        super().__init__(path, writers)
        self.path = path
        self.writers = writers

    def __str__(self) -> str:
        return (
            f"the data directory {self.path} is writable for {self.writers}: anyone could engage"
            f" the stop or take its latch away. Run: chmod go-w {shlex.quote(str(self.path))}"
        )


class DataDir:
    """An open data directory: as long as it is, no other daemon can open it.

    The lock is the kernel's (``flock``): it ends with the process, however that ends. Usable as a
    context manager. Never blocks but on the disk.
    """

    def __init__(self, path: Path, lock: int, instance: str, *, mended: bool = False) -> None:
        self.path = path
        self.instance = instance
        self.mended = mended
        """Whether its group could write to it until now."""
        self._lock: int | None = lock

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Make the directory if it is missing, lock it and read its instance id.

        Raises:
            DataDirInUse: another daemon has it open.
            DataDirUnusable: it cannot be made or written.
            DataDirExposed: others can write to it.
        """
        folder = Path(path).expanduser().absolute()
        try:
            _make(folder)
            mended = _mended(folder)
            lock = _locked(folder)
        except OSError as error:
            raise DataDirUnusable(folder, error.strerror or str(error)) from error
        try:
            instance = _instance(folder / "instance")
            _write_holder(lock, instance)
        except OSError as error:
            os.close(lock)
            raise DataDirUnusable(folder, error.strerror or str(error)) from error
        return cls(folder, lock, instance, mended=mended)

    def close(self) -> None:
        """Let another daemon open it; a second call does nothing."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_holder(path: Path | str) -> dict[str, object]:
    """Who holds the directory or held it last: ``pid``, ``instance``, ``started_at``, if known."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((Path(path) / "lock").read_text())
        if isinstance(found, dict):
            return found
    return {}


def _make(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # embedded PostgreSQL's account has to pass through


def _mended(folder: Path) -> bool:
    """Take the right to write from the folder's group; returns whether it had it.

    Raises:
        DataDirExposed: everybody has that right, or the group keeps it.
        OSError: the folder cannot be looked at.
    """
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH:
        raise DataDirExposed(folder, "everybody")
    if not mode & stat.S_IWGRP:
        return False
    try:
        folder.chmod(stat.S_IMODE(mode) & ~stat.S_IWGRP)
    except PermissionError as error:
        raise DataDirExposed(folder, "its group") from error
    return True


def _locked(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise DataDirInUse(folder, read_holder(folder)) from error
    except OSError:
        os.close(lock)
        raise
    return lock


def _write_holder(lock: int, instance: str) -> None:
    holder = {"pid": os.getpid(), "instance": instance, "started_at": timestamp(time.time())}
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(holder).encode() + b"\n", 0)
    os.fsync(lock)


def _instance(file: Path) -> str:
    """The id in ``file``; given once, under the lock, and on disk before it is used."""
    with contextlib.suppress(FileNotFoundError):
        if known := file.read_text().strip():
            return known
    instance = secrets.token_hex(8)
    write_atomically(file, f"{instance}\n".encode())
    return instance
