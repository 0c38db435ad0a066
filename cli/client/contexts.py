"""The daemons that commands know by name, in a file of the user.

``$XDG_CONFIG_HOME/orchestrator/contexts.toml`` (``~/.config``)::

    current = "desk-a"

    [contexts.desk-a]
    url = "https://desk-a.example.com"
    token_file = "/home/anna/.desk-a.token"
    env = "live"

A token is never in it: `token_file` names where it is.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from ...protocol.files import write_atomically
from ...protocol.printable import printable
from ..errors import BadUsage, ExitCode, Failure

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ENV: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Context:
    """One target."""

    url: str
    """Where the daemon listens."""
    token_file: str | None = None
    """The file with its access token."""
    ca_file: str | None = None
    """CA bundle in PEM."""
    env: str | None = None
    """``dev``, ``paper``, ``live``, …: colours the first line."""

    def __post_init__(self) -> None:
        """Check what is written into the file, and what is read from it.

        Raises:
            ValueError: a value is no text, cannot be written, or is a secret.
        """
        for name, value in asdict(self).items():
            if value is not None and not (isinstance(value, str) and printable(value) == value):
                raise ValueError(f"{name} is not one line of text")
        place = urlsplit(self.url)
        if place.username is not None or place.password is not None:
            raise ValueError("url has a secret in it: put the token into a file (token_file)")
        if self.env is not None and not _ENV.fullmatch(self.env):
            raise ValueError(f"env {self.env!r} is not a word such as dev, paper or live")


@dataclass(frozen=True)
class Contexts:
    """All of them."""

    path: Path
    """The file."""
    current: str | None = None
    """The one that is used where none is named."""
    known: Mapping[str, Context] = field(default_factory=dict)
    """By name."""
    unseen: str = ""
    """Why the file could not be looked for; empty: it could."""

    @classmethod
    def load(cls) -> Self:
        """Read the file; none, and one where this account may not look, is as an empty one.

        Raises:
            Failure: it cannot be used; `code` is ``bad_contexts``.
        """
        path = contexts_path()
        if not path.is_absolute():
            return cls(path)
        try:
            text = path.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return cls(path)
        except PermissionError as error:
            if _may_look(path):
                raise _unusable(path, str(error)) from error
            return cls(path, unseen=f"no contexts: this account may not look for {path}")
        except (OSError, UnicodeDecodeError) as error:
            raise _unusable(path, str(error)) from error
        import tomllib

        try:
            found = tomllib.loads(text)
            known = {name: _context(name, table) for name, table in found["contexts"].items()}
            return cls(path, _current(found, known), known)
        except (tomllib.TOMLDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unusable(path, f"{type(error).__name__}: {error}") from error

    def get(self, name: str) -> Context:
        """One by its name.

        Raises:
            Failure: there is none of that name.
        """
        if name in self.known:
            return self.known[name]
        raise Failure(
            f"there is no context {name!r}",
            code="not_found",
            cause=f"there are {', '.join(self.known)}" if self.known else "there are none",
            advice="see `orchestrator context ls`, or add it: `orchestrator context add`",
            exit_code=ExitCode.NOT_FOUND,
        )

    def save(self) -> None:
        """Write the file, for this account alone.

        Raises:
            Failure: the disk refuses.
        """
        if not self.path.is_absolute():
            raise _unwritten(self.path, "this account has no home")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self.path, "\n".join([*self._lines(), ""]).encode())
        except OSError as error:
            raise _unwritten(self.path, str(error)) from error

    def _lines(self) -> Iterator[str]:
        """TOML; JSON's texts are TOML's, since each is one printable line."""
        if self.current is not None:
            yield f"current = {json.dumps(self.current)}"
        yield "[contexts]"
        for name, context in self.known.items():
            yield f'\n[contexts."{name}"]'
            for key, value in asdict(context).items():
                if value is not None:
                    yield f"{key} = {json.dumps(value, ensure_ascii=False)}"


def contexts_path() -> Path:
    """Where the file is (XDG Base Directory Specification); not absolute without a home."""
    # Not Path.home(), which raises where there is no home: nothing may prevent a stop.
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    return Path(home) / "orchestrator" / "contexts.toml"


def _may_look(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return False
    return True


def checked_name(name: str) -> str:
    """The name of a context.

    Raises:
        BadUsage: it is none.
    """
    if not NAME.fullmatch(name):
        raise BadUsage(
            f"{name!r} is no name of a context", advice="letters, digits and . _ - are; 63 at most"
        )
    return name


def _context(name: str, table: Any) -> Context:
    unknown = set(table) - {one.name for one in fields(Context)}
    if unknown or not NAME.fullmatch(name):
        raise ValueError(f"{name}: unknown {', '.join(sorted(unknown)) or 'name'}")
    return Context(**table)


def _current(found: Mapping[str, Any], known: Mapping[str, Context]) -> str | None:
    current = found.get("current")
    if current is None or current in known:
        return current
    raise ValueError(f"current is {current!r}, which is none of them")


def _unusable(path: Path, cause: str) -> Failure:
    return Failure(
        "the contexts cannot be used",
        code="bad_contexts",
        cause=f"{path}: {printable(cause)}",
        advice="correct the file, or name the daemon with --url",
        exit_code=ExitCode.USAGE,
    )


def _unwritten(path: Path, cause: str) -> Failure:
    return Failure(
        f"cannot write {path}",
        code="not_written",
        cause=cause,
        advice="set XDG_CONFIG_HOME to a folder of yours",
    )
