"""Routes: one declaration at the handler, from which requests are checked and OpenAPI is written.

A :class:`Route` is the decorator of its handler, whose docstring is what OpenAPI says of it::

    @Route("GET", "/bus/events/{id}", {200: EventAnswer}, path_types={"id": EventId}, etag=True)
    def event(self, call: Call) -> EventAnswer:
        \"\"\"One event.\"\"\"
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import msgspec

from .auth import Role
from .errors import Headers
from .requests import Call


class Stream(Protocol):
    """A response body without an end of its own."""

    def run(self, sock: Any, reader: Any) -> None:
        """Send it, after the headers, until it ends; blocks."""

    def end(self, code: int, reason: str) -> None:
        """Begin to end; must not block."""

    def close(self) -> None:
        """Release its resources, whether it was run or not."""


class Answer(msgspec.Struct, frozen=True):
    """A response, encoded."""

    body: bytes
    """As it goes on the wire."""
    status: int = 200
    """HTTP status."""
    content_type: str = "application/json"
    """Of the body."""
    headers: Headers = ()
    """In addition to those that every response has."""
    stream: Stream | None = None
    """What follows instead of the body; the connection ends with it."""


def json_answer(value: Any, status: int = 200, headers: Headers = ()) -> Answer:
    """``value`` (anything msgspec encodes) as JSON."""
    return Answer(msgspec.json.encode(value), status, headers=headers)


Handler = Callable[[Call], Any]
"""Returns the value to encode (with the first status of ``Route.answers``), or an Answer."""

F = TypeVar("F", bound=Callable[..., Any])


def _unbound(_call: Call) -> Answer:
    raise LookupError("the route has no handler yet")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    """``GET`` (which answers ``HEAD`` too) or ``POST``."""
    path: str
    """As OpenAPI writes it: ``/bus/events/{id}``."""
    answers: Mapping[int, Any]
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
    """Statuses of errors in addition to those that any route may answer."""
    etag: bool = False
    """Whether its answer has an entity tag, and may be 304."""
    counted: bool = True
    """Whether calls count for the rate limit."""
    documented: bool = True
    """Whether it is part of the API."""
    access: Role | None = None
    """The least role that may call; by default viewers may read, operators do everything else."""
    endless: bool = False
    """Whether its answer is a stream, which foreign pages may not open, as no WebSocket."""
    always: bool = False
    """Never answered 429, not even after wrong tokens."""
    audit: str = ""
    """The action under which the audit trail has it; its refusals are noted."""
    example: Any = None
    """A body that may be sent."""
    handler: Handler = _unbound
    """Runs in the request's greenlet."""
    summary: str = ""
    """One line for OpenAPI: the first of the handler's docstring."""
    text: str = ""
    """The rest of that docstring."""
    needs: Role = field(init=False)
    """``access``, or its default."""

    def __post_init__(self) -> None:
        by_method = Role.VIEWER if self.method == "GET" else Role.OPERATOR
        object.__setattr__(self, "needs", by_method if self.access is None else self.access)

    def __call__(self, handler: F) -> F:
        """Declare ``handler``, a method; :func:`routes_of` finds it."""
        handler.route = self  # type: ignore[attr-defined] # functions take attributes
        return handler

    def bound(self, handler: Handler) -> "Route":
        """The route that is answered by ``handler``, described by its docstring."""
        summary, _, text = inspect.cleandoc(handler.__doc__ or "").partition("\n\n")
        summary = " ".join(summary.split()).removesuffix(".")
        return replace(self, handler=handler, summary=summary, text=text)


def plain_path(path: str) -> str:
    """``path`` without its trailing slash: with and without one it means the same."""
    return path[:-1] if len(path) > 1 and path[-1] == "/" != path[-2] else path


def values_in(route_path: str, path: str) -> dict[str, str]:
    """The values in ``path``, which matches ``route_path``, in the letters they were sent in."""
    parts = path.split("/")
    return {
        part[1:-1].removesuffix(":path"): "/".join(parts[at:]) if ":" in part else parts[at]
        for at, part in enumerate(route_path.split("/"))
        if part.startswith("{")
    }


def routes_of(owner: object) -> list[Route]:
    """The routes declared at the methods of ``owner``, in order of definition."""
    declared = [(name, getattr(one, "route", None)) for name, one in vars(type(owner)).items()]
    return [route.bound(getattr(owner, name)) for name, route in declared if route is not None]
