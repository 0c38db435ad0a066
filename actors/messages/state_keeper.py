"""To the StateKeeper, with its answers: the regime, and values to keep or to show.

The HTTP server asks, the HeartbeatMonitor sends :class:`SetState`, the Killswitch
:class:`ShowState`. Events reach it as :mod:`~.events`.
"""

from typing import Final

import msgspec

from .events import EventReplaced, EventsJournalled


class GetRegime(msgspec.Struct, frozen=True):
    """Asks for the last regime; answered by a ``Regime`` or ``None``."""


class GetState(msgspec.Struct, frozen=True):
    """Asks for all values this actor knows; answered by a tuple of ``StateRow``."""


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
