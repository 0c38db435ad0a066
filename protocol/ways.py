"""How a trip came to the daemon."""

from enum import StrEnum
from typing import Final


class Way(StrEnum):
    """How a trip came."""

    HTTP = "http"
    SOCKET = "socket"
    PROCESS = "process"
    """From an actor or agent in the daemon's own process."""
    SIGNAL = "signal"
    GUARD = "guard"
    UNCLEAN = "unclean"
    """Too many unclean ends."""
    RULE = "rule"
    """A rule of the settings; each has a bounded number of trips in force."""
    BUS = "bus"
    STREAM = "stream"
    FILE = "file"
    SQL = "sql"
    REDIS = "redis"
    """A foreign document in the key."""
    BEAT = "beat"
    """An agent's receipt for a trip that was unknown."""
    DAMAGE = "damage"

    @property
    def bounded(self) -> bool:
        """Whether strangers can come this way as often as they like."""
        return self not in _AUTHORISED


_AUTHORISED: Final = frozenset(
    (Way.HTTP, Way.SOCKET, Way.PROCESS, Way.SIGNAL, Way.GUARD, Way.UNCLEAN, Way.RULE)
)
