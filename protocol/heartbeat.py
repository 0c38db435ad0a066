"""Heartbeats of agents with a gate: the fields of a receipt, and how they are sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from .json_object import clean_text, count_in, text_in
from .targets import Level, Permission
from .trips import NAME_CHARS

STATUSES: Final = {
    "active": "active",
    "healthy": "active",
    "ok": "active",
    "running": "active",
    "offline": "inactive",
    "stopped": "inactive",
    "inactive": "inactive",
    "error": "error",
    "failed": "error",
    "halted": "halted",
}
"""As reported → column ``agents.status``; any other is ``active``."""


class GateState(StrEnum):
    """Field ``gate``."""

    OPEN = "open"
    SHUT = "shut"


@dataclass(frozen=True, slots=True)
class GateBeat:
    """What a heartbeat says about stops; a field of another type counts as absent."""

    status: str
    """Normalised: ``active``, ``inactive``, ``error`` or ``halted``."""
    gate: GateState | None = None
    """``None``: the agent has no gate."""
    generation: int | None = None
    """Of the last valid permit it read."""
    trip_id: str | None = None
    """The newest trip it has heard of."""
    open_orders: int | None = None
    """Working orders; 0 means too that no handler runs."""
    permission: Permission | None = None
    """What its gate allows; ``None``: the agent's kit does not say so."""
    drill: str | None = None
    """The nonce of the last drill it has heard."""

    @property
    def is_halted(self) -> bool:
        """Whether the agent does not act: its gate is shut, or, without one, it says so."""
        if self.gate is None:
            return self.status == "halted"
        return self.gate is GateState.SHUT

    @property
    def is_quiet(self) -> bool:
        """Whether, besides, nothing of it works at a venue."""
        return self.is_halted and self.open_orders == 0

    def obeys(self, level: Level) -> bool | None:
        """Whether the agent keeps to a stop of that level; ``None``: its beat does not say."""
        if self.is_halted:
            return True
        if level is Level.HALT or self.gate is None:
            return False
        return None if self.permission is None else self.permission is not Permission.ALLOWED


def normal_status(status: object) -> str:
    """A reported status as the registry has it; letter case does not matter."""
    return STATUSES.get(status.lower(), "active") if isinstance(status, str) else "active"


def read_beat(fields: Mapping[str, Any]) -> GateBeat:
    """Read a heartbeat's object."""
    gate, permission = fields.get("gate"), fields.get("permission")
    trip_id = text_in(fields, "trip_id")
    return GateBeat(
        normal_status(fields.get("status")),
        GateState(gate) if gate in ("open", "shut") else None,
        count_in(fields, "generation"),
        None if trip_id is None else clean_text(trip_id, NAME_CHARS),
        count_in(fields, "open_orders"),
        Permission(permission) if permission in ("allowed", "reduce", "halt") else None,
        text_in(fields, "drill"),
    )


def gate_fields(beat: GateBeat) -> dict[str, Any]:
    """What an agent with a gate adds to its heartbeats; ``halted`` while the gate is shut.

    ``status`` is left to the agent while the gate is open.
    """
    fields: dict[str, Any] = {
        "gate": beat.gate,
        "generation": beat.generation,
        "trip_id": beat.trip_id,
        "open_orders": beat.open_orders,
        "permission": beat.permission,
    }
    fields |= {} if beat.drill is None else {"drill": beat.drill}
    return fields | ({"status": "halted"} if beat.is_halted else {})
