"""``tree``: the supervision tree."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from ...protocol.printable import printable
from ..client.rest import Client
from ..formatting import plural, uptime
from ..options import Invocation, command, pass_invocation
from ..output import JSON_VERSION, NOTHING, Column, Row, Screen

WELL = ("RUNNING", "STOPPED", "EXITED")
"""States that need no attention."""
_CLEAR = "\x1b[H\x1b[2J"

Node = Mapping[str, Any]


def _show_up(row: Row, _: Screen) -> str:
    seconds = row.get("uptime_seconds")
    return uptime(seconds) if isinstance(seconds, int | float) and seconds else NOTHING


def _show_mail(row: Row, screen: Screen) -> str:
    mailbox = row.get("mailbox") or {}
    return f"{screen.number(mailbox.get('depth'))}/{screen.number(mailbox.get('capacity'))}"


def _show_handled(row: Row, screen: Screen) -> str:
    return screen.number(row.get("processed"))


def _show_name(row: Row, _: Screen) -> str:
    return f"{row['branch']}{printable(str(row['name']))}"


def _show_error(row: Row, _: Screen) -> str:
    return printable(str(row.get("last_error") or ""))


COLUMNS = (
    Column("ACTOR", "name", _show_name),
    Column("STATE", "state", lambda row, _: str(row.get("state")), state=True),
    Column("UP", "uptime_seconds", _show_up, right=True),
    Column("RESTARTS", "restarts", right=True),
    Column("MAILBOX", "mailbox", _show_mail, right=True),
    Column("HANDLED", "processed", _show_handled, right=True),
    Column("KIND", "kind", wide=True),
    Column("LAST ERROR", "last_error", _show_error, shrinks=True),
)


@command(
    "tree",
    examples="""
        orc tree
        orc tree --watch
        orc tree -o jsonl | jq 'select(.restarts > 0)'
    """,
)
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2, max=3600),
    default=1.0,
    metavar="SECONDS",
    help="Refresh interval.  [1]",
)
@pass_invocation
def tree_command(invocation: Invocation, *, watch: bool, interval: float) -> None:
    """Show the supervision tree: states, restarts, mailboxes."""
    screen = invocation.screen
    with Client.of(invocation) as client:
        _show(client.get("/runtime/actors")["tree"], screen, clear=watch)
        while watch:
            time.sleep(interval)
            _show(client.get("/runtime/actors")["tree"], screen, clear=True)


def _show(tree: Node, screen: Screen, *, clear: bool) -> None:
    rows = list(flat(tree))
    if clear and screen.terminal and not screen.for_programs:
        click.echo(_CLEAR, nl=False)
    if screen.output == "json":
        screen.json({"version": JSON_VERSION, "kind": "actors", "tree": tree})
        return
    if screen.output in ("jsonl", "csv"):
        rows = [{key: value for key, value in row.items() if key != "branch"} for row in rows]
    screen.records("actors", rows, COLUMNS, "name")
    if not screen.for_programs:
        screen.note(_footer(rows))


def flat(tree: Node) -> Iterator[dict[str, Any]]:
    """All actors from the root down, each with its ``parent`` and the ``branch`` it hangs on."""
    yield _row(tree, parent=None, branch="")
    yield from _below(tree, trunk="")


def _below(node: Node, *, trunk: str) -> Iterator[dict[str, Any]]:
    children = node.get("children") or ()
    for place, child in enumerate(children):
        last = place == len(children) - 1
        yield _row(child, parent=str(node["name"]), branch=trunk + ("└─ " if last else "├─ "))
        yield from _below(child, trunk=trunk + ("   " if last else "│  "))


def _row(node: Node, *, parent: str | None, branch: str) -> dict[str, Any]:
    own = {key: value for key, value in node.items() if key != "children"}
    return {**own, "parent": parent, "branch": branch}


def _footer(rows: Iterable[Row]) -> str:
    states = [str(row.get("state")) for row in rows]
    trouble = [state for state in states if state not in WELL]
    said = plural(len(states), "actor")
    return f"{said}, {len(trouble)} not running" if trouble else f"{said}, all well"
