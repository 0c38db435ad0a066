"""Takes an access token out of a settings file, and has the daemon of it reload."""

from pathlib import Path
from typing import NamedTuple

from ..client.rest import Client
from ..errors import ExitCode, Failure
from .settings_file import SettingsFile
from .token_file import without_token

TOKENS = "http.auth.tokens"


class Revocation(NamedTuple):
    """What came of it; the file is changed in any case."""

    in_force: bool | None
    """Whether the daemon refuses the token; ``None``: it does not run, and will."""
    said: str
    """The same in words, with the reason."""


def revoke(file: Path, name: str, client: Client) -> Revocation:
    """Change the file, and have the daemon read it.

    A daemon that cannot be asked does not prevent a change of the file.

    Raises:
        Failure: the token is not in the file, or the file cannot be changed; nothing has changed.
    """
    with SettingsFile(file).edited(lambda text: without_token(text, name)):
        pass
    try:
        told = client.get("/runtime/settings").get("file")
        if told is None or Path(told).resolve() != file.resolve():
            where = told or "no file"
            return Revocation(False, f"not in force: the daemon at {client.url} reads {where}")
        found = client.post("/runtime/settings/reload").get("reload") or {}
    except Failure as failure:
        if failure.exit_code == ExitCode.UNREACHABLE:
            return Revocation(None, "in force when the daemon starts: it does not answer")
        why = f"{failure.message} ({failure.cause})"
        return Revocation(False, f"not in force before SIGHUP (`systemctl reload`): {why}")
    if TOKENS in found.get("changed", ()):
        return Revocation(True, "refused from now on")
    return Revocation(False, "; ".join(["not in force yet", *found.get("problems", ())]))
