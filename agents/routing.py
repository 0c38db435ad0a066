"""Which method gets which event: patterns, ``@on_event``, ``@every``.

Pure: no socket, no clock. A pattern is the contract's: ``*`` matches any run of
characters, dots included, and nothing else is special.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from ..protocol.patterns import checked, matches
from .errors import BadAgent
from .event import Event

Method = TypeVar("Method", bound=Callable[..., Any])

_PATTERNS = "__agent_patterns__"
_MODEL = "__agent_model__"
_TIMER = "__agent_timer__"
_CACHE_ENTRIES = 10_000
"""Channels are few (symbols by timeframes); a bound for producers that invent them."""


class TimerSpec(msgspec.Struct, frozen=True):
    """What ``@every`` says about a method."""

    seconds: float
    """From one call to the next."""
    at_start: bool
    """The first call comes at once, not after ``seconds``."""


def on_event(pattern: str, *, model: Any = None) -> Callable[[Method], Method]:
    """Have the method called with each `Event` on a channel that matches.

    May be given several times; an event that matches several of a method's
    patterns is one call.

    Args:
        pattern: of channels.
        model: what the payload must be (a msgspec struct, or any type that msgspec decodes):
            the method gets a `TypedEvent` with it, and is not called for what is none.

    Raises:
        ValueError: The pattern has more than 16 stars.
        BadAgent: The method has another model already.
    """
    checked(pattern)

    def mark(method: Method) -> Method:
        if model not in (None, getattr(method, _MODEL, model)):
            raise BadAgent(f"{method.__name__} has two models; write a method for each")
        setattr(method, _PATTERNS, (pattern, *getattr(method, _PATTERNS, ())))
        if model is not None:
            setattr(method, _MODEL, model)
        return method

    return mark


def every(seconds: float, *, at_start: bool = False) -> Callable[[Method], Method]:
    """Have the method called each ``seconds``, with no argument.

    Calls that were missed while a handler was slow are not made up for.
    """

    def mark(method: Method) -> Method:
        setattr(method, _TIMER, TimerSpec(seconds, at_start))
        return method

    return mark


def patterns_of(method: object) -> tuple[str, ...]:
    """Those under ``@on_event``; empty for a method that has none."""
    patterns: tuple[str, ...] = getattr(method, _PATTERNS, ())
    return patterns


def model_of(method: object) -> Any:
    """What the payloads for the method must be; ``None``: anything."""
    return getattr(method, _MODEL, None)


def is_timer(method: object) -> bool:
    """Whether the method is marked by ``@every``."""
    return hasattr(method, _TIMER)


def marked_events(owner: object) -> Iterator[tuple[Callable[[Event], object], tuple[str, ...]]]:
    """The methods of ``owner`` under ``@on_event``, in the order they are written."""
    for name in _method_names(type(owner)):
        patterns = patterns_of(getattr(type(owner), name))
        if patterns:
            yield getattr(owner, name), patterns


def marked_timers(owner: object) -> Iterator[tuple[Callable[[], object], TimerSpec]]:
    """The methods of ``owner`` under ``@every``, in the order they are written."""
    for name in _method_names(type(owner)):
        timer = getattr(getattr(type(owner), name), _TIMER, None)
        if timer is not None:
            yield getattr(owner, name), timer


def _method_names(of: type) -> dict[str, None]:
    """All names in the class, the oldest base first, each once."""
    return {name: None for base in reversed(of.__mro__) for name in vars(base)}


def redis_glob(pattern: str) -> str:
    r"""The pattern for ``PSUBSCRIBE``, to which ``? [ \`` are special too."""
    return re.sub(r"([\\?\[])", r"\\\1", pattern)


class Route(msgspec.Struct, frozen=True):
    """One handler and the patterns it asked for."""

    function: Callable[[Event], object]
    """Called with the event."""
    patterns: tuple[str, ...]
    """In the order given."""


class Router:
    """The handlers of one agent.

    Redis sends a message once for each pattern it matches; the router gives each
    copy to those handlers for which this pattern is their first that matches. So
    every handler gets every event exactly once.

    Args:
        handlers: each with its patterns.
    """

    def __init__(
        self, handlers: Iterable[tuple[Callable[[Event], object], tuple[str, ...]]] = ()
    ) -> None:
        self._routes = [Route(function, patterns) for function, patterns in handlers]
        self._cache: dict[tuple[str, str], tuple[Callable[[Event], object], ...]] = {}

    def add(self, function: Callable[[Event], object], patterns: tuple[str, ...]) -> None:
        """Register a handler."""
        self._routes.append(Route(function, patterns))

    def patterns(self) -> tuple[str, ...]:
        """All patterns, each once."""
        return tuple(dict.fromkeys(p for route in self._routes for p in route.patterns))

    def handlers(self, pattern: str, channel: str) -> tuple[Callable[[Event], object], ...]:
        """Who gets the copy of a message on ``channel`` that came for ``pattern``."""
        key = (pattern, channel)
        if key not in self._cache:
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[key] = tuple(
                route.function for route in self._routes if _first(route, channel) == pattern
            )
        return self._cache[key]


def _first(route: Route, channel: str) -> str | None:
    return next((p for p in route.patterns if matches(p, channel)), None)
