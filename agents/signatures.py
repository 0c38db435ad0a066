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


def check_methods(of: type, *, takes_async: bool = False) -> None:
    """Check the hooks, handlers and timers that a class itself defines.

    Raises:
        BadAgent: one of them is ``async``, a generator, or takes other arguments.
    """
    for name, member in vars(of).items():
        function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
        wanted = _wanted(name, function)
        if wanted is not None and callable(function):
            owner = () if isinstance(member, staticmethod) else ("self",)
            called = f"{of.__name__}.{name}"
            _check(called, function, (*owner, *wanted), takes_async=takes_async)


def check_function(function: Callable[..., Any], *wanted: str, takes_async: bool = False) -> None:
    """Check a function that is registered at run time; ``wanted`` is what it is called with.

    Raises:
        BadAgent: as `check_methods`.
    """
    name = getattr(function, "__qualname__", repr(function))
    _check(name, function, wanted, takes_async=takes_async)


def _wanted(name: str, function: Any) -> tuple[str, ...] | None:
    if patterns_of(function):
        return ("event",)
    if is_timer(function):
        return ()
    return HOOKS.get(name)


def _check(
    name: str, function: Callable[..., Any], wanted: tuple[str, ...], *, takes_async: bool
) -> None:
    written = inspect.unwrap(function)
    lazy = inspect.isasyncgenfunction(written)
    if not takes_async and (lazy or inspect.iscoroutinefunction(written)):
        raise BadAgent(f"{name} is async: write def, or make the class an AsyncAgent")
    if lazy or inspect.isgeneratorfunction(written):
        raise BadAgent(f"{name} has a yield: called as a method, nothing of it would run")
    try:
        inspect.signature(function).bind(*wanted)
    except TypeError as error:
        given = ", ".join(wanted)
        raise BadAgent(f"{name} is called with ({given}): {error}") from None
    except ValueError:  # built in, without a signature
        return
