"""A rule that is read each second, on a bus that is heard unless a test says otherwise."""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.actors.events import Event
from orchestrator.actors.messages.killswitch import Sender
from orchestrator.killswitch.rules.findings import Reading
from orchestrator.killswitch.rules.rules import Rules
from orchestrator.killswitch.rules.settings import RuleSettings
from orchestrator.killswitch.rules.verdicts import Violation
from orchestrator.protocol.heartbeat import GateBeat
from orchestrator.protocol.timestamps import timestamp
from orchestrator.protocol.trips import Stop
from orchestrator.protocol.ways import Way
from stops import trip

FRIDAY = datetime(2026, 1, 30, 12, tzinfo=UTC)
LIVES = GateBeat("active")


class Watch:
    """One rule, what is in force, and two clocks."""

    def __init__(self, at: datetime = FRIDAY, **settings: Any) -> None:
        numbers: Iterator[int] = itertools.count(1)
        self.stop = Stop()
        self.rules = Rules(
            {"r": RuleSettings.model_validate(settings)},
            lambda: self.stop,
            began_at="",
            new_id=lambda: f"T{next(numbers)}",
        )
        self.now = 1_000.0
        self.at = at
        self.hears = True
        self.engages = True
        self.found: list[Violation] = []

    def pass_s(self, seconds: int, *, publishing: str | None = None) -> list[Violation]:
        """Second by second; returns what was reported meanwhile."""
        found = []
        for _ in range(seconds):
            self.now += 1
            self.at += timedelta(seconds=1)
            if publishing is not None:
                found += self.send(publishing)
            if self.hears:
                self.rules.ears.canary("control", self.now)
                self.rules.ears.canary("data", self.now)
            found += self._act(self.rules.read(self.now, self.at))
        return found

    def send(self, agent: str, channel: str = "md.quote", count: int = 1) -> list[Violation]:
        """Messages of an agent, now."""
        payload = json.dumps({"agent_id": agent}).encode()
        event = Event(1, channel, payload, timestamp(self.at.timestamp()), None)
        wall_ms = round(self.at.timestamp() * 1000)
        return self._act(self.rules.take([event] * count, self.now, wall_ms))

    def beat(self, agent: str, group: str = "ingestion", beat: GateBeat = LIVES) -> None:
        self.rules.heard(Sender(agent, group), beat, self.now)

    def release(self, trip_id: str) -> None:
        self.stop = self.stop.with_release(trip_id, timestamp(self.at.timestamp()))

    @property
    def reading(self) -> Reading:
        [state] = self.rules.states()
        assert state.reading is not None
        return state.reading

    @property
    def violations(self) -> int:
        [state] = self.rules.states()
        return state.standing.violations

    def _act(self, found: list[Violation]) -> list[Violation]:
        """As the Killswitch does."""
        for one in found:
            if one.trip_id and self.engages:
                by = f"rule:{one.rule}"
                engaged = trip(one.trip_id, triggered_by=by, way=Way.RULE, target=one.target)
                self.stop = self.stop.with_trip(engaged)
        return found
