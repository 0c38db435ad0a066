"""``/risk/killswitch``: the stop, its state, its release, what it means for an agent."""

from collections.abc import Iterable
from typing import Final

import msgspec

from ...actors.messages.killswitch import (
    Drill,
    DrillResult,
    Effective,
    Engage,
    Engaged,
    GetEffective,
    GetKillswitch,
    KillswitchView,
    Release,
    Released,
    Standing,
)
from ...protocol.document import public_fields
from ...protocol.targets import read_target
from ...protocol.timestamps import utc_now
from ...protocol.trips import Trip
from ...protocol.ways import Way
from ...runtime import Address
from ..acts import asker_of
from ..auth import Role, caller_in
from ..peers import ASK_TIMEOUT_S
from ..requests import Call, Environ
from ..routes import Answer, Route, json_answer
from . import schemas
from .last_drill import DrillAnswer, drill_if_known
from .schemas import (
    Acknowledgements,
    EffectiveAnswer,
    EffectiveQuery,
    EngagedAnswer,
    KillswitchAnswer,
    TripShape,
)

_PATH: Final = "/risk/killswitch"
# It answers within two seconds; a stop is worth more patience than a page.
_ENGAGE_TIMEOUT_S: Final = 10.0
_AGAIN: Final = (
    "Another program writes the same stop into PostgreSQL again and again: end that first, "
    "or it engages anew."
)


class KillswitchRoutes:
    """The killswitch over REST; its calls are never limited."""

    def __init__(self, killswitch: Address, keeper: Address) -> None:
        self._killswitch = killswitch
        self._keeper = keeper

    @Route("GET", _PATH, {200: KillswitchAnswer}, counted=False)
    def show(self, _call: Call) -> KillswitchAnswer:
        """Whether trading is stopped, why, and by whom.

        `unknown`: the daemon cannot know, so `enabled` is true, and agents do not trade. `agents`
        says who has halted. Never limited.
        """
        view = self._killswitch.ask(GetKillswitch(), timeout_s=ASK_TIMEOUT_S)
        return _shown(view, drill_if_known(self._keeper))

    @Route(
        "POST",
        _PATH,
        {200: EngagedAnswer, 503: EngagedAnswer},
        body=schemas.Engage,
        counted=False,
        access=Role.TRIPPER,
        always=True,
        audit="killswitch.engage",
        example={"reason": "prices of AAPL look wrong"},
    )
    def engage(self, call: Call) -> Answer:
        """Stop trading.

        Works while PostgreSQL, Redis or both are down: what could not be delivered at once is
        retried until it is. Never limited, and never refused for its form but for the reason. 503,
        with the same body: it is in force, and nothing holds it yet that outlives the daemon.

        `latched`: on disk; `persisted`: committed in PostgreSQL by now; `streamed`: in the durable
        stream; `published_to`: how many receivers Redis reported.
        """
        question = Engage(
            reason=call.body.reason,
            triggered_by=_caller(call.environ),
            target=read_target(call.body.level, call.body.scope),
            way=Way.HTTP if call.environ.get("REMOTE_ADDR") else Way.SOCKET,
            trip_id=call.body.trip_id if isinstance(call.body.trip_id, str) else "",
            request_id=call.request_id,
            asker=asker_of(call),
        )
        done: Engaged = self._killswitch.ask(question, timeout_s=_ENGAGE_TIMEOUT_S, urgent=True)
        return json_answer(_engaged(done), 200 if done.held else 503)

    @Route(
        "POST",
        f"{_PATH}/release",
        {200: KillswitchAnswer},
        body=schemas.Release,
        errors=(409,),
        counted=False,
        audit="killswitch.release",
        example={"reason": "prices are right again", "trip_id": "the trip_id of the stop"},
    )
    def release(self, call: Call) -> KillswitchAnswer:
        """Release one trip.

        Releases that very trip, which `GET /risk/killswitch` names; another id is 409. Trading
        stays stopped while other trips are in force; `trips` lists them. The message says so where
        another program writes the same stop into PostgreSQL again and again.
        """
        question = Release(
            trip_id=call.body.trip_id,
            reason=call.body.reason,
            released_by=_caller(call.environ),
            request_id=call.request_id,
            asker=asker_of(call),
        )
        done: Released = self._killswitch.ask(question, timeout_s=_ENGAGE_TIMEOUT_S)
        answer = _shown(done.view, drill_if_known(self._keeper))
        if done.written_again:
            answer = msgspec.structs.replace(answer, message=f"{answer.message} {_AGAIN}")
        return answer

    @Route(
        "POST",
        f"{_PATH}/drill",
        {200: DrillAnswer},
        errors=(409,),
        counted=False,
        access=Role.TRIPPER,
        audit="killswitch.drill",
    )
    def drill(self, call: Call) -> DrillAnswer:
        """Measure the way of a stop to every agent with a gate; halts none.

        A nonce goes over the bus; each gate returns it in a heartbeat. Answered when all have
        that beat, at the latest after two seconds. 409 while a drill is under way, or without
        Redis. The last result is kept over restarts.
        """
        question = Drill(_caller(call.environ), call.request_id, asker_of(call))
        done: DrillResult = self._killswitch.ask(question, timeout_s=_ENGAGE_TIMEOUT_S)
        return DrillAnswer("done", utc_now(), done)

    @Route(
        "GET",
        f"{_PATH}/effective",
        {200: EffectiveAnswer},
        query=EffectiveQuery,
        counted=False,
    )
    def effective(self, call: Call) -> EffectiveAnswer:
        """What an agent may do now, by level and scope of all trips in force."""
        agent = call.query.agent
        found: Effective = self._killswitch.ask(GetEffective(agent), timeout_s=ASK_TIMEOUT_S)
        return EffectiveAnswer(agent, found.permission, _trips(found.trips))


def _engaged(done: Engaged) -> EngagedAnswer:
    return EngagedAnswer(
        status="activated",
        timestamp=utc_now(),
        reason=done.trip.reason,
        message=_said(done),
        trip_id=done.trip.id,
        already_active=done.already_active,
        latched=done.latched,
        persisted=done.persisted,
        streamed=done.streamed,
        published_to=done.published_to or 0,
        level=done.trip.target.level,
        scope=done.trip.target.scope,
    )


def _shown(view: KillswitchView, drill: DrillResult | None) -> KillswitchAnswer:
    stop, status, standing = view.stop, view.status, view.standing
    newest = stop.newest
    return KillswitchAnswer(
        status=status,
        enabled=status != "inactive",
        reason=newest.reason if newest else None,
        triggered_by=newest.triggered_by if newest else None,
        trip_id=newest.id if newest else None,
        last_triggered=newest.at if newest else None,
        released_at=max((release.at for release in stop.releases), default=None),
        trips=_trips(stop.trips),
        complete=status == "inactive" or (status == "active" and standing.complete),
        agents_known=standing.known,
        agents=Acknowledgements(
            standing.acknowledged,
            standing.quiet,
            standing.pending,
            standing.unreachable,
            standing.without_gate,
        ),
        message=_message(view),
        drill=drill,
        timestamp=utc_now(),
    )


def _message(view: KillswitchView) -> str:
    trips = view.stop.trips
    if view.status == "unknown":
        return f"Treat this as active: {view.unknown}."
    if not trips:
        return "Trading is allowed."
    count = "" if len(trips) == 1 else f" by {len(trips)} trips, each with its own release"
    what = "Trading" if view.stop.stops_all else "Part of trading"
    return f"{what} is stopped{count}. {_halted(view.standing)}"


NOT_KNOWN: Final = "Not known yet who must: the daemon has not listened for a whole heartbeat."


def _halted(standing: Standing) -> str:
    missing = (*standing.pending, *standing.unreachable)
    every = len(standing.acknowledged) + len(missing)
    known = f"{len(standing.acknowledged)} of {every} agents have halted."
    if not every:
        known = "No agent is known that would acknowledge."
    if not standing.known:
        known = f"{known} {NOT_KNOWN}"
    bare = f" Without a gate: {', '.join(standing.without_gate)}." if standing.without_gate else ""
    return f"{known}{bare}"


def _said(done: Engaged) -> str:
    places = (("on disk", done.latched), ("in PostgreSQL", done.persisted))
    missing = [name for name, there in places if not there]
    notified = _halted(done.standing)
    if done.published_to is None:
        why = f" ({done.unpublished})" if done.unpublished else ""
        notified = f"No agent is notified yet{why}."
    elif done.published_to == 0:
        notified = f"No agent is subscribed on Redis. {notified}"
    if not missing:
        return f"The stop is in force, on disk and in PostgreSQL. {notified}"
    return f"The stop is in force; not yet {' nor '.join(missing)}, which is retried. {notified}"


def _trips(trips: Iterable[Trip]) -> tuple[TripShape, ...]:
    return tuple(TripShape(**public_fields(trip)) for trip in trips)


def _caller(environ: Environ) -> str:
    name = caller_in(environ).name
    return f"http:{name or environ.get('REMOTE_ADDR') or 'unix'}"
