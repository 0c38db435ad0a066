"""All rules of a daemon: what counts for which, and what each finds. Pure and bounded.

These rules find agents that are broken, not those that lie. A rule's kind has a meter, which says
what is over the limit; what follows from that is the same for all (``verdicts``).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from ...actors.events import HEARTBEAT, KILLSWITCH, Event
from ...actors.messages.killswitch import Sender
from ...protocol.heartbeat import GateBeat
from ...protocol.patterns import TypeMatcher
from ...protocol.timestamps import timestamp
from ...protocol.trips import Stop
from ...protocol.ulid import new_ulid
from ..receipts import MAX_AGENTS
from .ears import Ears
from .errors import Errors
from .findings import Finding, Meter, Moment, Reading
from .flood import Flood, Since
from .sent import Senders, unix_ms
from .settings import RuleSettings
from .silence import Silence
from .verdicts import Standing, Verdicts, Violation

RULE: Final = "risk.rule"
"""The type of the events about rules."""
TICK_S: Final = 0.25
"""How often it is looked whether a reading is due."""
FRESH_MS: Final = 2_000
"""An event that is no older than this has come just now."""

_SPARED: Final = TypeMatcher((HEARTBEAT, "risk.*", "agent.*", "bus.*", "runtime.*"))
_NEVER: Final = frozenset((RULE, KILLSWITCH))


class RuleState(NamedTuple):
    """How one rule stands."""

    name: str
    settings: RuleSettings
    standing: Standing
    trips: list[str]
    """Ids of those by it that are in force."""
    reading: Reading | None
    """The last; ``None`` before the first."""


class _Rule:
    def __init__(self, verdicts: Verdicts, meter: Meter) -> None:
        self.verdicts = verdicts
        self.meter = meter
        settings = self._settings = verdicts.settings
        self._read_s = -math.inf
        self._read_to_s: float | None = None
        self._channels = TypeMatcher((*settings.channels, *settings.errors))
        self._agents = TypeMatcher(settings.agents)
        self._groups = TypeMatcher(settings.groups)

    def is_on(self, channel: str) -> bool:
        """Whether messages on it may count."""
        if channel in _NEVER:
            return False
        is_named = self._channels(channel)
        return is_named or not (self._settings.channels or _SPARED(channel))

    def concerns(self, agent: str, group: str | None) -> bool:
        """Whether what an agent sends counts."""
        if not self._agents(agent):
            return False
        return self._settings.groups == ("*",) if group is None else self._groups(group)

    def read(self, moment: Moment) -> list[Finding]:
        """A reading, if one is due: no moment is read twice, so that each is worth its own."""
        every_s = self._settings.reads_every_s
        if every_s is None or moment.now_s - self._read_s < every_s:
            return []
        if moment.heard_to_s is not None and moment.heard_to_s == self._read_to_s:
            return []
        self._read_s, self._read_to_s = moment.now_s, moment.heard_to_s
        return self.meter.read(moment)


class Rules:
    """All rules of a daemon; outlives the actor.

    Args:
        settings: by name.
        stop: what is in force.
        began_at: events before it (ISO 8601) were looked at by the daemon before this one.
        new_id: makes ids of trips.
    """

    def __init__(
        self,
        settings: Mapping[str, RuleSettings],
        stop: Callable[[], Stop],
        *,
        began_at: str,
        new_id: Callable[[], str] = new_ulid,
    ) -> None:
        self.ears = Ears()
        """What was heard of the bus."""
        self._senders = Senders()
        self._stop = stop
        self._noted = Stop()
        self._in_force: tuple[Since, ...] = ()
        self._began_at = began_at
        self._rules = [
            _Rule(Verdicts(name, one, new_id), self._meter(name, one))
            for name, one in settings.items()
        ]
        self._on_channel: dict[str, tuple[_Rule, ...]] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def heard(self, sender: Sender, beat: GateBeat, now: float) -> None:
        """A heartbeat, at a moment of the monotonic clock."""
        self._senders.heard(sender, beat)
        for rule in self._rules:
            if rule.concerns(sender.agent, sender.group):
                rule.meter.beat(sender, beat, now)

    def take(self, events: Iterable[Event], now: float, wall_ms: int) -> list[Violation]:
        """A batch of events; returns what is to be reported, in their order.

        Args:
            events: those of before the start do not count.
            now: monotonic seconds.
            wall_ms: now, by the clock (Unix milliseconds).
        """
        self._note_stop(now)
        found: list[Violation] = []
        for event in events:
            self.ears.note(event, now)
            rules = self._on_channel.get(event.type)
            if rules is None:
                rules = self._remember(event.type)
            if rules and not self._is_old(event, wall_ms):
                sent = self._senders.sent(event, now, wall_ms)
                for rule in rules:
                    if rule.concerns(sent.agent, sent.group):
                        found += self._judge(rule, rule.meter.take(sent), now, event.ts)
        return found

    def read(self, now: float, at: datetime) -> list[Violation]:
        """Make the readings that are due; to be called every `TICK_S`.

        Args:
            now: monotonic seconds.
            at: now, by the clock (UTC).
        """
        self._note_stop(now)
        moment = Moment(now, self.ears.to(now), self.ears.since, at)
        text = timestamp(at.timestamp())
        return [
            violation
            for rule in self._rules
            for finding in rule.read(moment)
            for violation in self._judge(rule, finding, now, text)
        ]

    def states(self) -> list[RuleState]:
        """How each rule stands."""
        stop = self._stop()
        return [
            RuleState(
                verdicts.name,
                verdicts.settings,
                verdicts.standing,
                [trip.id for trip in verdicts.trips(stop)],
                rule.meter.last,
            )
            for rule in self._rules
            for verdicts in (rule.verdicts,)
        ]

    def _judge(
        self, rule: _Rule, finding: Finding | None, now: float, at: str
    ) -> tuple[Violation, ...]:
        if finding is None:
            return ()
        violation = rule.verdicts.judge(finding, self._stop(), now, at)
        return () if violation is None else (violation,)

    def _is_old(self, event: Event, wall_ms: int) -> bool:
        """Of before the start, and not of just now by a clock that has been set back since."""
        return event.ts < self._began_at and wall_ms - unix_ms(event.ts) > FRESH_MS

    def _note_stop(self, now: float) -> None:
        stop = self._stop()
        if stop is not self._noted:
            known = {trip.id: since_s for trip, since_s in self._in_force}
            self._in_force = tuple((trip, known.get(trip.id, now)) for trip in stop.trips)
            self._noted = stop
            for rule in self._rules:
                rule.verdicts.note(stop)

    def _meter(self, name: str, settings: RuleSettings) -> Meter:
        if settings.kind == "silence":
            return Silence(name, settings, self._senders.group_of)
        if settings.kind == "errors":
            return Errors(name, settings, self._senders.group_of)
        return Flood(name, settings, lambda: self._in_force)

    def _remember(self, channel: str) -> tuple[_Rule, ...]:
        if len(self._on_channel) >= MAX_AGENTS:
            self._on_channel.clear()
        rules = tuple(rule for rule in self._rules if rule.is_on(channel))
        self._on_channel[channel] = rules
        return rules
