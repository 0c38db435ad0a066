"""``killswitch status|release|history``; ``halt`` is a file of its own."""

from collections.abc import Mapping
from typing import Any

import click

from ...protocol.printable import printable
from ..client.rest import Client
from ..errors import BadUsage, ExitCode, Failure
from ..formatting import plural
from ..options import Invocation, confirm, noun, pass_invocation
from ..output import Screen

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


@killswitch_command.command("status", examples="orc killswitch status -o json")
@pass_invocation
def killswitch_status(invocation: Invocation) -> None:
    """Tell whether trading is stopped, by whom and why."""
    with Client.of(invocation) as client:
        state = client.get("/risk/killswitch")
    screen = invocation.screen
    screen.record("killswitch", state, lambda: _status_lines(state, screen), "trip_id")


def _status_lines(state: Mapping[str, Any], screen: Screen) -> list[str]:
    status = str(state.get("status"))
    if status == "inactive":
        released = screen.age(state.get("released_at")) if state.get("released_at") else ""
        since = f"last released {_ago(released, screen)}" if released else "no stop in force"
        return [f"{screen.state('allowed')}  trading is allowed   {since}"]
    if status != "active":
        said = printable(str(state.get("message") or "agents take it for a stop"))
        return [f"{screen.state('unknown')}  the daemon cannot know.  {said}"]
    lines = [f"{screen.state('HALT')}  trading is stopped"]
    lines += [_trip_line(trip, screen) for trip in state.get("trips") or [state]]
    return [*lines, *_agent_lines(state.get("agents") or {})]


def _trip_line(trip: Mapping[str, Any], screen: Screen) -> str:
    when = screen.age(trip.get("at") or trip.get("last_triggered") or trip.get("timestamp"))
    by = printable(str(trip.get("triggered_by") or "unknown"))
    reason = printable(str(trip.get("reason") or ""))
    return f"  trip {trip.get('trip_id')}  {_ago(when, screen)}  by {by}: {reason}"


def _ago(text: str, screen: Screen) -> str:
    return f"{text} ago" if screen.terminal and screen.time not in ("iso", "local") else text


def _agent_lines(agents: Mapping[str, Any]) -> list[str]:
    return [
        f"  {label}: {', '.join(map(str, agents[label]))}"
        for label in ("acknowledged", "pending", "unreachable")
        if agents.get(label)
    ]


@killswitch_command.command(
    "release",
    examples="""
        orc killswitch release 01J9ZK3V5Q8M2T7B4N6R0WXYCD --reason "feed is back"
        orc killswitch release --reason "drill is over" --yes --confirm desk-a
    """,
)
@click.argument("trip", required=False)
@click.option("--reason", metavar="TEXT", help="Why trading may go on.")
@click.option("--confirm", "confirmed", metavar="NAME", help="The instance, where it is live.")
@pass_invocation
def killswitch_release(
    invocation: Invocation, *, trip: str | None, reason: str | None, confirmed: str | None
) -> None:
    """Release one trip, so that trading may go on when no other is in force.

    TRIP may be left out while exactly one is in force.
    """
    with Client.of(invocation) as client:
        health = client.get("/health")
        state = client.get("/risk/killswitch")
        trip = trip or _only_trip(state)
        reason = read_reason(invocation, reason)
        _confirm_release(invocation, health, state, trip=trip, confirmed=confirmed)
        released = client.post("/risk/killswitch/release", {"reason": reason, "trip_id": trip})
    screen = invocation.screen
    screen.record(
        "release", {**released, "trip_id": trip}, lambda: _status_lines(released, screen), "trip_id"
    )


def _only_trip(state: Mapping[str, Any]) -> str:
    trips = [str(trip.get("trip_id")) for trip in state.get("trips") or []]
    if not trips and state.get("enabled") and state.get("trip_id"):
        trips = [str(state["trip_id"])]
    if not trips:
        raise Failure(
            "there is nothing to release",
            code="not_active",
            cause="no stop is in force",
            exit_code=ExitCode.NOT_FOUND,
        )
    if len(trips) > 1:
        raise BadUsage("several trips are in force", advice=f"name one of {', '.join(trips)}")
    return trips[0]


def _confirm_release(
    invocation: Invocation,
    health: Mapping[str, Any],
    state: Mapping[str, Any],
    *,
    trip: str,
    confirmed: str | None,
) -> None:
    others = sum(str(other.get("trip_id")) != trip for other in state.get("trips") or [])
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
        f"{place_of(health)}: release trip {trip}; {effect}.",
        typed=instance if live else None,
    )
