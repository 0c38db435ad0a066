"""What callers do, and what they are refused, for the audit trail."""

from typing import Any

from ..actors.messages.killswitch import Asker
from ..killswitch.audit import AuditTrail
from .auth import Role, caller_in
from .errors import ApiError, Forbidden, TooManyRequests, Unauthorized
from .requests import Call, Environ
from .routes import Route


class Acts:
    """Notes them; transitions of the stop are noted by the Killswitch.

    Args:
        trail: Where to.
    """

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def done(self, call: Call, action: str, **fields: Any) -> None:
        """An operator's act has been accepted; fields as ``AuditRow`` has them."""
        self._trail.note(action, **_by(call.environ, call.request_id), **fields)

    def refused(
        self, route: Route, environ: Environ, error: ApiError, request_id: str, call: Call | None
    ) -> None:
        """A call was refused; one without a good token is only counted."""
        by = _by(environ, request_id)
        detail = f"{error.status} {environ['REQUEST_METHOD']} {route.path}: {error.message}"
        nameless = caller_in(environ).role is Role.OPEN
        if isinstance(error, Unauthorized | TooManyRequests) and nameless:
            if route.audit or "HTTP_AUTHORIZATION" in environ:
                self._trail.note_often(
                    "unauthorized", alone=False, outcome="refused", detail=detail, **by
                )
        elif route.audit and (route.method != "GET" or isinstance(error, Forbidden)):
            asked = _asked(call)
            self._trail.note_often(route.audit, outcome="refused", detail=detail, **asked, **by)


def asker_of(call: Call) -> Asker:
    """Who calls, as the Killswitch notes it."""
    by = _by(call.environ, call.request_id)
    return Asker(by["actor"], by["role"], by["address"])


def _by(environ: Environ, request_id: str) -> dict[str, Any]:
    caller = caller_in(environ)
    return {
        "actor": caller.name,
        "role": caller.role.name.lower(),
        "address": str(environ.get("REMOTE_ADDR") or "unix"),
        "request_id": request_id,
    }


def _asked(call: Call | None) -> dict[str, Any]:
    """What a call was about, as far as it could be read."""
    if call is None:
        return {}
    return {
        "target": next(iter(call.path.values()), None),
        "reason": getattr(call.body, "reason", None),
        "trip_id": getattr(call.body, "trip_id", None),
    }
