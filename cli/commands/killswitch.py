"""``killswitch status|release|history|drill``; ``halt`` is a file of its own."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import click

from ...protocol.printable import printable
from ..client.pages import Event, Pages
from ..client.receipts import NOT_KNOWN, is_unknown_who
from ..client.rest import Client
from ..errors import BadUsage, ExitCode, Failure
from ..filters import Filter
from ..formatting import duration, plural
from ..options import Invocation, confirm, noun, pass_invocation
from ..output import Column, Row, Screen

_PATH: Final = "/risk/killswitch"
WATCH_S: Final = 0.5
REASON_CHARS = 500
"""The daemon takes no longer one."""
LIVE = "live"
"""The environment in which going on needs more than a yes."""


def read_reason(invocation: Invocation, reason: str | None, *, cut: bool = False) -> str:
    """The reason, asked for on a terminal.

    Raises:
        BadUsage: there is none, or it is too long and not to be ``cut``.
    """
    if reason is None and invocation.may_ask():
        reason = click.prompt("Reason", err=True)
    reason = (reason or "").strip()
    if not reason:
        raise BadUsage("a reason is needed", advice='--reason "fat finger on AAPL"')
    if cut:
        return reason[:REASON_CHARS]
    if len(reason) > REASON_CHARS:
        raise BadUsage(f"the reason is longer than {REASON_CHARS} characters")
    return reason


def place_of(health: Mapping[str, Any]) -> str:
    """How a daemon is called: ``desk-a (LIVE)``."""
    name = printable(str(health.get("instance") or "orchestrator"))
    return f"{name} ({printable(str(health.get('env') or 'unknown')).upper()})"


def program() -> str:
    """What the user calls it."""
    return click.get_current_context().find_root().info_name or "orchestrator"


@noun("killswitch", examples="orc killswitch status")
def killswitch_command() -> None:
    """Look at the stop, and release it."""


@killswitch_command.command(
    "status",
    examples="""
        orc killswitch status
        orc killswitch status --watch
    """,
)
@click.option("--watch", is_flag=True, help="Show each change, until Ctrl-C.")
@pass_invocation
def killswitch_status(invocation: Invocation, *, watch: bool) -> None:
    """Tell what is stopped, by whom and why, and who has halted."""
    screen = invocation.screen
    with Client.of(invocation) as client:
        for state in _states(client) if watch else [_state(client)]:
            if watch and screen.output == "json":
                screen.json_line(state)
            else:
                screen.record("killswitch", state, partial(_status_lines, state, screen), "trip_id")


def _state(client: Client) -> dict[str, Any]:
    """What is in force.

    Raises:
        Failure: the daemon does not say; then it is not known.
    """
    try:
        return client.get(_PATH)
    except Failure as failure:
        if failure.exit_code == ExitCode.UNREACHABLE:
            failure.message = f"not known whether trading is stopped: {failure.message}"
        raise


def _states(client: Client) -> Iterator[dict[str, Any]]:
    """The state now and at each change, endlessly; unknown while the daemon does not answer."""
    before = None
    while True:
        try:
            state = client.get(_PATH)
        except Failure as failure:
            if failure.exit_code != ExitCode.UNREACHABLE:
                raise
            state = {"status": "unknown", "enabled": True, "message": f"{failure.message}."}
        known = {name: value for name, value in state.items() if name != "timestamp"}
        if known != before:
            before = known
            yield state
        time.sleep(WATCH_S)


def _status_lines(state: Mapping[str, Any], screen: Screen) -> list[str]:
    status = str(state.get("status"))
    if status == "inactive":
        released = screen.age(state.get("released_at")) if state.get("released_at") else ""
        since = f"last released {_ago(released, screen)}" if released else "no stop in force"
        return [f"{screen.state('allowed')}  trading is allowed   {since}"]
    if status != "active":
        said = printable(str(state.get("message") or "agents take it for a stop"))
        return [f"{screen.state('unknown')}  not known whether trading is stopped.  {said}"]
    trips = state.get("trips") or [state]
    lines = [_effect(trips, screen), *(_trip_line(trip, screen) for trip in trips)]
    not_known = [f"  {NOT_KNOWN}"] if is_unknown_who(state) else []
    return [*lines, *_agent_lines(state.get("agents") or {}), *not_known]


def _effect(trips: Sequence[Mapping[str, Any]], screen: Screen) -> str:
    targets = [_target(trip) for trip in trips]
    if "halt all" in targets:
        return f"{screen.state('HALT')}  trading is stopped"
    word = "HALT" if any(target.startswith("halt") for target in targets) else "REDUCE"
    return f"{screen.state(word)}  part of trading is stopped"


def _target(trip: Mapping[str, Any]) -> str:
    return printable(f"{trip.get('level') or 'halt'} {trip.get('scope') or 'all'}")


def _trip_line(trip: Mapping[str, Any], screen: Screen) -> str:
    when = screen.age(trip.get("at") or trip.get("last_triggered") or trip.get("timestamp"))
    by = printable(str(trip.get("triggered_by") or "unknown"))
    reason = printable(str(trip.get("reason") or ""))
    target = _target(trip)
    return f"  trip {trip.get('trip_id')}  {target}  {_ago(when, screen)}  by {by}: {reason}"


def _ago(text: str, screen: Screen) -> str:
    return f"{text} ago" if screen.terminal and screen.time not in ("iso", "local") else text


def _agent_lines(agents: Mapping[str, Any]) -> list[str]:
    return [
        f"  {label.replace('_', ' ')}: {printable(', '.join(map(str, agents[label])))}"
        for label in ("acknowledged", "quiet", "pending", "unreachable", "without_gate")
        if agents.get(label)
    ]


@killswitch_command.command(
    "release",
    examples="""
        orc killswitch release 01J9ZK3V5Q8M2T7B4N6R0WXYCD --reason "feed is back"
        orc killswitch release --reason "feed is back" --yes --confirm desk-a
    """,
)
@click.argument("trip", required=False)
@click.option("--all", "every", is_flag=True, help="All that are in force now; a newer one stays.")
@click.option("--reason", metavar="TEXT", help="Why trading may go on.")
@click.option("--confirm", "confirmed", metavar="NAME", help="The instance, where it is live.")
@pass_invocation
def killswitch_release(
    invocation: Invocation,
    *,
    trip: str | None,
    every: bool,
    reason: str | None,
    confirmed: str | None,
) -> None:
    """Release one trip, so that trading may go on when no other is in force.

    TRIP may be left out while exactly one is in force.
    """
    if every and trip:
        raise BadUsage("--all and a trip exclude each other")
    with Client.of(invocation) as client:
        health = client.get("/health")
        state = _state(client)
        trips = _trips_in(state) if every else [trip or _only_trip(state)]
        reason = read_reason(invocation, reason)
        _confirm_release(invocation, health, state, trips=trips, confirmed=confirmed)
        released = _released(client, trips, reason)
    screen = invocation.screen
    row = {**released, "trip_id": trips[-1], "released": trips}
    screen.record("release", row, lambda: _release_lines(trips, released, screen), "trip_id")


def _released(client: Client, trips: Sequence[str], reason: str) -> dict[str, Any]:
    """The state after the last release.

    Raises:
        Failure: one was refused; says which were released before.
    """
    answer: dict[str, Any] = {}
    for position, trip in enumerate(trips):
        try:
            answer = client.post(f"{_PATH}/release", {"reason": reason, "trip_id": trip})
        except Failure as failure:
            if position:
                failure.message += f" (trip {trip}; released: {', '.join(trips[:position])})"
                failure.exit_code = ExitCode.PARTIAL
            raise
    return answer


def _release_lines(
    trips: Sequence[str], released: Mapping[str, Any], screen: Screen
) -> Iterator[str]:
    yield f"released {', '.join(trips)}"
    if released.get("status") == "active":
        yield "still in force:"
    yield from _status_lines(released, screen)


def _trips_in(state: Mapping[str, Any]) -> list[str]:
    """Ids of the trips in force, oldest first.

    Raises:
        Failure: there are none.
    """
    trips = [str(trip.get("trip_id")) for trip in state.get("trips") or []]
    if not trips and state.get("enabled") and state.get("trip_id"):
        trips = [str(state["trip_id"])]
    if trips:
        return trips
    if state.get("status") != "inactive":
        raise Failure(
            "not known what there is to release",
            code="unknown",
            cause=str(state.get("message") or "the daemon cannot know what is in force"),
            exit_code=ExitCode.UNREACHABLE,
        )
    raise Failure(
        "there is nothing to release",
        code="not_active",
        cause="no stop is in force",
        exit_code=ExitCode.NOT_FOUND,
    )


def _only_trip(state: Mapping[str, Any]) -> str:
    trips = _trips_in(state)
    if len(trips) > 1:
        raise BadUsage(
            "several trips are in force", advice=f"name one of {', '.join(trips)}, or --all"
        )
    return trips[0]


def _confirm_release(
    invocation: Invocation,
    health: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    trips: Sequence[str],
    confirmed: str | None,
) -> None:
    others = sum(str(other.get("trip_id")) not in trips for other in state.get("trips") or [])
    effect = (
        f"the stop stays in force by {plural(others, 'other trip')}"
        if others
        else "agents may place orders again"
    )
    instance = str(health.get("instance"))
    live = health.get("env") == LIVE
    if live and invocation.yes and confirmed != instance:
        raise BadUsage(
            f"{place_of(health)} is live: a mere yes is not enough",
            advice=f"add --confirm {instance}",
        )
    confirm(
        invocation,
        f"{place_of(health)}: release trip {', '.join(trips)}; {effect}.",
        typed=instance if live else None,
    )


HISTORY_COLUMNS = (
    Column("TIME", "ts", lambda row, screen: screen.moment(row.get("ts"))),
    Column("WHAT", "what"),
    Column("TRIP", "trip_id"),
    Column("LEVEL", "level"),
    Column("SCOPE", "scope"),
    Column("BY", "by"),
    Column("REASON", "reason", shrinks=True),
)


@killswitch_command.command("history", examples="orc killswitch history --limit 50")
@click.option("--limit", type=click.IntRange(1), default=20, help="The N latest.  [20]")
@pass_invocation
def killswitch_history(invocation: Invocation, *, limit: int) -> None:
    """List stops and releases, the latest last, from the stored events."""
    screen = invocation.screen
    with Client.of(invocation) as client:
        events = Pages(client, screen.note).latest(limit, Filter(types=("risk.killswitch",)))
    screen.records("transitions", [_transition(one) for one in events], HISTORY_COLUMNS, "trip_id")


def _transition(event: Event) -> Row:
    """One stop or release; a `false` that released nothing is called ignored."""
    payload = event.get("payload")
    fields = payload if isinstance(payload, dict) else {}
    ended = fields.get("released")
    row = {name: fields.get(name) for name in ("trip_id", "level", "scope", "reason")}
    row |= {"ts": event.get("ts"), "id": event.get("id"), "by": fields.get("triggered_by")}
    if isinstance(ended, dict):
        words = {name: ended.get(name) for name in ("trip_id", "reason", "by")}
        return {**row, **words, "level": None, "scope": None, "what": "released"}
    return {**row, "what": "ignored" if fields.get("enabled") is False else "stopped"}


@killswitch_command.command("drill", examples="orc killswitch drill")
@pass_invocation
def killswitch_drill(invocation: Invocation) -> int:
    """Measure the way of a stop to every agent with a gate; halts none.

    Exit code 7 if one that beats has not answered within two seconds.
    """
    screen = invocation.screen
    with Client.of(invocation) as client:
        drill = client.post(f"{_PATH}/drill")["drill"]
    screen.record("drill", drill, lambda: _drill_lines(drill, screen), "nonce")
    return ExitCode.PARTIAL if drill["missed"] else ExitCode.DONE


def _drill_lines(drill: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    for agent in drill["missing"]:
        yield f"  {printable(agent)}  {screen.state('down')}  no answer within 2 s"
    for agent, taken_ms in drill["answers"].items():
        yield f"  {printable(agent)}  {duration(taken_ms / 1_000)}"
    every = drill["answered"] + drill["missed"]
    if not every:
        yield "no agent with a gate beats: nothing was measured"
        return
    yield f"{drill['answered']} of {every} answered; no agent was halted"
