"""OTP's rules as pure functions: who is restarted, who with it, and when a supervisor is done.

The words are Erlang/OTP's (``supervisor``'s flags and child specifications), unchanged.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import assert_never


class Restart(StrEnum):
    """Which ends of a child are followed by a restart."""

    PERMANENT = "permanent"
    """Every end."""
    TRANSIENT = "transient"
    """Failures only."""
    TEMPORARY = "temporary"
    """None."""


class Strategy(StrEnum):
    """Who is restarted with a failed child."""

    ONE_FOR_ONE = "one_for_one"
    """Nobody."""
    ONE_FOR_ALL = "one_for_all"
    """All its siblings."""
    REST_FOR_ONE = "rest_for_one"
    """Those started after it."""


class Shutdown(StrEnum):
    """How a child is stopped, if not within a number of seconds."""

    BRUTAL_KILL = "brutal_kill"
    """It is killed at once, without a word."""
    INFINITY = "infinity"
    """It may take as long as it likes: for supervisors, whose children have limits."""


class AutoShutdown(StrEnum):
    """When a supervisor ends because ``significant`` children have ended by themselves."""

    NEVER = "never"
    """Never; no child may be significant."""
    ANY_SIGNIFICANT = "any_significant"
    """When the first of them has."""
    ALL_SIGNIFICANT = "all_significant"
    """When the last of them has."""


def is_restarted(restart: Restart, *, failed: bool) -> bool:
    """Whether a child that ended by itself is started again."""
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return failed
        case Restart.TEMPORARY:
            return False
        case _:
            assert_never(restart)


def group(strategy: Strategy, count: int, failed: int) -> range:
    """The places of the children that are stopped and started when the one at ``failed`` fails."""
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return range(failed, failed + 1)
        case Strategy.ONE_FOR_ALL:
            return range(count)
        case Strategy.REST_FOR_ONE:
            return range(failed, count)
        case _:
            assert_never(strategy)


def shuts_down(auto: AutoShutdown, others_alive: Iterable[bool]) -> bool:
    """Whether a supervisor ends after a significant child has ended and is not restarted.

    Args:
        auto: The supervisor's flag.
        others_alive: For each other significant child whether it lives or will again.
    """
    match auto:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return True
        case AutoShutdown.ALL_SIGNIFICANT:
            return not any(others_alive)
        case _:
            assert_never(auto)
