"""``token new|ls|revoke``."""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...protocol.timestamps import timestamp
from ..errors import BadUsage, ExitCode, Failure
from ..formatting import read_duration, read_iso
from ..local_settings import Place, config_option, read_settings
from ..options import Invocation, confirm, noun, pass_invocation
from ..output import Column, Screen

if TYPE_CHECKING:
    from ...settings import Settings

TOKEN_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
HASH_CHARS = 8
"""Of a token's hash, to identify it; the token cannot be derived from it."""


@noun(
    "token",
    examples="""
        orc token new --role operator --name anna --expires 90d
        orc token ls
        orc token revoke anna
    """,
)
def token_command() -> None:
    """Make, list and revoke access tokens for the daemon's HTTP and WebSocket."""


@token_command.command(
    "new",
    examples="""
        orc token new --role operator --name anna
        orc token new --role viewer --name guest --expires 12h
        orc token new --role viewer --name wall -o json
    """,
)
@click.option(
    "--role",
    type=click.Choice(["viewer", "tripper", "operator"]),
    required=True,
    help="viewer reads; tripper may stop, too; operator may do everything.",
)
@click.option("--name", metavar="NAME", help="Whose it is.  [the role and a number]")
@click.option("--expires", metavar="WHEN", help="12h, 90d, 2027-01-31 or a time.  [never]")
@pass_invocation
def token_new(invocation: Invocation, *, role: str, name: str | None, expires: str | None) -> None:
    """Make a token, and the lines for the settings that let it in.

    The token is shown this once: only its hash goes into the settings.
    """
    name = name or f"{role}-{secrets.token_hex(2)}"
    if not NAME.fullmatch(name):
        raise BadUsage(
            f"{name!r} is no name of a token", advice="letters, digits and . _ - are; 63 at most"
        )
    token = secrets.token_urlsafe(TOKEN_BYTES)
    row = {
        "name": name,
        "role": role,
        "token": token,
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
        "expires": None if expires is None else _expiry(expires, datetime.now(UTC)),
    }
    invocation.screen.record("token_new", row, lambda: _lines(row), "token")


def _expiry(text: str, now: datetime) -> str:
    """When it ends, to the second, as TOML and JSON write it.

    Raises:
        BadUsage: it is no time, or none to come.
    """
    seconds = read_duration(text)
    try:
        if seconds is None:
            moment = read_iso(text)
        else:
            moment = datetime.fromtimestamp(now.timestamp() + seconds, UTC)
    except (ValueError, OverflowError, OSError):
        moment = None
    if moment is None:
        raise BadUsage(
            f"--expires {text!r} is not a time", advice="write 12h, 90d or 2027-01-31T00:00:00Z"
        )
    if moment <= now:
        raise BadUsage(f"--expires {text!r} is in the past")
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _lines(row: dict[str, str | None]) -> list[str]:
    expires = [f"  expires = {row['expires']}"] if row["expires"] else []
    return [
        "The token; it is not shown again:",
        "",
        f"  {row['token']}",
        "",
        "Put this into supervisor.toml, then start the daemon, or `orc reload` if it runs:",
        "",
        "  [[http.auth.tokens]]",
        f'  name = "{row["name"]}"',
        f'  role = "{row["role"]}"',
        f'  sha256 = "{row["sha256"]}"',
        *expires,
    ]


def _show_expiry(row: Any, screen: Screen) -> str:
    return screen.moment(row["expires"]) if row["expires"] else "never"


TOKEN_COLUMNS = (
    Column("STATE", "state", state=True),
    Column("NAME", "name"),
    Column("ROLE", "role"),
    Column("EXPIRES", "expires", _show_expiry),
    Column("HASH", "hash"),
)


@token_command.command(
    "ls",
    examples="""
        orc token ls
        orc token ls -c /etc/orchestrator/supervisor.toml -o json
    """,
)
@config_option
@pass_invocation
def token_ls(invocation: Invocation, *, config: Path | None) -> None:
    """List the tokens of the settings: whose, which role, until when. Never the tokens."""
    settings = read_settings(config)
    rows, screen = _rows(settings), invocation.screen
    screen.records("tokens", rows, TOKEN_COLUMNS, "name")
    if not screen.for_programs:
        screen.note(_ls_footer(settings, rows))


def _rows(settings: "Settings") -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        {
            "state": "expired" if token.expires and token.expires <= now else "valid",
            "name": token.name,
            "role": token.role,
            "expires": timestamp(token.expires_at) if token.expires else None,
            "hash": token.sha256[:HASH_CHARS],
        }
        for token in settings.http.auth.tokens
    ]


def _ls_footer(settings: "Settings", rows: list[dict[str, Any]]) -> str:
    where = settings.file or "no settings file was found; the environment"
    if not rows:
        return f"no tokens in {where}: anyone who reaches the daemon may do everything"
    expired = sum(row["state"] == "expired" for row in rows)
    return f"{len(rows)} in {where}" + (f", {expired} expired" if expired else "")


@token_command.command("revoke", examples="orc token revoke anna")
@click.argument("name", metavar="NAME")
@config_option
@pass_invocation
def token_revoke(invocation: Invocation, *, name: str, config: Path | None) -> int:
    """Take a token out of the settings file, and have a running daemon refuse it at once.

    The daemon is the one of the settings, unless --url or a context names another. Its open event
    feeds are closed. Exit code 7 if the file is changed, but the daemon did not take it over, or
    is not known to.
    """
    settings = read_settings(config)
    if name not in {token.name for token in settings.http.auth.tokens}:
        known = ", ".join(token.name for token in settings.http.auth.tokens)
        raise Failure(
            f"there is no token {name!r}",
            code="not_found",
            cause=f"the settings have {known}" if known else "the settings have none",
            advice="see `orchestrator token ls`",
            exit_code=ExitCode.NOT_FOUND,
        )
    if settings.file is None:
        raise Failure(
            f"the token {name!r} cannot be taken out",
            code="not_edited",
            cause="no settings file was found; it is in the environment",
            advice="take it out by hand, or name the file with -c",
        )
    if len(settings.http.auth.tokens) == 1:  # the last one is the lock of the door
        host = settings.http.host
        confirm(invocation, f"It is the last token: anyone who reaches {host} may do everything.")
    from ..offline.token_revocation import revoke

    done = revoke(settings.file, name, Place(settings), invocation)
    row = {"name": name, "file": str(settings.file), **done._asdict()}
    line = f"{name}  taken out of {settings.file}; {done.said}"
    invocation.screen.record("token_revoke", row, lambda: [line], "name")
    return ExitCode.PARTIAL if done.in_force is False else ExitCode.DONE
