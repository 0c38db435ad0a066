"""The table `orchestrator_audit`: rows are added, and never change."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from .database import Database
from .named_queries import query

TABLE: Final = "orchestrator_audit"


class AuditRow(msgspec.Struct, frozen=True):
    """One act, one transition of the stop, or one refused attempt."""

    id: str
    """text: a ULID; two rows with the same one are the same row."""
    at: str
    """timestamptz: when, ISO 8601, UTC."""
    action: str
    """text: what, as ``killswitch.engage`` or ``agent.stop``."""
    outcome: Literal["done", "refused"] = "done"
    """text: ``refused`` has changed nothing; `detail` says why."""
    actor: str | None = None
    """text, nullable: the token's name, or who else caused it (``signal``, a source on the bus)."""
    role: str | None = None
    """text, nullable: the token's role."""
    address: str | None = None
    """text, nullable: where the call came from; ``unix`` for the control socket."""
    target: str | None = None
    """text, nullable: the agent, the actor, or level and scope of a trip."""
    reason: str | None = None
    """text, nullable: in the caller's words."""
    was: str | None = msgspec.field(default=None, name="from")
    """text, nullable (column ``state_from``): the state before."""
    became: str | None = msgspec.field(default=None, name="to")
    """text, nullable (column ``state_to``): the state after."""
    trip_id: str | None = None
    """text, nullable: which trip."""
    receipts: dict[str, Any] | None = None
    """jsonb, nullable: which agents had halted, and after how many seconds."""
    detail: str | None = None
    """text, nullable: how it came, or why it was refused."""
    request_id: str | None = None
    """text, nullable: of the HTTP request."""
    count: int = 1
    """integer: of how many attempts of one kind this row stands for the first."""


class AuditTable:
    """Each call is one transaction on a pooled connection, and blocks the caller's greenlet.

    Raises `Unavailable`, `TimedOut` or another `StoreError`; then nothing is written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, rows: Sequence[AuditRow]) -> list[AuditRow]:
        """Add rows; those that are there already stay as they are. Durable on return.

        Returns:
            Those that PostgreSQL refuses, which are set aside (`Refusals`); the others are stored.
        """
        by_id = {row.id: row for row in rows}
        return self._database.refusals.write_rows(TABLE, by_id, self._put, value=lambda row: row)

    def _put(self, rows: list[AuditRow]) -> None:
        self._database.rows(query("audit_insert"), {"rows": msgspec.json.encode(rows).decode()})

    def page(
        self, *, limit: int, before: str | None = None, action: str | None = None
    ) -> list[AuditRow]:
        """The newest rows, newest first.

        Args:
            limit: At most.
            before: Only those with a lower id.
            action: Only those of this action.
        """
        found = self._database.rows(
            query("audit_page"), {"limit": limit, "before": before, "action": action}
        )
        return [msgspec.json.decode(text, type=AuditRow) for (text,) in found]
