"""``examples``: a short sheet of commands for each area, out of the helps themselves."""

from collections.abc import Iterator
from typing import Any

import click

from ..errors import ExitCode, Failure
from ..options import Invocation, command, pass_invocation
from ..output import Column, Screen

EXAMPLE_COLUMNS = (
    Column("COMMAND", "command"),
    Column("ABOUT", "about"),
    Column("EXAMPLE", "example"),
)


def _areas() -> dict[str, list[str]]:
    from .. import AREAS

    return {area.lower(): list(commands) for area, commands in AREAS.items()}


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    areas = _areas()
    names = [*areas, *(name for commands in areas.values() for name in commands)]
    return [name for name in names if name.startswith(incomplete) and " " not in name]


@command(
    "examples",
    examples="""
        orc examples
        orc examples tail
        orc examples agent
    """,
)
@click.argument("area", metavar="[COMMAND|AREA]...", nargs=-1, shell_complete=_complete)
@pass_invocation
def examples_command(invocation: Invocation, *, area: tuple[str, ...]) -> None:
    """Show examples of a command and its verbs, or of an area; without one, of all areas.

    They are those that each `--help` begins with.
    """
    screen, word = invocation.screen, " ".join(area).lower()
    areas = _areas()
    if not word:
        chosen = [name for commands in areas.values() for name in commands]
    elif word in areas:
        chosen = areas[word]
    else:
        chosen = [name for commands in areas.values() for name in commands if name == word]
    if not chosen:
        raise Failure(
            f"there are no examples of {word!r}",
            code="not_found",
            cause=f"the areas are {', '.join(areas)}",
            advice="name one of them, or a command of `orchestrator --help`",
            exit_code=ExitCode.NOT_FOUND,
        )
    rows = [row for name in chosen for row in _rows(name, is_alone=bool(word))]
    if screen.for_programs:
        screen.records("examples", rows, EXAMPLE_COLUMNS, "example")
        return
    for line in _lines(rows, screen):
        screen.line(line)


def _rows(name: str, *, is_alone: bool) -> Iterator[dict[str, Any]]:
    """The examples of a command; in the sheet of everything a noun has its own only."""
    from .. import cli

    found = cli.get_command(click.Context(cli), name)
    if found is None:
        return
    yield from _of(found, name)
    if is_alone and isinstance(found, click.Group):
        for verb, below in sorted(found.commands.items()):
            yield from _of(below, f"{name} {verb}")


def _of(found: click.Command, name: str) -> Iterator[dict[str, Any]]:
    about = found.get_short_help_str(200)
    for line in getattr(found, "examples", "").strip().splitlines():
        yield {"command": name, "about": about, "example": line.strip()}


def _lines(rows: list[dict[str, Any]], screen: Screen) -> Iterator[str]:
    last = None
    for row in rows:
        if row["command"] != last:
            if last is not None:
                yield ""
            yield f"{screen.strong(row['command'])}  {row['about']}"
            last = row["command"]
        yield f"  {row['example']}"
