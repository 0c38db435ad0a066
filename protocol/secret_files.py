"""Secrets that are given by a file: ``NAME_FILE`` for a variable ``NAME``, as Docker has it.

One reading for settings, guard, kit and command line. Standard library only.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

MAX_BYTES: Final = 64 * 1024
"""A longer file is no secret that anything here takes."""

SUFFIX: Final = "_FILE"
"""Of the variable that names the file; of a setting it is ``_file``."""

_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH
_MOUNTED: Final = Path("/run/secrets")
"""Where container engines mount secrets: readable by all in the container, and by no one else."""


class BadSecretFile(ValueError):
    """A file holds no secret that could be used; the text names the file, never what is in it."""


class EmptySecretFile(BadSecretFile):
    """There is nothing in it."""


class Secret(NamedTuple):
    """What a file holds."""

    text: str
    """Without the line's end that editors add."""
    warning: str
    """That every account of the machine may read or change it; empty if not."""


def read_secret(path: Path) -> Secret:
    """Read a secret from a regular file, or a link to one. Never waits for a FIFO.

    Raises:
        BadSecretFile: It cannot be read, is no regular file, too long or no UTF-8.
        EmptySecretFile: There is nothing in it.
    """
    try:
        data, mode = _read(path)
    except OSError as error:
        raise BadSecretFile(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the path
        raise BadSecretFile(f"{str(path)!r} cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise BadSecretFile(f"{path} has more than {MAX_BYTES} bytes")
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise BadSecretFile(f"{path} is not UTF-8") from error
    if not text.strip():
        raise EmptySecretFile(f"{path} is empty")
    is_open = mode & _OTHERS and not path.absolute().is_relative_to(_MOUNTED)
    advice = f"every account here may read or change {path}: chmod o-rw {path}"
    return Secret(text, advice if is_open else "")


def secret_of(environ: Mapping[str, str], name: str) -> Secret | None:
    """The secret in a variable, or in the file that ``<name>_FILE`` names; None without either.

    An empty variable counts as unset.

    Raises:
        BadSecretFile: Both are set, or the file is of no use.
    """
    text, path = environ.get(name), environ.get(name + SUFFIX)
    if text and path:
        raise BadSecretFile(f"{name} and {name}{SUFFIX} are both set: unset one of them")
    if path:
        return read_secret(Path(path))
    return Secret(text, "") if text else None


def _read(path: Path) -> tuple[bytes, int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError("not a regular file")
        return file.read(MAX_BYTES + 1), mode
