"""What a route is: one declaration, from which requests are checked and OpenAPI is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from .auth import Role
from .errors import Headers
from .requests import Call


class Stream(Protocol):
    """A response's content that has no end of its own."""

    def run(self, sock: Any, reader: Any) -> None:
        """Send it, after the headers, until it ends; blocks."""

    def end(self, code: int, reason: str) -> None:
        """Begin to end; must not wait."""

    def close(self) -> None:
        """Let go of what it holds, whether it was run or not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response's content."""

    body: bytes
    """As it goes on the wire."""
    status: int = 200
    """HTTP status."""
    content_type: str = "application/json"
    """Of the body."""
    headers: Headers = ()
    """Beside those that every response has."""
    stream: Stream | None = None
    """What follows instead of the body; the connection ends with it."""


def json_answer(value: Any, status: int = 200, headers: Headers = ()) -> Answer:
    """``value`` (anything msgspec encodes) as JSON."""
    return Answer(msgspec.json.encode(value), status, headers=headers)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    """``GET`` (which answers ``HEAD`` too) or ``POST``."""
    path: str
    """As OpenAPI writes it: ``/bus/events/{id}``."""
    handler: Handler
    """Runs in the request's greenlet."""
    summary: str
    """One line."""
    answers: Mapping[int, Any] = field(default_factory=dict)
    """Types of the bodies of good answers, by status: a type, several as a tuple, ``None`` for
    plain text, or a media type."""
    query: type[msgspec.Struct] | None = None
    """What the query string may hold."""
    headers: type[msgspec.Struct] | None = None
    """Headers that it reads, by the names of fields; the handler checks them."""
    body: type[msgspec.Struct] | None = None
    """What the body must be."""
    path_types: Mapping[str, Any] = field(default_factory=dict)
    """Types of the values in the path; ``str`` if not named here."""
    errors: tuple[int, ...] = ()
    """Statuses of errors beside those that any route may answer."""
    counted: bool = True
    """Whether calls count for the rate limit."""
    documented: bool = True
    """Whether it is part of the API."""
    access: Role | None = None
    """Who may call; by default viewers may read, and operators do everything else."""
    endless: bool = False
    """Whether its answer is a stream, which foreign pages may not open, as no WebSocket."""
    always: bool = False
    """Never answered 429, not even after wrong tokens."""

    @property
    def needs(self) -> Role:
        """The least role that may call."""
        if self.access is not None:
            return self.access
        return Role.VIEWER if self.method == "GET" else Role.OPERATOR
