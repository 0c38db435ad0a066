"""What counts for which rule, and when one has been broken. Pure; bounded, whoever sends.

A message's time is when the daemon read it off the socket. For ``acting`` it is the time that the
message states, if that is earlier: what waited in the durable stream, or while the daemon hung,
is no act after the stop. These rules find agents that are broken, not those that lie.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from ...actors.events import HEARTBEAT, KILLSWITCH, Event
from ...actors.fields import FieldReader
from ...actors.messages.killswitch import Sender
from ...protocol.heartbeat import GateBeat
from ...protocol.patterns import TypeMatcher
from ...protocol.permit import TTL_MS
from ...protocol.targets import MAX_NAME_BYTES, Level, Target
from ...protocol.timestamps import unix_seconds
from ...protocol.trips import Stop, Trip
from ...protocol.ulid import new_ulid
from ...protocol.ways import Way
from ..receipts import MAX_AGENTS, must_obey
from .counts import Counts
from .settings import RuleSettings

RULE: Final = "risk.rule"
"""The type of the events about rules."""
GRACE_MS: Final = TTL_MS + 500
"""After a stop a gate is shut when its permit has run out, at the latest."""
AGAIN_MS: Final = 10_000
"""While an agent goes on, it is reported so often (or once a window, if that is longer)."""
PACE_MS: Final = 1_000
"""One rule makes one event in this time, whatever the number of agents; the others are counted."""
MAX_TRIPS: Final = 20
"""In force by one rule (with scope ``agent`` or ``group``); the next one stops everything."""
UNNAMED: Final = "(unnamed)"
"""The sender of messages that name none."""
ALL: Final = "(all)"
"""Whose messages count together."""

_SPARED: Final = TypeMatcher((HEARTBEAT, "risk.*", "agent.*", "bus.*", "runtime.*"))
_NEVER: Final = frozenset((RULE, KILLSWITCH))


class _Said(msgspec.Struct, gc=False):
    agent_id: object = None
    timestamp: object = None


_NOTHING_SAID: Final = _Said()
_read: Final = FieldReader(_Said)


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule was broken."""

    rule: str
    """Its name."""
    settings: RuleSettings
    """Of the rule."""
    agent: str
    """Whose messages: an id, or ``(others)``, ``(unnamed)``, ``(all)``."""
    group: str | None
    """The agent's, if it is known."""
    channel: str
    """Of the last message."""
    counted: int
    """Messages within the window."""
    reason: str
    """In words."""
    target: Target
    """What it stops, or, in a dry run, would stop."""
    trip_id: str
    """The trip to be put in force; empty in a dry run, and while one by this rule is that stops as
    much."""
    suppressed: int
    """Violations of the rule since the last one that was reported."""


@dataclass(slots=True)
class Standing:
    """How a rule stands."""

    violations: int = 0
    """Since the start: each agent that was over the limit, once in `AGAIN_MS`."""
    last: Violation | None = None
    """The last that was reported."""
    last_at: str | None = None
    """When."""


@dataclass(frozen=True, slots=True)
class _Message:
    agent: str
    group: str | None
    must: bool
    channel: str
    ts: str
    at_ms: int
    sent_ms: int


class _Rule:
    def __init__(self, name: str, settings: RuleSettings) -> None:
        self.name = name
        self.settings = settings
        self.counts = Counts(settings.window_s)
        self.again_ms = max(AGAIN_MS, round(settings.window_s * 1000))
        self.standing = Standing()
        self.asked: dict[Target, tuple[str, int]] = {}
        self.reported_ms = 0
        self.suppressed = 0
        self._channels = TypeMatcher(settings.channels)
        self._agents = TypeMatcher(settings.agents)
        self._groups = TypeMatcher(settings.groups)

    def is_on(self, channel: str) -> bool:
        """Whether messages on it may count."""
        if channel in _NEVER:
            return False
        return self._channels(channel) if self._channels.patterns else not _SPARED(channel)

    def concerns(self, message: _Message) -> bool:
        """Whether the sender's messages count."""
        if not self._agents(message.agent):
            return False
        if message.group is None:
            return self.settings.groups == ("*",)
        return self._groups(message.group)


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
        self._rules = [_Rule(name, one) for name, one in settings.items()]
        self._stop = stop
        self._began_at = began_at
        self._new_id = new_id
        self._agents: dict[str, tuple[str, bool]] = {}
        self._on_channel: dict[str, tuple[_Rule, ...]] = {}

    def __len__(self) -> int:
        return len(self._rules)

    def heard(self, sender: Sender, beat: GateBeat) -> None:
        """A heartbeat: in which group the agent is, and whether it has to obey stops."""
        if sender.agent in self._agents or len(self._agents) < MAX_AGENTS:
            self._agents[sender.agent] = sender.group, must_obey(sender, beat)

    def take(self, events: Iterable[Event]) -> list[Violation]:
        """A batch of events; returns what is to be reported, in their order."""
        found = []
        for event in events:
            rules = self._on_channel.get(event.type)
            if rules is None:
                rules = self._remember(event.type)
            if rules and event.ts >= self._began_at:
                message = self._message(event)
                counts = (self._count(rule, message) for rule in rules if rule.concerns(message))
                found += [violation for violation in counts if violation is not None]
        return found

    def standings(self) -> list[tuple[str, RuleSettings, Standing, list[str]]]:
        """Of each rule: name, settings, how it stands, the trips by it that are in force."""
        stop = self._stop()
        return [
            (rule.name, rule.settings, rule.standing, [trip.id for trip in _trips(rule, stop)])
            for rule in self._rules
        ]

    def _remember(self, channel: str) -> tuple[_Rule, ...]:
        if len(self._on_channel) >= MAX_AGENTS:
            self._on_channel.clear()
        rules = tuple(rule for rule in self._rules if rule.is_on(channel))
        self._on_channel[channel] = rules
        return rules

    def _message(self, event: Event) -> _Message:
        said = _said(event.payload)
        agent = _name(said.agent_id) or event.source or UNNAMED
        group, must = self._agents.get(agent, (None, False))
        at_ms = _ms(event.ts)
        sent_ms = min(at_ms, _ms(said.timestamp, at_ms))
        return _Message(agent, group, must, event.type, event.ts, at_ms, sent_ms)

    def _count(self, rule: _Rule, message: _Message) -> Violation | None:
        trip = None
        if rule.settings.kind == "acting" and (trip := self._disobeyed(message)) is None:
            return None
        key = ALL if rule.settings.per == "all" else message.agent
        key, window = rule.counts.of(key, message.at_ms)
        counted = window.add(message.at_ms)
        if counted <= rule.settings.limit:
            return None
        is_new = not 0 <= message.at_ms - window.reported_ms < rule.again_ms
        if is_new:
            window.reported_ms = message.at_ms
            rule.standing.violations += 1
        target = self._target(rule, key, message)
        wanted = self._wanted_trip(rule, target, message.at_ms)
        if not wanted and not (is_new and _may_report(rule, message.at_ms)):
            return None
        found = Violation(
            rule.name,
            rule.settings,
            key,
            message.group if key == message.agent else None,
            message.channel,
            counted,
            _words(rule, key, message.channel, counted, trip),
            target,
            wanted,
            rule.suppressed,
        )
        rule.reported_ms, rule.suppressed = message.at_ms, 0
        rule.standing.last, rule.standing.last_at = found, message.ts
        return found

    def _target(self, rule: _Rule, key: str, message: _Message) -> Target:
        """What a violation stops; everything once the rule has `MAX_TRIPS` in force."""
        if len(_trips(rule, self._stop())) >= MAX_TRIPS:
            return Target(rule.settings.level)
        agent = message.agent if key == message.agent != UNNAMED else None
        return rule.settings.target(agent, message.group if agent else None)

    def _disobeyed(self, message: _Message) -> Trip | None:
        """The stop that a message comes after."""
        for trip in self._stop().trips if message.must else ():
            halts = trip.target.level is Level.HALT
            concerned = halts and trip.target.concerns(message.agent, message.group)
            if concerned and message.sent_ms > _ms(trip.at) + GRACE_MS:
                return trip
        return None

    def _wanted_trip(self, rule: _Rule, target: Target, at_ms: int) -> str:
        """The id of the trip to be put in force; empty if there is nothing to do.

        It is asked for once a second until it is known; after its release it is another one.
        """
        stop = self._stop()
        if rule.settings.dry_run or any(one.target.covers(target) for one in _trips(rule, stop)):
            return ""
        trip_id, asked_ms = rule.asked.get(target, ("", 0))
        if not trip_id or stop.released(trip_id) is not None:
            trip_id = self._new_id()
        elif 0 <= at_ms - asked_ms < PACE_MS:
            return ""
        if len(rule.asked) > MAX_TRIPS:
            rule.asked.clear()
        rule.asked[target] = trip_id, at_ms
        return trip_id


def triggered_by(rule: str) -> str:
    """Who a rule's trip is by."""
    return f"rule:{rule}"


def _trips(rule: _Rule, stop: Stop) -> list[Trip]:
    by = triggered_by(rule.name)
    return [trip for trip in stop.trips if trip.way is Way.RULE and trip.triggered_by == by]


def _may_report(rule: _Rule, at_ms: int) -> bool:
    if 0 <= at_ms - rule.reported_ms < PACE_MS:
        rule.suppressed += 1
        return False
    return True


def _words(rule: _Rule, key: str, channel: str, counted: int, trip: Trip | None) -> str:
    window, limit = rule.settings.window_s, rule.settings.limit
    who = "all together" if key == ALL else key
    times = f"{counted} message{'s' if counted > 1 else ''} within {window:g} s"
    if trip is None:
        return f"rule {rule.name}: {who} sent {times}, more than {limit}, last on {channel}"
    stop = f"the stop {trip.id} ({trip.target.level} {trip.target.scope})"
    return f"rule {rule.name}: {who} acts after {stop}: {times}, last on {channel}"


def _said(payload: bytes) -> _Said:
    try:
        return _read(payload)
    except msgspec.DecodeError:  # no object
        return _NOTHING_SAID


def _name(value: object) -> str | None:
    usable = isinstance(value, str) and 0 < len(value) <= MAX_NAME_BYTES
    return str(value) if usable else None


def _ms(text: object, otherwise: int = 0) -> int:
    """Unix milliseconds of an ISO 8601 time."""
    seconds = unix_seconds(text) if isinstance(text, str) else None
    return otherwise if seconds is None else round(seconds * 1000)
