"""Whether the methods of an agent can be called as the kit calls them; found when it is written."""

import inspect
from collections.abc import Callable
from typing import Any, Final

from .errors import BadAgent
from .routing import is_timer, patterns_of

HOOKS: Final = {
    "on_start": (),
    "on_stop": (),
    "on_halt": ("halt",),
    "on_killswitch": ("engaged", "message"),
    "on_reconnect": ("away_s",),
}
"""Hook → what it is called with."""


def check_methods(of: type) -> None:
    """Check the hooks, handlers and timers that a class itself defines.

    Raises:
        BadAgent: one of them is ``async``, a generator, or takes other arguments.
    """
    for name, member in vars(of).items():
        function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        wanted = _wanted(name, function)
        if wanted is not None and callable(function):
            owner = () if isinstance(member, staticmethod) else ("self",)
            _check(f"{of.__name__}.{name}", function, (*owner, *wanted))


def check_function(function: Callable[..., Any], *wanted: str) -> None:
    """Check a function that is registered at run time; ``wanted`` is what it is called with.

    Raises:
        BadAgent: as `check_methods`.
    """
    _check(getattr(function, "__qualname__", repr(function)), function, wanted)


def _wanted(name: str, function: Any) -> tuple[str, ...] | None:
    if patterns_of(function):
        return ("event",)
    if is_timer(function):
        return ()
    return HOOKS.get(name)


def _check(name: str, function: Callable[..., Any], wanted: tuple[str, ...]) -> None:
    written = inspect.unwrap(function)
    if inspect.iscoroutinefunction(written) or inspect.isasyncgenfunction(written):
        raise BadAgent(f"{name} is async, but the kit calls plain functions: write def")
    if inspect.isgeneratorfunction(written):
        raise BadAgent(f"{name} has a yield: called as a method, nothing of it would run")
    try:
        inspect.signature(function).bind(*wanted)
    except TypeError as error:
        given = ", ".join(wanted)
        raise BadAgent(f"{name} is called with ({given}): {error}") from None
    except ValueError:  # built in, without a signature
        return
