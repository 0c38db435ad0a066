"""``context add|ls|use|show|rm``: daemons by name."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from ..client.contexts import Context, Contexts, checked_name
from ..client.rest import split_url
from ..errors import BadUsage, Failure
from ..options import Invocation, env_styled, noun, pass_invocation
from ..output import Column

CONTEXT_COLUMNS = (
    Column("CURRENT", "current", lambda row, _: "current" if row["current"] else ""),
    Column("NAME", "name"),
    Column("ENV", "env"),
    Column("URL", "url"),
    Column("TOKEN FILE", "token_file", shrinks=True),
    Column("CA FILE", "ca_file", wide=True),
)


@noun(
    "context",
    examples="""
        orc context add desk-a --url https://desk-a.example.com --token-file ~/.desk-a --env live
        orc context use desk-a
        orc --context desk-b status
    """,
)
def context_command() -> None:
    """Name daemons: their URLs, token files and environments.

    `--context NAME` (or ORCHESTRATOR_CONTEXT) takes one, else `use` has set the current one;
    `--url` or ORCHESTRATOR_URL goes before the current one.
    """


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    try:
        return [name for name in Contexts.load().known if name.startswith(incomplete)]
    except Failure:
        return []


_name = click.argument("name", metavar="NAME", shell_complete=_complete)


@context_command.command(
    "add",
    examples="""
        orc context add here --url http://127.0.0.1:8091
        orc context add desk-a --url https://desk-a.example.com --token-file ~/.desk-a --env live
    """,
)
@click.argument("name", metavar="NAME")
@click.option("--url", required=True, metavar="URL", help="Where the daemon listens.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the access token. It is read when it is needed.",
)
@click.option("--ca-file", type=click.Path(path_type=Path, dir_okay=False), help="CA bundle, PEM.")
@click.option("--env", metavar="ENV", help="dev, paper, live, ...: colours the first line.")
@pass_invocation
def context_add(
    invocation: Invocation, /, *, name: str, url: str, env: str | None, **files: Path | None
) -> None:
    """Add a context, or replace the one of that name. A token is never an argument."""
    split_url(url)
    contexts = Contexts.load()
    paths = {key: str(path.expanduser().absolute()) for key, path in files.items() if path}
    try:
        made = Context(url, env=env, **paths)
    except ValueError as error:
        raise BadUsage(str(error)) from error
    replace(contexts, known={**contexts.known, checked_name(name): made}).save()
    invocation.screen.note(
        f"{name} is in {contexts.path}; `orc context use {name}` makes it current"
    )


@context_command.command("ls", examples="orc context ls")
@pass_invocation
def context_ls(invocation: Invocation) -> None:
    """List the contexts."""
    contexts = Contexts.load()
    rows = [_row(contexts, name) for name in contexts.known]
    screen = invocation.screen
    screen.records("contexts", rows, CONTEXT_COLUMNS, "name")
    if not screen.for_programs:
        screen.note(f"{len(rows)} in {contexts.path}")


@context_command.command("use", examples="orc context use desk-a")
@_name
@pass_invocation
def context_use(invocation: Invocation, *, name: str) -> None:
    """Make a context the current one."""
    contexts = Contexts.load()
    context = contexts.get(name)
    replace(contexts, current=name).save()
    invocation.screen.note(f"commands go to {context.url} now ({name})")


@context_command.command(
    "show",
    examples="""
        orc context show
        orc context show desk-a -o json
    """,
)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=_complete)
@pass_invocation
def context_show(invocation: Invocation, *, name: str | None) -> None:
    """Show a context, by default the current one."""
    contexts = Contexts.load()
    chosen = name or contexts.current
    if chosen is None:
        raise BadUsage("no context is current", advice="`orchestrator context use NAME` sets one")
    contexts.get(chosen)
    row, screen = _row(contexts, chosen), invocation.screen
    shown = {**row, "env": env_styled(row["env"]), "current": "yes" if row["current"] else "no"}
    pairs = [(key.replace("_", " "), str(value or "")) for key, value in shown.items()]
    screen.record("context", row, lambda: screen.facts(pairs), "name")


@context_command.command("rm", examples="orc context rm desk-a")
@_name
@pass_invocation
def context_rm(invocation: Invocation, *, name: str) -> None:
    """Remove a context; its token file stays."""
    contexts = Contexts.load()
    contexts.get(name)
    left = {one: context for one, context in contexts.known.items() if one != name}
    current = None if contexts.current == name else contexts.current
    replace(contexts, known=left, current=current).save()
    invocation.screen.note(f"{name} is removed")


def _row(contexts: Contexts, name: str) -> dict[str, Any]:
    return {"name": name, "current": contexts.current == name, **asdict(contexts.known[name])}
