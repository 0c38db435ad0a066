"""Rules of the kinds ``messages`` and ``acting``: each message is judged as it comes. Pure."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ...actors.messages.killswitch import Sender
from ...protocol.heartbeat import GateBeat
from ...protocol.permit import TTL_MS
from ...protocol.targets import Level
from ...protocol.trips import Trip
from .counts import Counts, Window
from .findings import ALL, Change, Finding, Moment, Reading, State, Subject
from .sent import UNNAMED, Sent, unix_ms
from .settings import RuleSettings

GRACE_MS: Final = TTL_MS + 500
"""After a stop a gate is shut when its permit has run out, at the latest."""
AGAIN_S: Final = 10.0
"""While an agent goes on, it is reported so often (or once a window, if that is longer)."""

Since = tuple[Trip, float]


class _Count(Subject):
    def __init__(self, window_s: float) -> None:
        super().__init__()
        self.window = Window(window_s)

    def is_over(self, at_ms: int) -> bool:
        return self.window.is_over(at_ms)

    def begin_anew(self) -> None:
        super().begin_anew()
        self.window.clear()


class Flood:
    """One such rule.

    Args:
        name: the rule's.
        settings: the rule's.
        in_force: what is, each trip with the moment (monotonic) since when that is known.
    """

    def __init__(
        self, name: str, settings: RuleSettings, in_force: Callable[[], Sequence[Since]]
    ) -> None:
        self._name = name
        self._settings = settings
        self._in_force = in_force
        self._again_s = max(AGAIN_S, settings.window_s)
        self._counts = Counts(settings.window_s, partial(_Count, settings.window_s))
        self._seen: tuple[str, int] | None = None

    @property
    def last(self) -> Reading | None:
        """The count of the last message."""
        if self._seen is None:
            return None
        key, counted = self._seen
        is_over = counted > self._settings.limit
        words = f"{_who(key)}: {_times(counted, self._settings)}"
        return Reading(State.OVER if is_over else State.GOOD, words, key, counted, int(is_over))

    def beat(self, sender: Sender, beat: GateBeat, now: float) -> None:
        """Nothing: the senders know of it."""

    def read(self, moment: Moment) -> list[Finding]:  # noqa: ARG002 each message is a reading
        """Nothing."""
        return []

    def take(self, sent: Sent) -> Finding | None:
        """Count a message; it is found if it is one too many."""
        trip = None
        if self._settings.kind == "acting" and (trip := self._disobeyed(sent)) is None:
            return None
        wanted = ALL if self._settings.per == "all" else sent.agent
        key, count = self._counts.of(wanted, sent.at_ms)
        counted = count.window.add(sent.at_ms)
        self._seen = key, counted
        if counted <= self._settings.limit:
            return None
        is_new = sent.taken_s - count.reported_s >= self._again_s
        if is_new:
            count.reported_s = sent.taken_s
        is_one = key == sent.agent != UNNAMED
        return Finding(
            subject=count,
            key=key,
            agent=sent.agent if is_one else None,
            group=sent.group if key == sent.agent else None,
            channel=sent.channel,
            counted=counted,
            words=partial(self._words, key, sent.channel, counted, trip),
            change=Change.BEGINS if is_new else Change.GOES_ON,
        )

    def _disobeyed(self, sent: Sent) -> Trip | None:
        """The stop that a message comes after."""
        for trip, known_s in self._in_force() if sent.must else ():
            halts = trip.target.level is Level.HALT
            concerned = halts and trip.target.concerns(sent.agent, sent.group)
            if concerned and _is_after(sent, trip, known_s):
                return trip
        return None

    def _words(self, key: str, channel: str, counted: int, trip: Trip | None) -> str:
        times = _times(counted, self._settings)
        begin = f"rule {self._name}: {_who(key)}"
        if trip is None:
            return f"{begin} sent {times}, more than {self._settings.limit}, last on {channel}"
        stop = f"the stop {trip.id} ({trip.target.level} {trip.target.scope})"
        return f"{begin} acts after {stop}: {times}, last on {channel}"


def _is_after(sent: Sent, trip: Trip, known_s: float) -> bool:
    """By either clock: a wall's that was set back must not excuse anybody."""
    since_ms = max(sent.sent_ms - unix_ms(trip.at), (sent.sent_s - known_s) * 1000)
    return since_ms > GRACE_MS


def _who(key: str) -> str:
    return "all together" if key == ALL else key


def _times(counted: int, settings: RuleSettings) -> str:
    return f"{counted} message{'s' if counted > 1 else ''} within {settings.window_s:g} s"
