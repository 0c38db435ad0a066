"""``run`` and ``demo``. The standard library is patched by then (``__main__``)."""

from pathlib import Path

from ..machine import config_option, missing_extra
from ..options import command


@command(
    "run",
    examples="""
        orc run
        orc run -c /etc/orchestrator/supervisor.toml
        REDIS_URL=redis://localhost:6379 PG_URL=postgresql:///orch orc run
    """,
)
@config_option
def run_command(config: Path | None) -> int:
    """Run the daemon in the foreground, until Ctrl-C or SIGTERM."""
    return _daemon(config, demo=False)


@command("demo", examples="orc demo")
def demo_command() -> int:
    """Run all in one: embedded servers and three sample agents, until Ctrl-C."""
    return _daemon(None, demo=True)


def _daemon(config: Path | None, *, demo: bool) -> int:
    try:
        from ...launch import main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("orchestrator"):
            raise
        raise missing_extra(error, "embedded" if demo else "daemon") from error
    return int(main(config, demo=demo))
