"""What goes wrong between us and a caller, and how it is told.

``ApiError``: status and short name are the class's, the message says what to do.
├── ``BadRequest`` 400, ``Unauthorized`` 401, ``Forbidden`` 403, ``NotFound`` 404
├── ``WrongMethod`` 405, ``TooSlow`` 408
├── ``Conflict`` 409, ``BodyTooLarge`` 413, ``NotJson`` 415, ``TooManyRequests`` 429
└── ``Unavailable`` 503, with ``Retry-After``

Everything else that is raised becomes one of these in :func:`as_api_error`, and nothing that is
internal (SQL, paths, stacks) goes into an answer.
"""

from typing import ClassVar, Final

import structlog

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
"""What is away is a restarting actor, back within 100 ms, or PostgreSQL: ask again soon."""

_log = structlog.get_logger(actor="http")

Headers = tuple[tuple[str, str], ...]


class ApiError(OrchestratorError):
    """An answer that is an error."""

    status: ClassVar[int] = 500
    error: ClassVar[str] = "Internal error"

    def __init__(self, message: str, *, error: str | None = None, headers: Headers = ()) -> None:
        super().__init__(message)
        self.message = message
        self.short = error or self.error
        self.headers = headers

    def __str__(self) -> str:
        return self.message


class BadRequest(ApiError):
    """The request cannot be understood."""

    status = 400
    error = "Bad request"


class Unauthorized(ApiError):
    """A token is needed, or another one."""

    status = 401
    error = "Unauthorized"


class Forbidden(ApiError):
    """This caller may not."""

    status = 403
    error = "Forbidden"


class NotFound(ApiError):
    """There is no such thing."""

    status = 404
    error = "Not found"


class WrongMethod(ApiError):
    """The path is there, but not for this method."""

    status = 405
    error = "Method not allowed"


class TooSlow(ApiError):
    """The body did not arrive in time."""

    status = 408
    error = "Request timeout"


class Conflict(ApiError):
    """Not in the present state."""

    status = 409
    error = "Conflict"


class BodyTooLarge(ApiError):
    """The body is over the limit."""

    status = 413
    error = "Body too large"


class NotJson(ApiError):
    """The body is not said to be JSON."""

    status = 415
    error = "Unsupported media type"


class TooManyRequests(ApiError):
    """This address has used up its calls."""

    status = 429
    error = "Too many requests from this IP, please try again later."


class Internal(ApiError):
    """A fault of ours; the log has it under the request's id."""


class Unavailable(ApiError):
    """Not at this moment."""

    status = 503
    error = "Temporarily unavailable"

    def __init__(self, message: str, *, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(message, headers=(("Retry-After", str(retry_after_s)),))


def as_api_error(error: Exception) -> ApiError:
    """The answer for whatever a handler raised; logs what is our fault."""
    match error:
        case ApiError():
            return error
        case UnknownChild():
            return NotFound("There is no actor of that name; see /runtime/actors.")
        case Refusal():
            return Conflict(str(error))
        case StoreError():
            return _of_store(error)
        case OrchestratorError():
            return _of_actor(error)
    _log.error("request failed", exc_info=error)
    return Internal("This is a fault of the daemon; its log has it under the request id.")


def _of_actor(error: OrchestratorError) -> ApiError:
    _log.warning("actor did not answer a request", reason=str(error))
    if isinstance(error, ActorUnavailable | AskTimeout | MailboxFull):
        return Unavailable("A part of the daemon does not answer; try again.")
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
