"""Rules of the kind ``silence``: who has published nothing for too long. Pure.

Silence is counted to the moment up to which the bus was heard, from the last message, or from when
the hours began if that is later. What may have been missed is not counted: the reading is unknown
until it was heard for as long as the limit. A halted agent is right to publish nothing: each
heartbeat that says so counts as a message.
"""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple

from ...actors.messages.killswitch import Sender
from ...protocol.heartbeat import GateBeat
from ..receipts import KNOWN_AFTER_S
from .counts import MAX_COUNTED
from .findings import ALL, NOT_HEARD, Change, Finding, Moment, Rank, Reading, State, Subject, rank
from .sent import Sent
from .settings import RuleSettings

_CLOSED: Final = "outside of its hours"
_NOBODY: Final = Reading(State.UNKNOWN, "no agent is known that it is about")


class _Silence(Subject):
    def __init__(self, at_s: float) -> None:
        super().__init__()
        self.at_s = at_s
        self.is_told = False

    def begin_anew(self) -> None:
        """One silence is one stop: it counts again once the agent was heard."""
        self.is_told = self.is_broken
        super().begin_anew()

    def heard(self, now: float) -> None:
        self.at_s, self.is_told = now, False


class _Seen(NamedTuple):
    key: str
    state: State
    silent_s: float
    is_told: bool = False

    @property
    def seconds(self) -> int:
        return max(0, int(self.silent_s))

    def rank(self, in_a_row: int) -> Rank:
        return rank(self.state, in_a_row, self.silent_s)


class Silence:
    """One such rule.

    An agent that it names is watched from the start, one that a pattern means from its first
    heartbeat until it says that it ends.

    Args:
        name: the rule's.
        settings: the rule's.
        group_of: an agent's group, if it is known.
    """

    def __init__(
        self, name: str, settings: RuleSettings, group_of: Callable[[str], str | None]
    ) -> None:
        self._name = name
        self._settings = settings
        self._group_of = group_of
        self._hours = settings.hours
        is_one = settings.per == "all"
        self._named = (ALL,) if is_one else tuple(n for n in settings.agents if "*" not in n)
        self._watched = {name: _Silence(-math.inf) for name in self._named}
        self._known_s: float | None = None
        self._last: Reading | None = None

    @property
    def last(self) -> Reading | None:
        """The last reading, of the agent that is silent longest."""
        return self._last

    def beat(self, sender: Sender, beat: GateBeat, now: float) -> None:
        """An agent lives, or ends."""
        if ALL not in self._named and sender.agent not in self._named:
            self._watch(sender.agent, now, is_ending=beat.status == "inactive")
        if beat.is_halted:
            self._heard(sender.agent, now)

    def take(self, sent: Sent) -> Finding | None:
        """A message: no silence."""
        self._heard(sent.agent, sent.taken_s)
        return None

    def read(self, moment: Moment) -> list[Finding]:
        """Look how long each has been silent."""
        back_to = moment.at - timedelta(seconds=self._settings.limit)
        opened = self._hours.open_since(moment.at, back_to)
        if opened is None:
            return self._close()
        if moment.heard_to_s is None:
            self._last = Reading(State.UNKNOWN, NOT_HEARD)
            return []
        open_s = moment.now_s - (moment.at - opened).total_seconds()
        since_s = max(moment.heard_since_s, self._known_since(moment.heard_since_s))
        found, worst = [], None
        for key, one in self._watched.items():
            seen = self._see(key, one, moment.heard_to_s, open_s, since_s)
            change = one.take(seen.state, self._settings.readings)
            if change is not Change.NONE:
                found.append(self._finding(one, seen, change))
            its = seen.rank(one.in_a_row)
            if worst is None or its > worst[0]:
                worst = its, seen, one.in_a_row
        self._last = _NOBODY if worst is None else self._reading(*worst[1:])
        return found

    def _known_since(self, heard_since_s: float) -> float:
        """Since when it is known who is in which group: messages of before count for none."""
        if self._known_s is None:
            is_waiting = bool(self._named) and self._settings.groups != ("*",)
            self._known_s = heard_since_s + KNOWN_AFTER_S * is_waiting
        return self._known_s

    def _watch(self, agent: str, now: float, *, is_ending: bool) -> None:
        if is_ending:
            self._watched.pop(agent, None)
        elif agent not in self._watched and len(self._watched) < MAX_COUNTED:
            self._watched[agent] = _Silence(now)

    def _heard(self, agent: str, now: float) -> None:
        one = self._watched.get(ALL if ALL in self._named else agent)
        if one is not None:
            one.heard(now)

    def _close(self) -> list[Finding]:
        """Outside of the hours no agent has to publish; what comes then is a new silence."""
        found = []
        self._last = Reading(State.CLOSED, _CLOSED)
        for key, one in self._watched.items():
            one.is_told = False
            if one.take(State.CLOSED, self._settings.readings) is Change.ENDS:
                found.append(self._finding(one, _Seen(key, State.CLOSED, 0), Change.ENDS))
        return found

    def _see(self, key: str, one: _Silence, to_s: float, open_s: float, since_s: float) -> _Seen:
        limit = self._settings.limit
        silent_s = to_s - max(one.at_s, open_s)
        surely_s = to_s - max(one.at_s, open_s, since_s)
        if silent_s <= limit:
            return _Seen(key, State.GOOD, silent_s)
        if one.is_told or surely_s <= limit:
            return _Seen(key, State.UNKNOWN, surely_s, is_told=one.is_told)
        return _Seen(key, State.OVER, surely_s)

    def _reading(self, seen: _Seen, in_a_row: int) -> Reading:
        return Reading(seen.state, self._words(seen), seen.key, seen.seconds, in_a_row)

    def _words(self, seen: _Seen) -> str:
        who = "all together" if seen.key == ALL else seen.key
        if seen.state is State.OVER:
            return f"{who} published nothing for {seen.seconds} s"
        if seen.state is State.GOOD:
            return f"{who} is silent for {seen.seconds} s"
        if seen.state is State.CLOSED:
            return _CLOSED
        if seen.is_told:
            return f"{who} is silent still, since before the release"
        return f"the bus was not heard for {self._settings.limit:g} s yet"

    def _finding(self, one: _Silence, seen: _Seen, change: Change) -> Finding:
        agent = None if seen.key == ALL else seen.key
        more = "" if change is Change.ENDS else f", more than {self._settings.limit:g} s"
        return Finding(
            subject=one,
            key=seen.key,
            agent=agent,
            group=self._group_of(seen.key) if agent else None,
            channel=None,
            counted=seen.seconds,
            words=lambda: f"rule {self._name}: {self._words(seen)}{more}",
            change=change,
        )
