"""``version``."""

import platform

from ... import __version__
from ..client.rest import Client
from ..errors import Failure
from ..options import Invocation, command, pass_invocation

# The daemon's version is a courtesy: it must not keep anybody waiting.
DAEMON_LIMIT_S = 1.0


@command("version", examples="orc version")
@pass_invocation
def version_command(invocation: Invocation) -> None:
    """The versions of this program and of the daemon."""
    versions = {
        "orchestrator": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "daemon": _daemon_version(invocation),
    }
    screen = invocation.screen
    pairs = [(name, value or "not reached") for name, value in versions.items()]
    screen.record("version", versions, lambda: screen.facts(pairs), "orchestrator")


def _daemon_version(invocation: Invocation) -> str | None:
    limit_s = min(DAEMON_LIMIT_S, invocation.timeout)
    try:
        with Client.of(invocation, timeout_s=limit_s) as client:
            return str(client.get("/health").get("version") or "") or None
    except Failure:
        return None
