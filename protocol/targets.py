"""Level and scope: how hard a stop is, and whom it concerns (contract, part 1)."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

ALL: Final = "all"
MAX_NAME_BYTES: Final = 512
"""The contract's limit for agent ids; groups have the same."""


class Level(StrEnum):
    """How hard."""

    HALT = "halt"
    REDUCE = "reduce"
    """No new positions."""


class Permission(StrEnum):
    """What an agent may do."""

    ALLOWED = "allowed"
    REDUCE = "reduce"
    HALT = "halt"


class Target(NamedTuple):
    """What a trip demands, of whom."""

    level: Level = Level.HALT
    scope: str = ALL
    """``all``, ``group:<g>`` or ``agent:<id>``."""

    def covers(self, other: "Target") -> bool:
        """Whether everything that ``other`` stops is stopped by this, as hard at least."""
        hard_enough = self.level is Level.HALT or other.level is Level.REDUCE
        return hard_enough and self.scope in (ALL, other.scope)

    def join(self, other: "Target") -> "Target":
        """The least that covers both, of what can be said: two scopes together are ``all``."""
        level = Level.HALT if Level.HALT in (self.level, other.level) else Level.REDUCE
        return Target(level, self.scope if self.scope == other.scope else ALL)

    def concerns(self, agent: str, group: str | None) -> bool:
        """Whether the agent is in the scope; one of unknown group (``None``) is in every group."""
        kind, _, name = self.scope.partition(":")
        if kind == "agent":
            return name == agent
        return kind == ALL or group is None or name == group


STOP_ALL: Final = Target()


def read_target(level: object, scope: object) -> Target:
    """Level and scope as someone wrote them; each is optional (``None``).

    A broken one makes it halt/all: a stop degrades, it is never refused for form.
    """
    if level not in (None, "halt", "reduce") or not (scope is None or is_scope(scope)):
        return STOP_ALL
    return Target(Level.HALT if level is None else Level(str(level)), str(scope or ALL))


def is_scope(scope: object) -> bool:
    """Whether this is ``all``, ``group:<g>`` or ``agent:<id>``; the name printable, not padded."""
    if not isinstance(scope, str):
        return False
    kind, _, name = scope.partition(":")
    return scope == ALL or (kind in ("group", "agent") and _is_name(name))


def strictest(targets: Iterable[Target], agent: str, group: str | None) -> Permission:
    """What remains allowed to an agent under all of ``targets``."""
    levels = {target.level for target in targets if target.concerns(agent, group)}
    if Level.HALT in levels:
        return Permission.HALT
    return Permission.REDUCE if levels else Permission.ALLOWED


def _is_name(name: str) -> bool:
    if not name or name != name.strip():
        return False
    if any(ord(sign) < ord(" ") or "\ud800" <= sign <= "\udfff" for sign in name):
        return False
    return len(name.encode()) <= MAX_NAME_BYTES
