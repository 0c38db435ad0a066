"""``/audit``: who did what, and who was refused what."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...killswitch.audit import AuditTrail
from ...protocol.timestamps import utc_now
from ...sql.audit import AuditRow
from ..auth import Role
from ..requests import Call
from ..routes import Route

SETTLE_S: Final = 1.0
"""What has just been done is in PostgreSQL within milliseconds, if that is there."""


class AuditQuery(msgspec.Struct, frozen=True):
    """The query of ``/audit``."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    """So many at most."""
    before: str | None = None
    """Only rows with a lower id: the last one of the page before."""
    action: str | None = None
    """Only this action, as ``killswitch.release``."""


class AuditAnswer(msgspec.Struct, frozen=True):
    """A page of the audit trail, newest first."""

    status: str
    timestamp: str
    audit: tuple[AuditRow, ...]
    has_more: bool
    """Whether there are older rows."""
    pending: int
    """Rows that wait on disk until PostgreSQL takes them; they are not in the page."""


class AuditRoutes:
    """The audit trail over REST."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    @Route(
        "GET",
        "/audit",
        {200: AuditAnswer},
        query=AuditQuery,
        access=Role.OPERATOR,
        audit="audit.read",
    )
    def audit(self, call: Call) -> AuditAnswer:
        """Who did what, newest first.

        Transitions of the stop, acts of operators and refused attempts; of refusals without a good
        token one row per address and minute, with their `count`. Rows are never changed. 503 while
        PostgreSQL is away: rows wait on disk until then.
        """
        wanted: AuditQuery = call.query
        self._trail.settle(SETTLE_S)
        rows = self._trail.page(limit=wanted.limit + 1, before=wanted.before, action=wanted.action)
        page = tuple(rows[: wanted.limit])
        return AuditAnswer("ok", utc_now(), page, len(rows) > wanted.limit, self._trail.pending)
