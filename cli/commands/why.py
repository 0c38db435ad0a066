"""``event why``: what an event was caused by, and what came of it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import click

from ...protocol.causes import event_name
from ...protocol.json_object import text_in
from ...protocol.printable import printable
from ...protocol.timestamps import timestamp
from ..client.pages import Event, Pages, channel_of
from ..client.rest import Client
from ..errors import BadUsage
from ..formatting import event_summary, read_duration, read_iso
from ..options import Invocation, command, pass_invocation
from ..output import JSON_VERSION, Screen, cut

MAX_EVENTS = 1000
"""Of one chain."""


class Node:
    """One event and what it caused, oldest first."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.cause: Node | None = None
        self.consequences: list[Node] = []

    def comes_of(self, other: "Node") -> bool:
        """Whether ``other`` is this event or one of its causes."""
        node: Node | None = self
        while node is not None and node is not other:
            node = node.cause
        return node is other


def trees(events: list[Event]) -> list[Node]:
    """Events, oldest first, as trees: each below its cause, if that is one of them.

    An event may have been received before its cause: `risk.*` has a connection of its own. A
    cause that would close a circle (names used twice) is none.
    """
    nodes = [Node(event) for event in events]
    named: dict[str, Node] = {}
    for node in nodes:
        if (name := _name(node.event)) is not None:
            named.setdefault(name, node)
    for node in nodes:
        cause = named.get(text_in(_fields(node.event), "causation_id") or "")
        if cause is not None and not cause.comes_of(node):
            node.cause = cause
            cause.consequences.append(node)
    return [node for node in nodes if node.cause is None]


def drawn(nodes: list[Node], indent: str = "") -> Iterator[tuple[str, Event]]:
    """Each event with the branch before it, as `tree` draws them."""
    for node in nodes:
        last = node is nodes[-1]
        branch = f"{indent}{'└─' if last else '├─'} "
        yield branch, node.event
        yield from drawn(node.consequences, indent + ("   " if last else "│  "))


@command(
    "why",
    examples="""
        orc event why 18442904
        orc event why 18442904 --within 1d -o jsonl
    """,
)
@click.argument("event_id", metavar="ID")
@click.option(
    "--within",
    default="1h",
    show_default=True,
    metavar="TIME",
    help="So far before and after it.",
)
@pass_invocation
def why_command(invocation: Invocation, *, event_id: str, within: str) -> None:
    """Show what an event was caused by, and what came of it.

    All events with its correlation_id, each below the one that its causation_id names. The kit
    sets both for what is published within a handler.
    """
    span_s = read_duration(within)
    if not event_id.lstrip("#").isdigit() or span_s is None:
        raise BadUsage(
            "expected an event id and a duration", advice="event why 18442904 --within 1h"
        )
    with Client.of(invocation) as client:
        event: Event = client.get(f"/bus/events/{event_id.lstrip('#')}")["event"]
        chain = text_in(_fields(event), "correlation_id") or _name(event)
        events = [event] if chain is None else _read(client, invocation, event, chain, span_s)
    _show(invocation.screen, event, chain, events)


def _read(
    client: Client, invocation: Invocation, event: Event, chain: str, span_s: float
) -> list[Event]:
    """The chain, oldest first."""
    moment, span = read_iso(event.get("ts")), timedelta(seconds=span_s)
    query: dict[str, object] = {"correlation_id": chain, "order": "asc", "limit": 200, "after": 0}
    if moment is not None:
        query["from"] = timestamp((moment - span).timestamp())
        query["to"] = timestamp((moment + span).timestamp())
    pages, more = Pages(client, invocation.screen.note), True
    found: list[Event] = []
    while more and len(found) < MAX_EVENTS:
        page = pages.page(query)
        found += page["events"]
        more = bool(page["has_more"])
        query["after"] = page["cursor"]
    return found if any(one["id"] == event["id"] for one in found) else [event, *found]


def _show(screen: Screen, asked: Event, chain: str | None, events: list[Event]) -> None:
    if screen.output == "json":
        screen.json({"version": JSON_VERSION, "kind": "chain", "chain": chain, "items": events})
        return
    if screen.for_programs:
        for event in events:
            screen.line(str(event["id"])) if screen.output == "name" else screen.json_line(event)
        return
    for branch, event in drawn(trees(events)):
        mark = "  <--" if event["id"] == asked["id"] else ""
        screen.line(_line(branch, event, screen, f"  #{event['id']}{mark}"))
    screen.note(_footer(chain, len(events)))


def _line(branch: str, event: Event, screen: Screen, tail: str) -> str:
    name = str(event.get("type"))
    by = printable(str(event.get("source") or "-"))
    head = f"{screen.moment(event.get('ts'))}  {branch}{printable(name)}  {by}  "
    what = event_summary(name, event.get("payload"))
    if screen.width is None:
        return head + what + tail
    return head + cut(what, max(0, screen.width - len(head) - len(tail))) + tail


def _footer(chain: str | None, count: int) -> str:
    if chain is None:
        return "it has no correlation_id and no numbering (boot, seq): its producer names no causes"
    more = "; the rest is left out" if count >= MAX_EVENTS else ""
    return f"{count} events of chain {printable(chain)}{more}"


def _name(event: Event) -> str | None:
    source = event.get("source")
    return event_name(_fields(event), source, channel_of(event))


def _fields(event: Event) -> Mapping[str, Any]:
    payload = event.get("payload")
    return payload if isinstance(payload, dict) else {}
