"""Whether the server is a master: asked after each dial, and each second on the publisher.

A replica takes a PUBLISH and a subscription like its master, and a Sentinel a subscription; what is
published there does not reach the master's subscribers, and at a Sentinel nothing ever arrives.
Pure but for :func:`ask_role`.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

ROLE_S: Final = 1.0
"""How often the publisher asks; each reply also proves that its connection works."""


class RoleKind(StrEnum):
    """What a server is."""

    MASTER = "master"
    REPLICA = "replica"
    SENTINEL = "sentinel"
    UNKNOWN = "unknown"


_KINDS: Final = {
    "master": RoleKind.MASTER,
    "slave": RoleKind.REPLICA,
    "replica": RoleKind.REPLICA,
    "sentinel": RoleKind.SENTINEL,
}


class ServerRole(msgspec.Struct, frozen=True):
    """A server's role, as it says itself."""

    kind: RoleKind = RoleKind.UNKNOWN
    """What it is."""
    of: str | None = None
    """A replica's master, ``host:port``."""

    @property
    def elsewhere(self) -> bool:
        """Whether it says that the master is another server; one that says nothing may be it."""
        return self.kind in {RoleKind.REPLICA, RoleKind.SENTINEL}

    @property
    def trouble(self) -> str | None:
        """What is wrong with it for a bus; ``None`` at a master."""
        match self.kind:
            case RoleKind.MASTER:
                return None
            case RoleKind.REPLICA:
                master = f" of {self.of}" if self.of else ""
                return f"the server is a replica{master}: what is published there reaches no agent"
            case RoleKind.SENTINEL:
                return "the server is a Sentinel, which carries no events: name its master instead"
            case RoleKind.UNKNOWN:
                return "the server does not say whether it is a master (ROLE, INFO replication)"


def ask_role(ask: Callable[..., Any]) -> ServerRole:
    """Ask a server for its role.

    Args:
        ask: Sends one command; returns its reply, or None if the server refuses it. ``ROLE`` needs
            a right that accounts often lack; ``INFO replication`` says the same.
    """
    reply = ask("ROLE")
    if isinstance(reply, list) and reply:
        return _of_reply([_text(item) for item in reply])
    return read_role(_text(ask("INFO", "replication")))


def read_role(info: str) -> ServerRole:
    """The role out of ``INFO replication``."""
    fields = dict(re.findall(r"^(\w+):(\S*)\r?$", info, re.MULTILINE))
    kind = _KINDS.get(fields.get("role", ""), RoleKind.UNKNOWN)
    if kind is RoleKind.REPLICA and "master_host" in fields:
        return ServerRole(kind, f"{fields['master_host']}:{fields.get('master_port', '')}")
    return ServerRole(kind)


class RoleWatch:
    """The role as the publisher knows it; shared with the connections that read."""

    def __init__(self) -> None:
        self.role: ServerRole | None = None
        """At the last look; ``None`` before the first."""
        self.changes = 0
        """How often it has become another one: connections dialled before are dialled again."""

    def note(self, role: ServerRole) -> bool:
        """The server says so now. Returns whether that differs from before."""
        known, self.role = self.role, role
        changed = known is not None and known.kind is not role.kind
        self.changes += changed
        return changed


def _of_reply(reply: list[str]) -> ServerRole:
    kind = _KINDS.get(reply[0], RoleKind.UNKNOWN)
    if kind is RoleKind.REPLICA and len(reply) > 2:  # noqa: PLR2004 name, host, port, …
        return ServerRole(kind, f"{reply[1]}:{reply[2]}")
    return ServerRole(kind)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value) if isinstance(value, str | int) else ""
