"""``config check|show|schema|doc``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..doctor.check_results import Level
from ..errors import ExitCode, Failure
from ..local_settings import config_option, missing_extra, read_settings
from ..options import Invocation, noun, pass_invocation
from ..output import Column, Screen

if TYPE_CHECKING:
    from ...settings import Settings

SETTING_COLUMNS = (
    Column("KEY", "key"),
    Column("VALUE", "value", shrinks=True),
    Column("FROM", "origin"),
)


@noun("config", examples="orc config check")
def config_command() -> None:
    """Check and show the settings."""


@config_command.command("check", examples="orc config check -c supervisor.toml")
@config_option
@click.option("--agents/--no-agents", default=True, help="Load the classes of agents, too.")
@pass_invocation
def config_check(invocation: Invocation, *, config: Path | None, agents: bool) -> None:
    """Check the settings and list all faults. Exit code 2 if there are any.

    Classes of agents are loaded, by a process for each, and their options are checked.
    """
    settings = read_settings(config)
    for warning in settings.warnings:
        invocation.screen.warn(warning)
    _check_tls(settings, invocation.screen)
    if agents:
        _check_agents(settings)
    source = str(settings.file) if settings.file else "no file, the environment only"
    row = {"status": "ok", "file": str(settings.file) if settings.file else None}
    screen = invocation.screen
    screen.record("config_check", row, lambda: [f"{screen.state('ok')}  {source}"], "file")


def _check_agents(settings: "Settings") -> None:
    """Load the classes and look for the programs of the agents.

    Raises:
        Failure: one of them could not run.
    """
    from ..offline.agent_programs import faults

    found = list(faults(settings.agents))
    if found:
        raise Failure(
            "agents of the settings cannot run",
            code="bad_settings",
            cause="; ".join(found),
            advice="correct them, or leave them out with --no-agents",
            exit_code=ExitCode.USAGE,
        )


def _check_tls(settings: "Settings", screen: Screen) -> None:
    """Warn of weak TLS settings.

    Raises:
        Failure: the daemon would not start, or no client would accept its certificate.
    """
    from ..doctor.tls import check_tls

    for result in check_tls(settings):
        if result.level is Level.CRITICAL:
            raise Failure(
                "the settings cannot be used",
                code="bad_settings",
                cause=result.said,
                advice=result.advice,
                exit_code=ExitCode.USAGE,
            )
        if result.level is Level.WARNING:
            screen.warn(f"{result.name}: {result.said}; {result.advice}")


@config_command.command(
    "show",
    examples="""
        orc config show
        orc config show -o json
    """,
)
@config_option
@click.option("--changed", is_flag=True, help="Only values other than the default.")
@pass_invocation
def config_show(invocation: Invocation, *, config: Path | None, changed: bool) -> None:
    """Show every setting in force and where it comes from. Passwords are stars."""
    settings = read_settings(config)
    from ...settings import config_doc

    rows = [
        setting._asdict()
        for setting in config_doc(settings)
        if not (changed and setting.origin == "default")
    ]
    invocation.screen.records("settings", rows, SETTING_COLUMNS, "key")


@config_command.command("schema", examples="orc config schema > supervisor.schema.json")
@pass_invocation
def config_schema(invocation: Invocation) -> None:
    """Write the settings as JSON Schema, for editors that complete and check the file."""
    with _definitions():
        from ...settings.schema import json_schema

        invocation.screen.json(json_schema())


@config_command.command("doc", examples="orc config doc > settings.md")
def config_doc_command() -> None:
    """Write the reference of all settings as Markdown."""
    with _definitions():
        from ...settings.reference import reference

        click.echo(reference(), nl=False)


@contextmanager
def _definitions() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error, "daemon") from error
