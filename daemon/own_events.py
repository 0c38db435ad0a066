"""The daemon's own events: restarts, stalls, starts and stops, stored and shown like all others."""

from collections.abc import Collection

import msgspec

from ..actors.events import NewEvent
from ..actors.messages.event_persister import PersistEvents
from ..protocol.timestamps import utc_now
from ..runtime import Address, Outbox, SupervisorReport


class OwnEvents:
    """Turns the runtime's reports into events; never blocks the caller.

    Args:
        persister: Gets them.
        agents: The ids of the agents that the daemon runs.
    """

    def __init__(self, persister: Address, agents: Collection[str]) -> None:
        self._outbox = Outbox(persister)
        self._agents = agents

    def pump(self) -> None:
        """Forward pending messages until killed. Run it in a greenlet of its own."""
        self._outbox.pump()

    def record(self, event_type: str, fields: dict[str, object]) -> None:
        """Store and publish an event."""
        payload = msgspec.json.encode(fields | {"timestamp": utc_now()})
        self._outbox.send(PersistEvents((NewEvent(event_type, payload, "orchestrator"),)))

    def report(self, report: SupervisorReport) -> None:
        """Record a restart, or an agent that is given up, as an event."""
        if report.context == "child_restarted":
            event_type = "runtime.actor_restarted"
        elif report.context == "gave_up" and report.child in self._agents:
            event_type = "agent.error"
        else:
            return
        self.record(
            event_type,
            {"actor": report.child, "reason": report.reason, "restarts": report.restarts},
        )
