"""The process of the daemon that uses a data directory: found, signalled, awaited."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ExitCode, Failure

_PROC: Final = Path("/proc")
_POLL_S: Final = 0.05
"""Where the kernel has no descriptor of a process to wait for."""


@dataclass(frozen=True)
class RunningDaemon:
    """A daemon that runs."""

    pid: int
    """Its process."""
    folder: Path
    """Its data directory."""

    def send(self, number: signal.Signals) -> None:
        """Send it a signal.

        Raises:
            Failure: It has ended meanwhile, or belongs to another account.
        """
        try:
            os.kill(self.pid, number)
        except ProcessLookupError as error:
            raise not_running(self.folder) from error
        except PermissionError as error:
            raise _of_another_account(self.folder) from error

    @contextmanager
    def end(self) -> Iterator["ProcessEnd"]:
        """Its end, to wait for; enter this before the signal that causes it."""
        descriptor = None
        with suppress(AttributeError, OSError):  # not Linux, or it has ended already
            descriptor = os.pidfd_open(self.pid)
        try:
            yield ProcessEnd(self.pid, descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)


@dataclass(frozen=True)
class ProcessEnd:
    """The end of a process."""

    pid: int
    """Its number."""
    descriptor: int | None
    """The kernel's handle, readable at the end; ``None``: look whether it is there."""

    def wait(self, limit_s: float) -> bool:
        """Whether it has come within ``limit_s``. Blocks."""
        if self.descriptor is not None:
            return bool(select.select([self.descriptor], [], [], limit_s)[0])
        end = time.monotonic() + limit_s
        while _exists(self.pid):
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL_S)
        return True


def find_daemon(folder: Path) -> RunningDaemon:
    """The daemon that holds the data directory ``folder``.

    The number in its lock is not believed: another process may have it by now, or it is one of a
    container. Where there is ``/proc`` it is the one that has the lock's file open.

    Raises:
        Failure: None runs, or it belongs to another account.
    """
    from ...runtime.datadir import read_holder

    pid = read_holder(folder).get("pid")
    if not isinstance(pid, int) or pid < 1 or not _exists(pid):
        raise not_running(folder)
    if not _has_open(pid, folder / "lock"):
        raise not_running(folder)
    return RunningDaemon(pid, folder)


def not_running(folder: Path) -> Failure:
    """The failure where no daemon uses ``folder``."""
    return Failure(
        f"no daemon of {folder} runs here",
        code="not_running",
        cause="no process of this machine holds that data directory",
        advice="name its settings with -c, or run this in its container",
        exit_code=ExitCode.UNREACHABLE,
    )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another account's
        return True
    return True


def _has_open(pid: int, file: Path) -> bool:
    if not (_PROC / "self" / "fd").is_dir():
        return pid > 1
    try:
        wanted = file.stat()
        opened = list((_PROC / str(pid) / "fd").iterdir())
    except PermissionError as error:
        raise _of_another_account(file.parent) from error
    except OSError:
        return False
    for one in opened:
        with suppress(OSError):
            found = one.stat()
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


def _of_another_account(folder: Path) -> Failure:
    return Failure(
        f"the daemon of {folder} belongs to another account",
        code="forbidden",
        cause="this account may not send signals to it",
        advice="run this as the daemon's user, or by `systemctl`",
        exit_code=ExitCode.FORBIDDEN,
    )
