"""The RuleMonitor: looks at messages and silence by the rules of the settings, and stops.

An actor of its own, since it sees every message: the Killswitch's mailbox is for stops alone. Its
counts outlive it. Batches that its mailbox had no room for are not counted
(``orchestrator_actor_dropped_total{actor="rules"}``).
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, assert_never

import msgspec

from ...actors.events import NewEvent
from ...actors.messages.event_persister import PersistEvents
from ...actors.messages.events import EventReplaced, EventsJournalled
from ...actors.messages.heartbeat_monitor import Canary
from ...actors.messages.killswitch import BeatsHeard, Engage
from ...protocol.excerpt import excerpt
from ...protocol.timestamps import utc_now
from ...protocol.ways import Way
from ...runtime import Actor, Address, Outbox
from .rules import RULE, TICK_S, Rules
from .verdicts import Violation, triggered_by


class RuleMonitor(Actor):
    """Watches the rules.

    Args:
        rules: outlives it.
        killswitch: engages.
        persister: gets the events.
    """

    def __init__(self, *, rules: Rules, killswitch: Address, persister: Address) -> None:
        super().__init__()
        self._rules = rules
        self._killswitch = killswitch
        self._outbox = Outbox(persister, on_drop=self._dropped)

    def on_start(self) -> None:
        """Pass on events that the persister had no room for; a run before this one may have failed.

        What that had in its hand is not counted.
        """
        self._rules.ears.missed(time.monotonic())
        self.spawn(self._outbox.pump, name="outbox")
        self.every(TICK_S, self._read)

    def on_receive(self, message: EventsJournalled | EventReplaced | BeatsHeard | Canary) -> None:
        """Count; what replaced an event was counted already."""
        match message:
            case EventsJournalled():
                now, wall_ms = time.monotonic(), round(time.time() * 1000)
                self._act(self._rules.take(message.events, now, wall_ms))
            case BeatsHeard():
                now = time.monotonic()
                for sender, beat in message.beats:
                    self._rules.heard(sender, beat, now)
            case Canary():
                self._rules.ears.canary(message.connection, message.sent_at)
            case EventReplaced():
                pass
            case _:
                assert_never(message)

    def _read(self) -> None:
        now = time.monotonic()
        self._rules.ears.note_dropped(self.address.mailbox.dropped, now)
        self._act(self._rules.read(now, datetime.now(UTC)))

    def _act(self, violations: Iterable[Violation]) -> None:
        for violation in violations:
            self._act_on(violation)

    def _act_on(self, found: Violation) -> None:
        if found.trip_id:
            engage = Engage(
                found.reason,
                triggered_by(found.rule),
                found.target,
                way=Way.RULE,
                trip_id=found.trip_id,
            )
            self._killswitch.offer(engage, urgent=True)
        payload = msgspec.json.encode(event_fields(found) | {"timestamp": utc_now()})
        self._outbox.send(PersistEvents((NewEvent(RULE, payload, "orchestrator"),)))
        self.log.warning(
            "a rule is broken no longer" if found.ended else "a rule is broken",
            rule=found.rule,
            agent=found.agent,
            counted=found.counted,
            dry_run=found.settings.dry_run,
            reason=found.reason,
        )

    def _dropped(self, message: object) -> None:
        self.log.error(
            "event of a rule dropped: the persister does not keep up", dropped=excerpt(message)
        )


def event_fields(found: Violation) -> dict[str, Any]:
    """The payload of ``risk.rule``, without its time."""
    settings = found.settings
    return {
        "rule": found.rule,
        "kind": settings.kind,
        "agent_id": found.agent,
        "group": found.group,
        "channel": found.channel,
        "counted": found.counted,
        "limit": settings.limit,
        "window_s": None if settings.kind == "silence" else settings.window_s,
        "level": found.target.level,
        "scope": found.target.scope,
        "dry_run": settings.dry_run,
        "trip_id": found.trip_id or None,
        "reason": found.reason,
        "suppressed": found.suppressed,
        "ended": found.ended,
    }
