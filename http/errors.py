"""The errors of the API, and the mapping of all others to them.

``ApiError``: status and short name are the class's, the message says what to do.
├── ``BadRequest`` 400, ``Unauthorized`` 401, ``Forbidden`` 403, ``NotFound`` 404
├── ``WrongMethod`` 405, ``TooSlow`` 408
├── ``Conflict`` 409, ``BodyTooLarge`` 413, ``NotJson`` 415
├── ``UpgradeRequired`` 426, ``TooManyRequests`` 429
└── ``Unavailable`` 503, with ``Retry-After``

Everything else that is raised becomes one of these in :func:`as_api_error`, and nothing that is
internal (SQL, paths, stacks) goes into an answer.
"""

from typing import ClassVar, Final

import structlog

from ..actors.unread import NotRead
from ..runtime import (
    ActorUnavailable,
    AskTimeout,
    MailboxFull,
    OrchestratorError,
    Refusal,
    UnknownChild,
)
from ..sql.errors import StoreError, TimedOut
from ..sql.errors import Unavailable as StoreUnavailable

RETRY_AFTER_S: Final = 1
"""A restarting actor is back within 100 ms; PostgreSQL may be: retry soon."""

MESSAGE_CHARS: Final = 500
"""A message may quote the caller, and is logged and sent."""

_log = structlog.get_logger(actor="http")

Headers = tuple[tuple[str, str], ...]


class ApiError(OrchestratorError):
    """An answer that is an error."""

    status: ClassVar[int] = 500
    error: ClassVar[str] = "Internal error"

    def __init__(self, message: str, *, error: str | None = None, headers: Headers = ()) -> None:
        message = message if len(message) <= MESSAGE_CHARS else f"{message[: MESSAGE_CHARS - 1]}…"
        super().__init__(message)
        self.message = message
        self.short = error or self.error
        self.headers = headers

    def __str__(self) -> str:
        return self.message


class BadRequest(ApiError):
    """The request is invalid."""

    status = 400
    error = "Bad request"


class Unauthorized(ApiError):
    """A token is needed, or another one."""

    status = 401
    error = "Unauthorized"


class Forbidden(ApiError):
    """The caller's role or origin is not sufficient."""

    status = 403
    error = "Forbidden"


class NotFound(ApiError):
    """No such resource."""

    status = 404
    error = "Not found"


class WrongMethod(ApiError):
    """The path exists, but not for this method."""

    status = 405
    error = "Method not allowed"


class TooSlow(ApiError):
    """The body did not arrive in time."""

    status = 408
    error = "Request timeout"


class Conflict(ApiError):
    """Not possible in the current state."""

    status = 409
    error = "Conflict"


class BodyTooLarge(ApiError):
    """The body is over the limit."""

    status = 413
    error = "Body too large"


class NotJson(ApiError):
    """The body's content type is not JSON."""

    status = 415
    error = "Unsupported media type"


class UpgradeRequired(ApiError):
    """The resource is a WebSocket."""

    status = 426
    error = "Upgrade required"


class TooManyRequests(ApiError):
    """The rate limit of this address is reached."""

    status = 429
    error = "Too many requests from this IP, please try again later."


class Internal(ApiError):
    """A bug; the log has it under the request's id."""


class Unavailable(ApiError):
    """Temporarily impossible."""

    status = 503
    error = "Temporarily unavailable"

    def __init__(self, message: str, *, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(message, headers=(("Retry-After", str(retry_after_s)),))


def as_api_error(error: Exception) -> ApiError:
    """The answer to any exception of a handler; logs what is not the caller's fault."""
    match error:
        case ApiError():
            return error
        case UnknownChild():
            return NotFound("There is no actor of that name; see /runtime/actors.")
        case Refusal():
            return _of_refusal(error)
        case StoreError():
            return _of_store(error)
        case OrchestratorError():
            return _of_actor(error)
    _log.error("request failed", exc_info=error)
    return Internal("This is a fault of the daemon; its log has it under the request id.")


def _of_refusal(error: Refusal) -> ApiError:
    if isinstance(error, NotRead):
        _log.warning("asked about what is not loaded yet", reason=str(error))
        what = error.what[:1].upper() + error.what[1:]
        return Unavailable(f"{what} has not been read since the start; try again.")
    return Conflict(str(error))


def _of_actor(error: OrchestratorError) -> ApiError:
    _log.warning("actor did not respond to a request", reason=str(error))
    if isinstance(error, ActorUnavailable | AskTimeout | MailboxFull):
        return Unavailable("A part of the daemon does not respond; try again.")
    return Unavailable("A part of the daemon is being restarted; try again.")


def _of_store(error: StoreError) -> ApiError:
    if isinstance(error, TimedOut):
        _log.warning("database took too long for a request", reason=str(error))
        return Unavailable(
            "The database took too long: narrow it by from and to, or ask by type or source alone."
        )
    if isinstance(error, StoreUnavailable):
        _log.warning("database not available for a request", reason=str(error))
        return Unavailable("The database is not available; try again.")
    _log.error("database refused a request", exc_info=error)
    return Unavailable("The database cannot answer this at the moment; see the log.")
