"""The daemon's own events: restarts, stalls, starts and stops, stored and shown like all others."""

from collections.abc import Collection

import msgspec

from ..actors.events import NewEvent
from ..actors.messages.event_persister import PersistEvents
from ..protocol.timestamps import utc_now
from ..runtime import Address, Outbox, SupervisorReport


class OwnEvents:
    """Makes events of what the runtime tells; never makes anyone wait.

    Args:
        persister: Gets them.
        agents: The ids of the agents that the daemon runs.
    """

    def __init__(self, persister: Address, agents: Collection[str]) -> None:
        self._outbox = Outbox(persister)
        self._agents = agents

    def pump(self) -> None:
        """Pass on what waits, for ever; meant for a greenlet of the daemon's own."""
        self._outbox.pump()

    def tell(self, event_type: str, fields: dict[str, object]) -> None:
        """Have an event stored and shown."""
        payload = msgspec.json.encode(fields | {"timestamp": utc_now()})
        self._outbox.send(PersistEvents((NewEvent(event_type, payload, "orchestrator"),)))

    def report(self, report: SupervisorReport) -> None:
        """Make a restart, and an agent given up, an event."""
        if report.context == "child_restarted":
            event_type = "runtime.actor_restarted"
        elif report.context == "gave_up" and report.child in self._agents:
            event_type = "agent.error"
        else:
            return
        self.tell(
            event_type,
            {"actor": report.child, "reason": report.reason, "restarts": report.restarts},
        )
