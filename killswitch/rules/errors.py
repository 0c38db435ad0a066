"""Rules of the kind ``errors``: how many of an agent's messages are errors. Pure."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from ...actors.messages.killswitch import Sender
from ...protocol.heartbeat import GateBeat
from ...protocol.patterns import TypeMatcher
from .counts import OTHERS, Counts, Window
from .findings import ALL, NOT_HEARD, Change, Finding, Moment, Rank, Reading, State, Subject, rank
from .sent import UNNAMED, Sent
from .settings import RuleSettings

_NOTHING: Final = Reading(State.UNKNOWN, "no message was counted yet")


class _Count(Subject):
    def __init__(self, window_s: float) -> None:
        super().__init__()
        self.events = Window(window_s)
        self.errors = Window(window_s)
        self.channel: str | None = None

    def is_over(self, at_ms: int) -> bool:
        return self.events.is_over(at_ms)

    def begin_anew(self) -> None:
        super().begin_anew()
        self.events.clear()
        self.errors.clear()


class _Seen(NamedTuple):
    key: str
    state: State
    value: float
    events: int
    errors: int

    def rank(self, in_a_row: int) -> Rank:
        return rank(self.state, in_a_row, self.value)


class Errors:
    """One such rule. Its windows are counted by the monotonic clock.

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
        self._is_error = TypeMatcher(settings.errors)
        self._counts = Counts(settings.window_s, partial(_Count, settings.window_s))
        self._last: Reading | None = None

    @property
    def last(self) -> Reading | None:
        """The last reading, of the worst agent."""
        return self._last

    def beat(self, sender: Sender, beat: GateBeat, now: float) -> None:
        """Nothing: the senders know of it."""

    def take(self, sent: Sent) -> Finding | None:
        """Count a message; it is judged at the next reading."""
        at_ms = round(sent.taken_s * 1000)
        wanted = ALL if self._settings.per == "all" else sent.agent
        _, count = self._counts.of(wanted, at_ms)
        count.events.add(at_ms)
        if self._is_error(sent.channel):
            count.errors.add(at_ms)
            count.channel = sent.channel
        return None

    def read(self, moment: Moment) -> list[Finding]:
        """Judge every agent by its window."""
        if moment.heard_to_s is None:
            self._last = Reading(State.UNKNOWN, NOT_HEARD)
            return []
        found, worst = [], None
        for key, count in self._counts:
            seen = self._judge(key, count, round(moment.now_s * 1000))
            change = count.take(seen.state, self._settings.readings)
            if change is not Change.NONE:
                found.append(self._finding(count, seen, change))
            its = seen.rank(count.in_a_row)
            if worst is None or its > worst[0]:
                worst = its, seen, count.in_a_row
        self._last = _NOTHING if worst is None else self._reading(*worst[1:])
        return found

    def _judge(self, key: str, count: _Count, at_ms: int) -> _Seen:
        settings = self._settings
        events, errors = count.events.counted(at_ms), count.errors.counted(at_ms)
        if settings.max_share is None:
            is_over, value = errors > settings.limit, float(errors)
        else:
            value = errors / max(events, 1)
            is_over = value > settings.max_share
            if events < settings.min_events:
                return _Seen(key, State.UNKNOWN, value, events, errors)
        return _Seen(key, State.OVER if is_over else State.GOOD, value, events, errors)

    def _reading(self, seen: _Seen, in_a_row: int) -> Reading:
        few = f", too few to judge ({self._settings.min_events})"
        words = self._words(seen) + (few if seen.state is State.UNKNOWN else "")
        return Reading(seen.state, words, seen.key, round(seen.value, 4), in_a_row)

    def _words(self, seen: _Seen) -> str:
        who = "all together" if seen.key == ALL else seen.key
        of = f"{seen.errors} of {seen.events} messages"
        return f"{who}: {of} within {self._settings.window_s:g} s are errors"

    def _finding(self, count: _Count, seen: _Seen, change: Change) -> Finding:
        agent = None if seen.key in (ALL, OTHERS, UNNAMED) else seen.key
        more = "" if change is Change.ENDS else f", more than {self._limit_words}"
        return Finding(
            subject=count,
            key=seen.key,
            agent=agent,
            group=self._group_of(seen.key) if agent else None,
            channel=count.channel,
            counted=round(seen.value, 4),
            words=lambda: f"rule {self._name}: {self._words(seen)}{more}",
            change=change,
        )

    @property
    def _limit_words(self) -> str:
        limit = self._settings.limit
        return f"{limit:g}" if self._settings.max_share is None else f"{limit * 100:g} %"
