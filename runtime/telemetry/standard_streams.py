"""stdout and stderr of a service: output may fail, or not be read, and costs the service nothing.

Whatever is printed goes through a `LogWriter`: no caller waits or fails when the disk is full
(``>/dev/full``), the descriptor closed (``>&-``), the pipe broken, or its reader asleep. What could
not be written is counted.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .log_writer import LogWriter

_CLOSE_LIMIT_S: Final = 0.5
"""For each stream: what is pending at the end is text for a person."""


class WrittenStream(io.TextIOBase):
    """A text stream whose writes never wait and never fail.

    Args:
        fd: The descriptor behind it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._writer = LogWriter(fd=fd, reports_drops=False)

    @property
    def encoding(self) -> str:  # type: ignore[override] # an attribute there
        """UTF-8; what it cannot say is escaped."""
        return "utf-8"

    @property
    def lost(self) -> int:
        """Writes that got nowhere."""
        return self._writer.dropped

    def write(self, text: str) -> int:
        """Queue ``text``."""
        if text:
            self._writer.write(text.encode(errors="backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor, for C code such as `faulthandler`."""
        return self._fd

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return os.isatty(self._fd)

    def finish(self, limit_s: float) -> None:
        """Write what is pending, for ``limit_s`` at most; later writes are lost."""
        self._writer.close(limit_s)


class StandardStreams:
    """Both streams of this process."""

    def __init__(self) -> None:
        self._streams = {"stdout": WrittenStream(1), "stderr": WrittenStream(2)}

    def lost(self) -> list[tuple[tuple[str], float]]:
        """Writes that got nowhere, by stream."""
        return [((name,), float(stream.lost)) for name, stream in self._streams.items()]

    def finish(self, limit_s: float = _CLOSE_LIMIT_S) -> None:
        """Write what is pending, for ``limit_s`` a stream at most."""
        for stream in self._streams.values():
            stream.finish(limit_s)

    @contextmanager
    def installed(self) -> Iterator["StandardStreams"]:
        """Print through them during the block; then write what is pending."""
        former = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self._streams["stdout"], self._streams["stderr"]
        try:
            yield self
        finally:
            sys.stdout, sys.stderr = former
            self.finish()
