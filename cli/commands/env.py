"""``env``."""

import shlex
from pathlib import Path

from ..local_settings import Place, config_option, read_settings
from ..options import Invocation, command, pass_invocation


@command(
    "env",
    examples="""
        eval "$(orc env)"
        orc env -o json
    """,
)
@config_option
@pass_invocation
def env_command(invocation: Invocation, *, config: Path | None) -> None:
    """Addresses of the daemon and its servers, for a shell.

    By the settings of this folder. PG_URL may hold a password.
    """
    place = Place(read_settings(config))
    variables = {
        "REDIS_URL": place.needed_agents_redis_url(),
        "PG_URL": place.needed_pg_url(),
        "ORCHESTRATOR_URL": place.http_url,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    invocation.screen.record("env", variables, lambda: lines, "ORCHESTRATOR_URL")
