"""``token new``."""

import hashlib
import re
import secrets

import click

from ..errors import BadUsage
from ..options import Invocation, noun, pass_invocation

TOKEN_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@noun("token", examples="orc token new --role operator --name anna")
def token_command() -> None:
    """Make access tokens for the daemon's HTTP and WebSocket."""


@token_command.command(
    "new",
    examples="""
        orc token new --role operator --name anna
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
@pass_invocation
def token_new(invocation: Invocation, *, role: str, name: str | None) -> None:
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
    }
    invocation.screen.record("token_new", row, lambda: _lines(row), "token")


def _lines(row: dict[str, str]) -> list[str]:
    return [
        "The token; it is not shown again:",
        "",
        f"  {row['token']}",
        "",
        "Put this into supervisor.toml, then start the daemon, or send it SIGHUP if it runs:",
        "",
        "  [[http.auth.tokens]]",
        f'  name = "{row["name"]}"',
        f'  role = "{row["role"]}"',
        f'  sha256 = "{row["sha256"]}"',
    ]
