"""``run`` and ``demo``. The standard library is patched by then (``__main__``)."""

from pathlib import Path

import click

from ..failures import Failure
from ..options import command


@command(
    "run",
    examples="""
        orc run
        orc run -c /etc/orchestrator/supervisor.toml
        REDIS_URL=redis://localhost:6379 PG_URL=postgresql:///orch orc run
    """,
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The settings.  [supervisor.toml of this folder, if there is one]",
)
def run_command(config: Path | None) -> int:
    """Run the daemon in the foreground, until Ctrl-C or SIGTERM."""
    return _daemon(config, demo=False)


@command("demo", examples="orc demo")
def demo_command() -> int:
    """Run all in one: embedded servers and three sample agents, until Ctrl-C."""
    return _daemon(None, demo=True)


def _daemon(config: Path | None, *, demo: bool) -> int:
    try:
        from ...daemon import main
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("orchestrator"):
            raise
        raise missing_extra(error, "embedded" if demo else "daemon") from error
    return int(main(config, demo=demo))


def missing_extra(error: ModuleNotFoundError, extra: str) -> Failure:
    """What a plain installation lacks, and how to get it."""
    return Failure(
        "this command needs more than is installed",
        code="not_installed",
        cause=f"there is no module {error.name}",
        advice=f"pip install 'orchestrator-lite[{extra}]'",
    )
