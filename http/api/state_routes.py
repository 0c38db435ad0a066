"""``/regime/state``, ``/state`` and ``/state/{key}``."""

from ...actors.messages.state_keeper import GetRegime, GetState
from ...actors.state_keeper.regime import Regime
from ...protocol.timestamps import utc_now
from ...runtime import Address
from ...sql.state import StateRow
from ..errors import NotFound
from ..peers import ASK_TIMEOUT_S
from ..requests import Call
from ..routes import Route
from .schemas import NoRegimeAnswer, RegimeAnswer, StateAnswer, StatesAnswer, StateValue


class StateRoutes:
    """The StateKeeper's values."""

    def __init__(self, keeper: Address) -> None:
        self._keeper = keeper

    @Route("GET", "/regime/state", {200: (RegimeAnswer, NoRegimeAnswer)}, etag=True)
    def regime(self, _call: Call) -> RegimeAnswer | NoRegimeAnswer:
        """The market regime, as last reported.

        `no_data` until a regime detector has reported.
        """
        regime: Regime | None = self._keeper.ask(GetRegime(), timeout_s=ASK_TIMEOUT_S)
        if regime is None:
            message = "No regime has been reported yet: is a regime detector running?"
            return NoRegimeAnswer("no_data", message, utc_now())
        return RegimeAnswer("ok", utc_now(), regime.payload)

    @Route("GET", "/state", {200: StatesAnswer}, etag=True)
    def states(self, _call: Call) -> StatesAnswer:
        """All kept values."""
        return StatesAnswer("ok", utc_now(), tuple(map(_value, self._rows())))

    @Route("GET", "/state/{key}", {200: StateAnswer}, errors=(404,), etag=True)
    def state(self, call: Call) -> StateAnswer:
        """One kept value."""
        for row in self._rows():
            if row.key == call.path["key"]:
                return StateAnswer("ok", utc_now(), row.key, row.value, row.updated_at)
        raise NotFound("There is no such key; see /state.")

    def _rows(self) -> tuple[StateRow, ...]:
        rows: tuple[StateRow, ...] = self._keeper.ask(GetState(), timeout_s=ASK_TIMEOUT_S)
        return rows


def _value(row: StateRow) -> StateValue:
    return StateValue(row.key, row.value, row.updated_at)
