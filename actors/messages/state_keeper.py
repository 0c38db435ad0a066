"""To the StateKeeper, with its answers: the regime, and values to keep or to show.

The HTTP server asks, the HeartbeatMonitor sends :class:`SetState`, the Killswitch
:class:`ShowState`. Events reach it as :mod:`~.events`.
"""

from typing import Final

import msgspec

from ..unread import WAIT_S
from .events import EventReplaced, EventsJournalled


class GetRegime(msgspec.Struct, frozen=True):
    """Asks for the last regime; answered by a ``Regime`` or ``None``.

    Refused with ``NotRead`` while neither an agent nor the tables have given one since the start.
    """

    wait_s: float = WAIT_S
    """How long to wait for that."""


class GetState(msgspec.Struct, frozen=True):
    """Asks for all values; answered by a tuple of ``StateRow``, refused with ``NotRead`` before."""

    wait_s: float = WAIT_S
    """How long to wait for the state to be read after a start."""


class SetState(msgspec.Struct, frozen=True):
    """Keep a value; sent by other actors."""

    key: str
    """Its key in ``orchestrator_state``."""
    value: bytes
    """JSON."""


class ShowState(msgspec.Struct, frozen=True):
    """Show a value among the others that another actor writes to PostgreSQL itself."""

    key: str
    """Its key in ``orchestrator_state``."""
    value: bytes
    """JSON."""


Message = EventsJournalled | EventReplaced | GetRegime | GetState | SetState | ShowState

KILLSWITCH_KEY: Final = "killswitch_status"
DRILL_KEY: Final = "killswitch_drill"
ACTIVE_COUNT_KEY: Final = "active_agents_count"
