"""Changes the settings' file of this machine: validated first, then replaced whole."""

import fcntl
import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...protocol.files import draft_of, replace_durably
from ..errors import ExitCode, Failure
from .settings_text import MAX_BYTES, CannotEdit

if TYPE_CHECKING:
    from ...settings import Settings


class SettingsFile:
    """A settings' file.

    Args:
        path: Where it is; a link stays one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    @contextmanager
    def edited(self, edit: Callable[[str], str]) -> Iterator["Settings"]:
        """Replace the file by what ``edit`` makes of its text; yields the settings as they are now.

        Other edits wait until the block ends. If it fails the file is as it was.

        Raises:
            Failure: It cannot be read or written, is not edited here, or would not be valid.
        """
        target = self.path.resolve()
        with _locked(target.parent):
            old, new = self._drafted(target, edit)
            settings = self._checked(new)
            self._replace(target, new)
            try:
                yield settings
            except BaseException:
                self._replace(target, old)
                raise

    def foreseen(self, edit: Callable[[str], str]) -> tuple[dict[str, Any], "Settings"]:
        """What is in the file, and the settings as `edited` would make them; writes nothing.

        Raises:
            Failure: As of `edited`.
        """
        old, new = self._drafted(self.path.resolve(), edit)
        return tomllib.loads(old), self._checked(new)

    def _drafted(self, target: Path, edit: Callable[[str], str]) -> tuple[str, str]:
        old = self._read(target)
        try:
            return old, edit(old)
        except CannotEdit as error:
            raise Failure(
                f"{self.path} is not changed",
                code="not_edited",
                cause=str(error),
                advice="change it by hand, then `orchestrator config check`",
            ) from error

    def _read(self, target: Path) -> str:
        try:
            with target.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
            text = data.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise self._failure("cannot be read", error) from error
        if len(data) > MAX_BYTES:
            raise self._failure("is not edited", CannotEdit(f"it has more than {MAX_BYTES} bytes"))
        return text

    def _checked(self, text: str) -> "Settings":
        from ...settings import SettingsError, load

        try:
            return load(self.path, text=text)
        except SettingsError as error:
            raise Failure(
                f"{self.path} is not changed",
                code="bad_settings",
                cause="; ".join(str(error).splitlines()),
                advice="correct what is given, or the file, then try again",
                exit_code=ExitCode.USAGE,
            ) from error

    def _replace(self, target: Path, text: str) -> None:
        draft = draft_of(target)
        try:
            was = target.stat()
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                with suppress(PermissionError):  # another account's: then ours
                    os.fchown(descriptor, was.st_uid, was.st_gid)
                os.fchmod(descriptor, was.st_mode & 0o7777)
            replace_durably(draft, target)
        except (OSError, UnicodeError) as error:
            draft.unlink(missing_ok=True)
            raise self._failure("cannot be written", error) from error

    def _failure(self, what: str, error: Exception) -> Failure:
        return Failure(
            f"{self.path} {what}",
            code="settings_file",
            cause=getattr(error, "strerror", None) or str(error),
            advice="name another with -c, or run this as the account that owns it",
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, which leaves no file behind."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(
            f"cannot open {folder}", code="settings_file", cause=error.strerror or ""
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
