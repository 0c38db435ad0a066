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
from ..auth import Role, caller_in
from ..peers import Peers, ask
from ..requests import Call, Environ
from ..routes import Answer, Route, json_answer
from .schemas import Acknowledgements, Engage, EngagedAnswer, KillswitchAnswer, Release

# The keeper answers within half a second; a stop is worth more patience than a page.
_ENGAGE_TIMEOUT_S: Final = 10.0


class RiskRoutes:
    """The killswitch over REST; its calls are never limited."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def routes(self) -> list[Route]:
        """The routes."""
        path = "/risk/killswitch"
        return [
            Route(
                "GET",
                path,
                self.show,
                "Whether trading is stopped, why, and by whom",
                {200: KillswitchAnswer},
                counted=False,
            ),
            Route(
                "POST",
                path,
                self.engage,
                "Stop trading",
                {200: EngagedAnswer},
                body=Engage,
                counted=False,
                access=Role.TRIPPER,
                always=True,
            ),
            Route(
                "POST",
                f"{path}/release",
                self.release,
                "Release one trip",
                {200: KillswitchAnswer},
                body=Release,
                errors=(409,),
                counted=False,
            ),
        ]

    def show(self, _call: Call) -> Answer:
        """The state as it is known here."""
        view: KillswitchView = ask(self._peers.keeper, GetKillswitch())
        return json_answer(_shown(view))

    def engage(self, call: Call) -> Answer:
        """A new trip; what could not be delivered at once is retried behind this answer."""
        question = EngageKillswitch(
            reason=call.body.reason,
            triggered_by=_caller(call.environ),
            request_id=call.request_id,
        )
        done: KillswitchEngaged = self._peers.keeper.ask(
            question, timeout_s=_ENGAGE_TIMEOUT_S, urgent=True
        )
        return json_answer(
            EngagedAnswer(
                status="activated",
                timestamp=utc_now(),
                reason=done.trip.reason,
                message=_told(done),
                trip_id=done.trip.trip_id,
                already_active=done.already_active,
                latched=done.latched,
                persisted=done.persisted,
                published_to=done.published_to,
            )
        )

    def release(self, call: Call) -> Answer:
        """That very trip; another id is 409."""
        question = ReleaseKillswitch(
            trip_id=call.body.trip_id,
            reason=call.body.reason,
            released_by=_caller(call.environ),
            request_id=call.request_id,
        )
        ask(self._peers.keeper, question, _ENGAGE_TIMEOUT_S)
        return self.show(call)


def _shown(view: KillswitchView) -> KillswitchAnswer:
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
        # Nobody has looked yet who has stopped, so a stop is never said to be complete.
        complete=status == "inactive",
        agents=Acknowledgements(),
        message=message,
        timestamp=utc_now(),
    )


def _told(done: KillswitchEngaged) -> str:
    missing = [
        name
        for name, there in (("on disk", done.latched), ("in PostgreSQL", done.persisted))
        if not there
    ]
    if not missing:
        return "The stop is in force, on disk and in PostgreSQL."
    return f"The stop is in force; not yet {' nor '.join(missing)}, which is being tried."


def _caller(environ: Environ) -> str:
    name = caller_in(environ).name
    return f"http:{name or environ.get('REMOTE_ADDR') or 'unix'}"
