"""The archive: a zip that is complete or not there."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ..errors import Failure


@dataclass(frozen=True)
class Missing:
    """A part that is not there, or not whole."""

    part: str
    """The file in the archive."""
    why: str
    """In words."""
    expected: bool = False
    """It is not configured here, so nothing failed."""


@dataclass
class Archive:
    """A zip that only its owner may read, written next to its place and moved there at the end.

    Args:
        path: Its place.
        folder: The folder in it that holds all parts.
    """

    path: Path
    folder: str
    parts: dict[str, str] = field(default_factory=dict)
    """What is in it: file and what that is."""
    missing: list[Missing] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._beside = self.path.with_name(f".{self.path.name}.part")
        try:
            descriptor = os.open(self._beside, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._file = os.fdopen(descriptor, "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._zip.close()
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._beside.replace(self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        finally:
            with suppress(OSError, ValueError):
                self._file.close()
            with suppress(OSError):
                self._beside.unlink()

    def text(self, name: str, what: str, content: str) -> None:
        """Add a file."""
        with self.opened(name, what) as write:
            write(content)

    def json(self, name: str, what: str, value: Any) -> None:
        """Add a document."""
        self.text(name, what, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    @contextmanager
    def opened(self, name: str, what: str) -> Iterator[Callable[[str], object]]:
        """Add a file piece by piece; one at a time."""
        self.parts[name] = what
        with self._zip.open(f"{self.folder}/{name}", "w", force_zip64=True) as file:
            yield lambda text: file.write(text.encode("utf-8", "backslashreplace"))

    def try_part(self, name: str, add: Callable[[], None]) -> None:
        """Add a part; what fails is noted, and the others go on."""
        try:
            add()
        except Failure as failure:
            said = failure.cause or failure.message
            self.missing.append(Missing(name, said))


def _unwritable(path: Path, error: OSError) -> Failure:
    return Failure(f"cannot write {path}", code="not_written", cause=error.strerror or str(error))
