"""``/regime/state``, ``/state`` and ``/state/{key}``."""

from ...actors.messages.state_keeper import GetRegime, GetState
from ...actors.state_keeper.regime import Regime
from ...protocol.timestamps import utc_now
from ...sql.state import StateRow
from ..errors import NotFound
from ..etag import tagged
from ..peers import Peers, ask
from ..requests import Call
from ..routes import Answer, Route
from .schemas import NoRegimeAnswer, RegimeAnswer, StateAnswer, StatesAnswer, StateValue


class StateRoutes:
    """What the StateKeeper knows."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(
                "GET",
                "/regime/state",
                self.regime,
                "The market regime, as last reported",
                {200: (RegimeAnswer, NoRegimeAnswer), 304: None},
            ),
            Route("GET", "/state", self.states, "All kept values", {200: StatesAnswer, 304: None}),
            Route(
                "GET",
                "/state/{key}",
                self.state,
                "One kept value",
                {200: StateAnswer, 304: None},
                errors=(404,),
            ),
        ]

    def regime(self, call: Call) -> Answer:
        """The last report."""
        regime: Regime | None = ask(self._peers.keeper, GetRegime())
        if regime is None:
            said = "No regime has been reported yet: is a regime detector running?"
            return tagged(call, NoRegimeAnswer("no_data", said, utc_now()))
        return tagged(call, RegimeAnswer("ok", utc_now(), regime.payload))

    def states(self, call: Call) -> Answer:
        """In order of key."""
        return tagged(call, StatesAnswer("ok", utc_now(), tuple(map(_value, self._rows()))))

    def state(self, call: Call) -> Answer:
        """One of them."""
        for row in self._rows():
            if row.key == call.path["key"]:
                value = StateAnswer("ok", utc_now(), row.key, row.value, row.updated_at)
                return tagged(call, value)
        raise NotFound("There is no such key; see /state.")

    def _rows(self) -> tuple[StateRow, ...]:
        rows: tuple[StateRow, ...] = ask(self._peers.keeper, GetState())
        return rows


def _value(row: StateRow) -> StateValue:
    return StateValue(row.key, row.value, row.updated_at)
