"""What follows from what one rule finds: stop, event, or nothing. Pure; the same for all kinds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from weakref import WeakSet

from ...protocol.targets import Target
from ...protocol.trips import Stop, Trip
from ...protocol.ways import Way
from .findings import Change, Finding, Subject
from .settings import RuleSettings

PACE_S: Final = 1.0
"""One rule makes one event in this time, whatever the number of agents; the others are counted."""
MAX_TRIPS: Final = 20
"""In force or asked for by one rule (scope ``agent`` or ``group``); the next stops everything."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule was broken, or is so no longer."""

    rule: str
    """Its name."""
    settings: RuleSettings
    """Of the rule."""
    agent: str
    """Who: an id, or ``(others)``, ``(unnamed)``, ``(all)``."""
    group: str | None
    """The agent's, if it is known."""
    channel: str | None
    """Of the last message, where there is one."""
    counted: float
    """What was compared with the limit: messages, seconds, errors, or a share from 0 to 1."""
    reason: str
    """In words."""
    target: Target
    """What it stops, or, in a dry run, would stop."""
    trip_id: str
    """The trip to be put in force; empty in a dry run, and while one by this rule is that stops as
    much."""
    suppressed: int
    """Violations of the rule since the last one that was reported."""
    ended: bool = False
    """Whether it is broken no longer. Its trip stays in force until a person releases it."""


@dataclass(slots=True)
class Standing:
    """How a rule stands."""

    violations: int = 0
    """Since the start: each agent that was over the limit; of messages once in 10 s."""
    last: Violation | None = None
    """The last that was reported."""
    last_at: str | None = None
    """When."""


class Verdicts:
    """Of one rule.

    Args:
        name: the rule's.
        settings: the rule's.
        new_id: makes ids of trips.
    """

    def __init__(self, name: str, settings: RuleSettings, new_id: Callable[[], str]) -> None:
        self.name = name
        self.settings = settings
        self.standing = Standing()
        self._new_id = new_id
        self._asked: dict[Target, tuple[str, float]] = {}
        self._stands_for: dict[str, WeakSet[Subject]] = {}  # what counts them keeps them
        self._reported_s = -math.inf
        self._suppressed = 0

    def trips(self, stop: Stop) -> list[Trip]:
        """Those by this rule that are in force."""
        by = triggered_by(self.name)
        return [trip for trip in stop.trips if trip.way is Way.RULE and trip.triggered_by == by]

    def note(self, stop: Stop) -> None:
        """The stop has changed: agents whose trip was released are counted from zero."""
        for trip_id in [known for known in self._stands_for if stop.released(known) is not None]:
            for subject in self._stands_for.pop(trip_id):
                subject.trip_id = ""
                subject.begin_anew()
        self._asked = {
            target: asked
            for target, asked in self._asked.items()
            if stop.released(asked[0]) is None
        }

    def judge(self, finding: Finding, stop: Stop, now: float, at: str) -> Violation | None:
        """What is to be reported, if anything; with a trip if one has to be put in force.

        Args:
            finding: what was found.
            stop: what is in force.
            now: monotonic seconds.
            at: now, as the event has it.
        """
        begins, ended = finding.change is Change.BEGINS, finding.change is Change.ENDS
        self.standing.violations += begins
        target, wanted = self._target(finding, stop), ""
        if not ended:
            wanted = self._wanted_trip(finding.subject, target, stop, now)
        if not wanted and not ((begins or ended) and self._may_report(now)):
            return None
        found = Violation(
            self.name,
            self.settings,
            finding.key,
            finding.group,
            finding.channel,
            finding.counted,
            finding.words(),
            target,
            wanted,
            self._suppressed,
            ended,
        )
        self._reported_s, self._suppressed = now, 0
        self.standing.last, self.standing.last_at = found, at
        return found

    def _target(self, finding: Finding, stop: Stop) -> Target:
        """What a violation stops; everything if it would be one more than `MAX_TRIPS`."""
        own = self.settings.target(finding.agent, finding.group if finding.agent else None)
        in_force = {trip.target for trip in self.trips(stop)}
        is_stopped = own in self._asked or any(target.covers(own) for target in in_force)
        if is_stopped or len(in_force | self._asked.keys()) < MAX_TRIPS:
            return own
        return Target(self.settings.level)

    def _wanted_trip(self, subject: Subject, target: Target, stop: Stop, now: float) -> str:
        """The id of the trip to be put in force; empty if there is nothing to do.

        It is asked for once a second until it is known; after its release it is another one.
        """
        if self.settings.dry_run:
            return ""
        for trip in self.trips(stop):
            if trip.target.covers(target):
                self._stand_for(trip.id, subject)
                return ""
        trip_id, asked_s = self._asked.get(target, ("", -math.inf))
        if not trip_id:
            trip_id = self._new_id()
        elif 0 <= now - asked_s < PACE_S:
            return ""
        self._asked[target] = trip_id, now
        self._stand_for(trip_id, subject)
        return trip_id

    def _stand_for(self, trip_id: str, subject: Subject) -> None:
        if subject.trip_id != trip_id:
            subject.trip_id = trip_id
            self._stands_for.setdefault(trip_id, WeakSet()).add(subject)

    def _may_report(self, now: float) -> bool:
        if now - self._reported_s < PACE_S:
            self._suppressed += 1
            return False
        return True


def triggered_by(rule: str) -> str:
    """Who a rule's trip is by."""
    return f"rule:{rule}"
