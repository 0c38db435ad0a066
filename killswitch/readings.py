"""What was found where a copy of the stop is kept; the input of `resolve`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Copy(StrEnum):
    """Where the stop is kept; the name in ``triggered_by: "damage:<copy>"``."""

    LATCH = "latch"
    """The daemon's file of slots."""
    GUARD = "guard"
    """The guard's file of slots: trips that the daemon may not have yet."""
    POSTGRES = "postgres"
    """Row ``killswitch_status``."""
    REDIS = "redis"
    """Key ``orchestrator:killswitch``."""


class Condition(StrEnum):
    """How a copy was found."""

    ABSENT = "absent"
    """No such file, row or key."""
    FOUND = "found"
    """There is something."""
    UNREAD = "unread"
    """It is being asked."""
    AWAY = "away"
    """It cannot be asked now."""
    HIDDEN = "hidden"
    """Row security keeps the row from us."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One copy as it was found."""

    condition: Condition = Condition.ABSENT
    """How it was found."""
    documents: tuple[bytes, ...] = ()
    """What it holds (a file of slots may hold several); united, in any order."""
    damage: tuple[bytes, ...] = ()
    """Bytes that are not what was written."""
    xmin: str = ""
    """Of the row: which transaction wrote it."""
    why: str = ""
    """Why it is away, hidden or damaged, in words."""
    resolved: bool = True
    """Of the latch: whether it has met the other copies since it was made. One that has not can
    say that something is in force, but not that nothing is."""

    @property
    def answers(self) -> bool:
        """Whether all that it may hold was read."""
        return self.condition in (Condition.ABSENT, Condition.FOUND)


def found(*documents: bytes | str, xmin: str = "") -> Reading:
    """A copy that holds these documents."""
    held = tuple(item.encode() if isinstance(item, str) else item for item in documents)
    return Reading(Condition.FOUND, held, xmin=xmin)


UNREAD: Final = Reading(Condition.UNREAD, why="it has not been asked yet")


def away(why: str) -> Reading:
    """A copy that cannot be asked."""
    return Reading(Condition.AWAY, why=why)


def hidden(why: str) -> Reading:
    """A row that row security keeps from us."""
    return Reading(Condition.HIDDEN, why=why)
