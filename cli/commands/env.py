"""``env``."""

import shlex
from collections.abc import Callable
from pathlib import Path

import click

from ..local_settings import Place, config_option, read_settings
from ..options import Invocation, command, pass_invocation

NAMES = ("REDIS_URL", "PG_URL", "ORCHESTRATOR_URL")
"""What there is, in the order of printing."""


@command(
    "env",
    examples="""
        eval "$(orc env)"
        REDIS_URL=$(orc env REDIS_URL) orc agent run my_agents:Prices
        orc env -o json
    """,
)
@click.argument("name", type=click.Choice(NAMES), required=False)
@config_option
@pass_invocation
def env_command(invocation: Invocation, *, name: str | None, config: Path | None) -> None:
    """Addresses of the daemon and its servers, for a shell.

    By the settings of this folder. PG_URL may hold a password; with a NAME, that
    address alone is printed.
    """
    place = Place(read_settings(config))
    ways: tuple[Callable[[], str], ...] = (
        place.needed_agents_redis_url,
        place.needed_pg_url,
        lambda: place.http_url,
    )
    variables = {each: way() for each, way in zip(NAMES, ways, strict=True) if name in {None, each}}
    lines = [f"export {each}={shlex.quote(value)}" for each, value in variables.items()]
    if name is not None:
        lines = [variables[name]]
    invocation.screen.record("env", variables, lambda: lines, name or "ORCHESTRATOR_URL")
