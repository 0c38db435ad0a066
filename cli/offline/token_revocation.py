"""Takes an access token out of a settings file, and has the daemon of it reload."""

from pathlib import Path
from typing import NamedTuple

from ..client.rest import Client, is_refused
from ..errors import Failure
from ..local_settings import Place
from ..options import Invocation
from .settings_file import SettingsFile
from .token_file import without_token

TOKENS = "http.auth.tokens"


class Revocation(NamedTuple):
    """What came of it; the file is changed in any case."""

    in_force: bool | None
    """Whether the daemon refuses the token; ``None``: it does not run, and will."""
    said: str
    """The same in words, with the reason."""


def revoke(file: Path, name: str, place: Place, invocation: Invocation) -> Revocation:
    """Change the file, and have the daemon read it: the one that is named, else the file's own.

    A daemon that cannot be asked does not prevent a change of the file.

    Raises:
        Failure: the token is not in the file, or the file cannot be changed; nothing has changed.
    """
    with SettingsFile(file).edited(lambda text: without_token(text, name)):
        pass
    try:
        with place.client(invocation) as client:
            return _taken_over(file, place, client)
    except Failure as failure:
        if is_refused(failure) or failure.code == "not_running":
            return Revocation(None, "in force when the daemon starts: it does not run")
        why = f"{failure.message} ({failure.cause})"
        late = "the token may be accepted until SIGHUP (`systemctl reload`)"
        return Revocation(False, f"not in force, {late}: {why}")


def _taken_over(file: Path, place: Place, client: Client) -> Revocation:
    if not place.is_here(client.url):
        there = f"{client.url} is another machine, with a file of its own"
        return Revocation(False, f"not in force: {there}; run this there, or name --url of here")
    reported = client.get("/runtime/settings").get("file")
    if reported is None or Path(reported).resolve() != file.resolve():
        where = reported or "no file"
        return Revocation(False, f"not in force: the daemon at {client.url} reads {where}")
    found = client.post("/runtime/settings/reload").get("reload") or {}
    if TOKENS in found.get("changed", ()):
        return Revocation(True, "refused from now on")
    return Revocation(False, "; ".join(["not in force yet", *found.get("problems", ())]))
