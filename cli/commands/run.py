"""``run`` and ``demo``. The standard library is patched by then (``__main__``)."""

from pathlib import Path

from ..local_settings import config_option, missing_extra
from ..options import Invocation, command, pass_invocation


@command(
    "run",
    examples="""
        orc run
        orc run -c /etc/orchestrator/supervisor.toml
        REDIS_URL=redis://localhost:6379 PG_URL=postgresql:///orch orc run
    """,
)
@config_option
@pass_invocation
def run_command(invocation: Invocation, *, config: Path | None) -> int:
    """Run the daemon in the foreground, until Ctrl-C or SIGTERM."""
    return _daemon(invocation, config, demo=False)


@command("demo", examples="orc demo")
@pass_invocation
def demo_command(invocation: Invocation) -> int:
    """Run all in one: embedded servers and three sample agents, until Ctrl-C."""
    return _daemon(invocation, None, demo=True)


def _daemon(invocation: Invocation, config: Path | None, *, demo: bool) -> int:
    try:
        from ...daemon.process import main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("orchestrator"):
            raise
        raise missing_extra(error, "embedded" if demo else "daemon") from error
    invocation.verbose = True  # a daemon's log is the place for tracebacks
    return int(main(config, demo=demo))
