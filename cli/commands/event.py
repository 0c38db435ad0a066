"""``event ls|get|emit|topics`` and ``tail``; ``event export|replay`` are files of their own."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ...protocol.printable import printable
from ..client.completion import complete_topics
from ..client.event_stream import Feed, Start
from ..client.pages import Event, Pages
from ..client.rest import Client
from ..errors import BadUsage, ExitCode, Failure
from ..filters import Filter, filter_options
from ..formatting import event_summary, read_duration
from ..options import Invocation, command, noun, pass_invocation, time_option
from ..output import Column, Row, Screen, cut
from .export import export_command
from .replay import replay_command
from .why import why_command

DEFAULT_LIMIT = 20
MAX_PAYLOAD_BYTES = 1024 * 1024
"""The daemon's limit."""
TYPE_CHARS = 22
SOURCE_CHARS = 16


def _show_summary(row: Row, _: Screen) -> str:
    return event_summary(str(row.get("type")), row.get("payload"))


EVENT_COLUMNS = (
    Column("TIME", "ts", lambda row, screen: screen.moment(row.get("ts"))),
    Column("ID", "id", lambda row, _: f"#{row['id']}", right=True),
    Column("TYPE", "type"),
    Column("SOURCE", "source"),
    Column("WHAT", "payload", _show_summary, shrinks=True),
)
TOPIC_COLUMNS = (
    Column("TYPE", "type"),
    Column("COUNT", "count", lambda row, screen: screen.number(row.get("count")), right=True),
    Column(
        "PER MIN",
        "per_minute",
        lambda row, screen: screen.number(row.get("per_minute")),
        right=True,
    ),
    Column("LAST", "last_ts", lambda row, screen: screen.age(row.get("last_ts")), right=True),
    Column("LAST ID", "last_id", lambda row, _: f"#{row.get('last_id')}", right=True),
)


@command(
    "tail",
    examples="""
        orc tail
        orc tail 'strategy.*' --last 20
        orc tail --since 15m --not 'heartbeat.*' -o jsonl
        orc tail --where 'data.symbol == "AAPL" and data.score >= 0.8' --severity warning
    """,
)
@filter_options
@click.option("--since", metavar="WHEN", help="Start at 15m, 09:30, a time, or an id.")
@click.option("--until", metavar="WHEN", help="Exit there: stored events only.")
@click.option("--last", type=click.IntRange(0), metavar="N", help="Start with the N latest.  [10]")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Exit after N events.")
@click.option("--until-idle", metavar="TIME", help="Exit after this long without events.")
@pass_invocation
def tail_command(  # noqa: PLR0913 - its options
    invocation: Invocation,
    *,
    wanted: Filter,
    since: str | None,
    until: str | None,
    last: int | None,
    count: int | None,
    until_idle: str | None,
) -> None:
    """Follow events.

    PATTERN is a type, or has * for any run of characters: 'data.market.*'. Stored events come
    first, then live ones, without gaps or duplicates.
    """
    if since is not None and last is not None:
        raise BadUsage("--since and --last exclude each other")
    begin, start = _start(since, last)
    end = None if until is None else time_option("--until", until)
    screen = invocation.screen
    write = _writer(screen)
    with Client.of(invocation) as client:
        feed = Feed(
            client,
            replace(wanted, begin=begin, end=end),
            timeout_s=invocation.timeout,
            note=screen.note,
            on_stop=lambda frame: screen.warn(_stop_line(frame)),
        )
        events = feed.events(start, idle_s=_seconds(until_idle))
        for event in islice(events, count):
            write(event)
        feed.close()


def _start(since: str | None, last: int | None) -> tuple[str | None, Start]:
    if since is None:
        return None, Start(last=10 if last is None else last)
    if since.lstrip("#").isdigit():
        return None, Start(after=int(since.lstrip("#")))
    return time_option("--since", since), Start(from_begin=True)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    seconds = float(text) if text.replace(".", "", 1).isdigit() else read_duration(text)
    if seconds is None:
        raise BadUsage(f"{text!r} is not a duration", advice="write 5s or 2m")
    return seconds


def _stop_line(frame: dict[str, Any]) -> str:
    released = frame.get("type") == "killswitch_released"
    data = frame.get("data") if isinstance(frame.get("data"), dict) else {}
    reason = printable(str((data or {}).get("reason") or "no reason given"))
    return f"-- KILLSWITCH {'released' if released else 'ACTIVATED'}: {reason} --"


def _writer(screen: Screen) -> Callable[[Event], None]:
    """The function that writes one event of a stream."""
    if screen.output in ("json", "jsonl"):
        return screen.json_line
    if screen.output == "name":
        return lambda event: screen.line(str(event["id"]))
    if screen.output == "csv":
        raise BadUsage("a stream cannot be CSV", advice="use -o jsonl, or `event ls -o csv`")
    return lambda event: screen.line(event_line(event, screen))


def event_line(event: Event, screen: Screen) -> str:
    """``10:02:11.482  strategy.candidate  dev-1  AAPL momentum score=0.91  #18442901``."""
    name = printable(str(event.get("type")))
    source = printable(str(event.get("source") or "-"))
    head = f"{screen.moment(event.get('ts'))}  {name:<{TYPE_CHARS}}  {source:<{SOURCE_CHARS}}  "
    what = event_summary(name, event.get("payload"))
    tail = f"  #{event['id']}" + (" (replaces)" if event.get("replaces") else "")
    if screen.width is None:
        return head + what + tail
    room = max(0, screen.width - len(head) - len(tail))
    line = head + cut(what, room).ljust(room)
    color = _topic_color(name)
    styled = line.replace(name, click.style(name, fg=color), 1) if color else line
    return styled + click.style(tail, dim=True)


def _topic_color(name: str) -> str | None:
    area = name.split(".", 1)[0]
    colors = {"risk": "red", "bus": "yellow", "runtime": "yellow", "strategy": "cyan"}
    return {**colors, "quant": "magenta", "news": "blue", "agent": "green"}.get(area)


@noun("event", examples="orc event ls 'risk.*' --since 1h")
def event_command() -> None:
    """Read, follow, emit, export and replay events."""


event_command.add_command(tail_command, "tail")
event_command.add_command(export_command, "export")
event_command.add_command(replay_command, "replay")
event_command.add_command(why_command, "why")


@event_command.command(
    "ls",
    examples="""
        orc event ls --limit 50
        orc event ls 'strategy.*' --since 15m --source dev-agent-1
        orc event ls 'data.market.AAPL.*' -o jsonl
        orc event ls --since 1d --where 'data.score >= 0.8' --trace 01J9Z4
    """,
)
@filter_options
@click.option("--since", metavar="WHEN", help="Not before: 15m, 09:30, a time, or after an id.")
@click.option("--until", metavar="WHEN", help="Not after this time.")
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=DEFAULT_LIMIT, show_default=True, metavar="N"
)
@pass_invocation
def event_ls(
    invocation: Invocation,
    *,
    wanted: Filter,
    since: str | None,
    until: str | None,
    limit: int,
) -> None:
    """List stored events, the newest last.

    With --since the first ones from there on; otherwise the latest.
    """
    end = None if until is None else time_option("--until", until)
    begin, start = _start(since, None)
    wanted = replace(wanted, begin=begin, end=end)
    screen = invocation.screen
    with Client.of(invocation) as client:
        pages = Pages(client, screen.note)
        if since is None:
            events = pages.latest(limit, wanted)
        else:
            events = list(islice(pages.between(start.after or 0, None, wanted), limit))
    screen.records("events", events, EVENT_COLUMNS, "id")
    if not screen.for_programs:
        screen.note(_ls_footer(events, limit, since))


def _ls_footer(events: list[Event], limit: int, since: str | None) -> str:
    if not events:
        return "no such events; `event topics` lists the types"
    if len(events) < limit:
        return f"{len(events)} shown, that is all"
    if since is None:
        return f"the latest {len(events)} shown; more with --limit or --since"
    return f"the first {len(events)} shown; go on with --since {events[-1]['id']}"


def _report(name: str, event_type: str, help_text: str, none: str) -> None:
    """Declare a list of the daemon's own reports of one kind."""

    @event_command.command(name, examples=f"orc event {name} --since 1d", help=help_text)
    @click.option("--since", metavar="WHEN", help="Not before: 15m, 09:30, or a time.")
    @click.option("-n", "--limit", type=click.IntRange(1), default=DEFAULT_LIMIT, show_default=True)
    @pass_invocation
    def call(invocation: Invocation, *, since: str | None, limit: int) -> None:
        begin = None if since is None else time_option("--since", since)
        screen = invocation.screen
        with Client.of(invocation) as client:
            wanted = Filter(types=(event_type,), begin=begin)
            events = Pages(client, screen.note).latest(limit, wanted)
        screen.records("events", events, EVENT_COLUMNS, "id")
        if not events and not screen.for_programs:
            screen.note(none)


_report(
    "gaps",
    "bus.gap",
    "List what was not received, or may not have been: from when to when, and why.",
    "no gap was found",
)
_report(
    "rejected",
    "bus.rejected",
    "List messages that are no events: their channel, the reason, their first 4 KiB.",
    "nothing was rejected",
)


@event_command.command("get", examples="orc event get 18442901")
@click.argument("event_id", metavar="ID")
@pass_invocation
def event_get(invocation: Invocation, *, event_id: str) -> None:
    """Show one event with its payload."""
    if not event_id.lstrip("#").isdigit():
        raise BadUsage(f"{event_id!r} is not an event id", advice="such as 18442901")
    with Client.of(invocation) as client:
        event = client.get(f"/bus/events/{event_id.lstrip('#')}")["event"]
    screen = invocation.screen
    screen.record("event", event, lambda: _event_lines(event, screen), "id")


def _event_lines(event: Event, screen: Screen) -> list[str]:
    facts = screen.facts(
        [
            ("id", f"#{event['id']}"),
            ("type", printable(str(event.get("type")))),
            ("source", printable(str(event.get("source") or ""))),
            ("time", screen.moment(event.get("ts"))),
            ("processed", "yes" if event.get("processed") else "no"),
        ]
    )
    payload = json.dumps(event.get("payload"), indent=2, ensure_ascii=False).splitlines()
    return [*facts, *map(printable, payload)]


@event_command.command(
    "emit",
    examples="""
        orc event emit strategy.candidate '{"symbol":"AAPL","action":"BUY"}'
        orc event emit news.signal.entity @news.json
        echo '{"note":"hello"}' | orc event emit strategy.note -
    """,
)
@click.argument("topic", shell_complete=complete_topics)
@click.argument("payload", metavar="JSON|@FILE|-")
@click.option("--source", metavar="AGENT", help="Source of the event.")
@pass_invocation
def event_emit(invocation: Invocation, *, topic: str, payload: str, source: str | None) -> None:
    """Publish and store one event."""
    body: dict[str, Any] = {"type": topic, "payload": _read_payload(payload)}
    if source is not None:
        body["source"] = source
    with Client.of(invocation) as client:
        stored = client.post("/bus/events", body)
    screen = invocation.screen
    identity = "no id yet" if stored.get("id") is None else f"#{stored['id']}"
    said = f"{stored.get('status')}  {identity}  {topic}"
    screen.record("stored", stored, lambda: [said], "id")


def _read_payload(text: str) -> Any:
    try:
        if text == "-":
            text = sys.stdin.buffer.read(MAX_PAYLOAD_BYTES + 1).decode()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
        return json.loads(text)
    except OSError as error:
        raise Failure(
            f"cannot read {text[1:]}",
            code="unreadable",
            cause=error.strerror or str(error),
            exit_code=ExitCode.USAGE,
        ) from error
    except ValueError as error:
        raise BadUsage(
            "the payload is not JSON", cause=str(error), advice='quote it: \'{"symbol":"AAPL"}\''
        ) from error


@event_command.command("topics", examples="orc event topics")
@pass_invocation
def event_topics(invocation: Invocation) -> None:
    """List event types with counts and rates."""
    with Client.of(invocation) as client:
        types = client.get("/bus/types")["types"]
    screen = invocation.screen
    screen.records("topics", types, TOPIC_COLUMNS, "type")
    if not types and not screen.for_programs:
        screen.note("no event has been stored yet")
