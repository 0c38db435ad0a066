"""``/risk/killswitch``: the stop, its state, its release."""

from typing import Final, Literal

from ...actors.messages.state_keeper import (
    EngageKillswitch,
    GetKillswitch,
    KillswitchEngaged,
    KillswitchView,
    ReleaseKillswitch,
)
from ...protocol.timestamps import utc_now
from ...runtime import Address
from ..auth import Role, caller_in
from ..peers import ASK_TIMEOUT_S
from ..requests import Call, Environ
from ..routes import Route
from .schemas import Acknowledgements, Engage, EngagedAnswer, KillswitchAnswer, Release

_PATH: Final = "/risk/killswitch"
# The keeper answers within half a second; a stop is worth more patience than a page.
_ENGAGE_TIMEOUT_S: Final = 10.0


class KillswitchRoutes:
    """The killswitch over REST; its calls are never limited."""

    def __init__(self, keeper: Address) -> None:
        self._keeper = keeper

    @Route("GET", _PATH, {200: KillswitchAnswer}, counted=False)
    def show(self, _call: Call) -> KillswitchAnswer:
        """Whether trading is stopped, why, and by whom.

        `unknown`: the daemon cannot know, so `enabled` is true, and agents do not trade. Never
        limited.
        """
        return _answer(self._keeper.ask(GetKillswitch(), timeout_s=ASK_TIMEOUT_S))

    @Route(
        "POST",
        _PATH,
        {200: EngagedAnswer},
        body=Engage,
        counted=False,
        access=Role.TRIPPER,
        always=True,
        example={"reason": "prices of AAPL look wrong"},
    )
    def engage(self, call: Call) -> EngagedAnswer:
        """Stop trading.

        Works while PostgreSQL, Redis or both are down: what could not be delivered at once is
        retried until it is. Never limited.

        `latched`: on disk; `persisted`: committed in PostgreSQL by now; `published_to`: how many
        receivers Redis reported.
        """
        question = EngageKillswitch(
            reason=call.body.reason,
            triggered_by=_caller(call.environ),
            request_id=call.request_id,
        )
        done: KillswitchEngaged = self._keeper.ask(
            question, timeout_s=_ENGAGE_TIMEOUT_S, urgent=True
        )
        return EngagedAnswer(
            status="activated",
            timestamp=utc_now(),
            reason=done.trip.reason,
            message=_message(done),
            trip_id=done.trip.trip_id,
            already_active=done.already_active,
            latched=done.latched,
            persisted=done.persisted,
            published_to=done.published_to,
        )

    @Route(
        "POST",
        f"{_PATH}/release",
        {200: KillswitchAnswer},
        body=Release,
        errors=(409,),
        counted=False,
        example={"reason": "prices are right again", "trip_id": "the trip_id of the stop"},
    )
    def release(self, call: Call) -> KillswitchAnswer:
        """Release one trip.

        Releases that very trip, which `GET /risk/killswitch` names; another id is 409. Trading
        stays stopped while other trips are in force.
        """
        question = ReleaseKillswitch(
            trip_id=call.body.trip_id,
            reason=call.body.reason,
            released_by=_caller(call.environ),
            request_id=call.request_id,
        )
        self._keeper.ask(question, timeout_s=_ENGAGE_TIMEOUT_S)
        return self.show(call)


def _answer(view: KillswitchView) -> KillswitchAnswer:
    state = view.state
    status: Literal["active", "inactive", "unknown"] = "inactive"
    message = "Trading is allowed."
    if state.enabled:
        status, message = "active", "Trading is stopped."
    elif view.unknown:
        status, message = "unknown", f"Treat this as active: {view.unknown}."
    return KillswitchAnswer(
        status=status,
        enabled=status != "inactive",
        reason=state.reason,
        triggered_by=state.triggered_by,
        trip_id=state.trip_id,
        last_triggered=state.last_triggered,
        released_at=state.released_at,
        trips=state.trips,
        # Acknowledgements are not collected yet, so a stop is never said to be complete.
        complete=status == "inactive",
        agents=Acknowledgements(),
        message=message,
        timestamp=utc_now(),
    )


def _message(done: KillswitchEngaged) -> str:
    missing = [
        name
        for name, there in (("on disk", done.latched), ("in PostgreSQL", done.persisted))
        if not there
    ]
    if not missing:
        return "The stop is in force, on disk and in PostgreSQL."
    return f"The stop is in force; not yet {' nor '.join(missing)}, which is being retried."


def _caller(environ: Environ) -> str:
    name = caller_in(environ).name
    return f"http:{name or environ.get('REMOTE_ADDR') or 'unix'}"
