"""What the kinds of rules have in common: who is looked at, what is read, what is found. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from ...actors.messages.killswitch import Sender
from ...protocol.heartbeat import GateBeat
from .sent import Sent

ALL: Final = "(all)"
"""Whose messages count together."""


class State(StrEnum):
    """What a reading says; in order of how much it deserves to be shown."""

    CLOSED = "closed"
    """Outside of the rule's hours."""
    GOOD = "good"
    UNKNOWN = "unknown"
    """Neither good nor over: it neither stops nor counts as good."""
    OVER = "over"
    """The limit."""


_ORDER: Final = {state: number for number, state in enumerate(State)}


@dataclass(frozen=True, slots=True)
class Reading:
    """How a rule was seen last; of several agents the worst."""

    state: State
    """What it says."""
    words: str
    """In words."""
    agent: str | None = None
    """Whose; ``None`` where it is about none in particular."""
    value: float | None = None
    """What is compared with the limit."""
    in_a_row: int = 0
    """Readings over the limit, without a good one between."""


Rank = tuple[int, int, float]


def rank(state: State, in_a_row: int, value: float) -> Rank:
    """The greater, the worse: of several agents the worst is shown."""
    return _ORDER[state], in_a_row, value


class Change(StrEnum):
    """What a reading made of a subject."""

    NONE = "none"
    BEGINS = "begins"
    GOES_ON = "goes on"
    ENDS = "ends"


class Subject:
    """An agent, or all together, under one rule."""

    def __init__(self) -> None:
        self.trip_id = ""
        """The rule's trip that stands for what it did."""
        self.in_a_row = 0
        self.is_broken = False
        self.reported_s = -math.inf
        """When it was last found over the limit again (monotonic)."""

    def take(self, state: State, readings: int) -> Change:
        """One more reading; `readings` over the limit in a row break the rule."""
        if state is State.UNKNOWN:
            return Change.GOES_ON if self.is_broken else Change.NONE
        was, self.in_a_row = self.is_broken, self.in_a_row + 1 if state is State.OVER else 0
        self.is_broken = self.in_a_row > 0 and (was or self.in_a_row >= readings)
        if self.is_broken:
            return Change.GOES_ON if was else Change.BEGINS
        return Change.ENDS if was else Change.NONE

    def begin_anew(self) -> None:
        """A person has released the trip: what was counted for it counts no more."""
        self.in_a_row, self.is_broken, self.reported_s = 0, False, -math.inf


@dataclass(frozen=True, slots=True)
class Finding:
    """A subject is over its rule's limit, or is so no longer."""

    subject: Subject
    """Which."""
    key: str
    """An agent's id, or ``(all)``, ``(others)``, ``(unnamed)``."""
    agent: str | None
    """The agent that can be stopped for it."""
    group: str | None
    """Its group, if it is known."""
    channel: str | None
    """Of the last message."""
    counted: float
    """What was compared with the limit."""
    words: Callable[[], str]
    """Says it."""
    change: Change
    """Whether it began, goes on, or has ended."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a reading is made. Monotonic seconds, but for ``at``."""

    now_s: float
    """Now."""
    heard_to_s: float | None
    """All that was sent before is known; ``None``: that is not known, the bus is not heard."""
    heard_since_s: float
    """Since when nothing can have been missed."""
    at: datetime
    """Now, by the clock (UTC)."""


class Meter(Protocol):
    """One rule's way of looking."""

    @property
    def last(self) -> Reading | None:
        """The last reading; ``None`` before the first."""

    def beat(self, sender: Sender, beat: GateBeat, now: float) -> None:
        """A heartbeat of an agent that the rule is about."""

    def take(self, sent: Sent) -> Finding | None:
        """A message that the rule is about."""

    def read(self, moment: Moment) -> list[Finding]:
        """Look at all subjects; called again and again."""


NOT_HEARD: Final = "the bus is not heard"
"""Why a reading is unknown."""
