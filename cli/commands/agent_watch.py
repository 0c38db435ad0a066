"""``agent watch``: agents as they change."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import click

from ...protocol.printable import printable
from ...protocol.timestamps import timestamp
from ..client.completion import complete_agents
from ..client.rest import Client
from ..errors import BadUsage
from ..options import Invocation, command, pass_invocation
from ..output import Screen
from .agent_rows import agent_state, in_order

WATCH_S: Final = 2.0
"""Between two looks: calls count against the daemon's limit of some 60 a minute."""
GONE: Final = "gone"
"""The state of one that the daemon no longer lists."""

Seen = dict[str, str]


@command(
    "watch",
    examples="""
        orc agent watch
        orc agent watch execution-1 risk-1
        orc agent watch -o jsonl
    """,
)
@click.argument("agent_ids", metavar="[ID]...", nargs=-1, shell_complete=complete_agents)
@click.option("--count", type=click.IntRange(1), metavar="N", help="Exit after N lines.")
@pass_invocation
def watch_command(invocation: Invocation, *, agent_ids: tuple[str, ...], count: int | None) -> None:
    """Show each agent's state, trouble first, then each change of state, until Ctrl-C.

    The daemon is asked every 2 seconds; a state that lasted less may be missed. Ends with exit
    code 3 when the daemon goes away.
    """
    write = _writer(invocation.screen)
    with Client.of(invocation) as client:
        for row in islice(_changes(client, agent_ids), count):
            write(row)


def _changes(client: Client, agent_ids: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The states there are, then those that change, without end."""
    seen: Seen = {}
    while True:
        rows = client.get("/health/agents")["agents"]
        at = timestamp(datetime.now(UTC).timestamp())
        for row in changes(seen, rows, agent_ids):
            yield {"at": at, **row}
        time.sleep(WATCH_S)


def changes(
    seen: Seen, rows: list[dict[str, Any]], agent_ids: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """What is new since ``seen``, which is brought up to date.

    Yields:
        ``{"id", "state", "was", "error"}``; ``was`` is None for one not seen before.
    """
    now: dict[str, Mapping[str, Any]] = {str(row["id"]): row for row in in_order(rows)}
    for agent_id in [*now, *(one for one in seen if one not in now)]:
        if agent_ids and agent_id not in agent_ids:
            continue
        row = now.get(agent_id)
        state, was = GONE if row is None else agent_state(row), seen.get(agent_id)
        if state != was:
            seen[agent_id] = state
            yield {
                "id": agent_id,
                "state": state,
                "was": was,
                "error": None if row is None else row.get("last_error"),
            }


def _writer(screen: Screen) -> Callable[[Mapping[str, Any]], None]:
    if screen.output in ("json", "jsonl"):
        return screen.json_line
    if screen.output == "name":
        return lambda row: screen.name(str(row["id"]))
    if screen.output == "csv":
        raise BadUsage("a stream cannot be CSV", advice="use -o jsonl, or `agent ls -o csv`")
    return lambda row: screen.line(_line(row, screen))


def _line(row: Mapping[str, Any], screen: Screen) -> str:
    state = str(row["state"])
    was = f"  was {row['was']}" if row["was"] else ""
    error = f"  {printable(str(row['error']))}" if row["error"] and state != "up" else ""
    word = f"{screen.state(state)}{' ' * max(0, 7 - len(state))}"
    return f"{screen.moment(row['at'])}  {word}  {printable(str(row['id']))}{was}{error}"
