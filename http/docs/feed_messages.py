"""The WebSocket's frames in both directions (contract, part 3); AsyncAPI is written from them.

`actors/broadcaster/frames.py` writes them faster than types could; a test holds the two together.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ...actors.messages.heartbeat_monitor import AgentView
from ...protocol.where import MAX_CHARS

Cursor = Annotated[int, Meta(ge=0)]


class _Frame(msgspec.Struct, frozen=True, tag_field="type"):
    """A frame to a client."""


class Connected(_Frame, frozen=True, tag="connection"):
    """The first frame of each connection."""

    status: Literal["connected"]
    message: str
    timestamp: str
    instance: str
    """The daemon's name."""
    env: str
    """`dev`, `paper`, `live`, …"""
    cursor: Cursor
    """The newest id."""


class RedisEvent(_Frame, frozen=True, tag="redis_event"):
    """An event, from the bus or the daemon's own."""

    id: int
    """Ascending, gaps allowed."""
    channel: str
    """The type, or `heartbeat.<source>`."""
    eventType: str  # noqa: N815 the contract's name
    """As it is stored."""
    source: str | None
    """Who published it."""
    data: Any
    """The payload as it was published."""
    timestamp: str
    """When the daemon read it."""
    replaces: Literal[True] | UnsetType = UNSET
    """A frame with this id came before; this one is right."""


class KillswitchActivated(_Frame, frozen=True, tag="killswitch_activated"):
    """Trading is stopped; comes past every filter and queue."""

    data: dict[str, Any]
    """The trip."""
    timestamp: str


class KillswitchReleased(_Frame, frozen=True, tag="killswitch_released"):
    """A trip was released; comes past every filter and queue."""

    data: dict[str, Any]
    """The trip."""
    timestamp: str


class AgentStatus(_Frame, frozen=True, tag="agent_status"):
    """An agent's row has changed."""

    data: AgentView
    """As in `/health/agents`."""


class StreamGap(_Frame, frozen=True, tag="gap", rename={"from_": "from"}):
    """This client was too slow, or resumed where nothing is read; fetch the rest with `since`."""

    from_: int
    """The first id left out."""
    to: int
    """The last id left out."""
    dropped: int
    """How many events that were; of those that could not be read: at most."""


class Subscribed(_Frame, frozen=True, tag="subscribed"):
    """The filter now in force."""

    types: list[str]
    """Patterns."""
    where: str | UnsetType = UNSET
    """The filter, if there is one."""


class Pong(_Frame, frozen=True, tag="pong"):
    """The answer to `ping`."""

    timestamp: str


class StreamError(_Frame, frozen=True, tag="error"):
    """What the client asked for cannot be; the connection stays."""

    error: str
    """Short: `bad_message`, `cursor_ahead`, …"""
    message: str
    """What to do."""


TO_CLIENT = (
    Connected,
    RedisEvent,
    KillswitchActivated,
    KillswitchReleased,
    AgentStatus,
    StreamGap,
    Subscribed,
    Pong,
    StreamError,
)
"""What the daemon sends."""


class Subscribe(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe"):
    """Replaces the filter of `redis_event`."""

    types: list[str]
    """Patterns; `*` matches any run of characters. None means all."""
    where: Annotated[str, Meta(min_length=1, max_length=MAX_CHARS)] | None = None
    """Of these only what this filter wants, such as `data.score >= 0.8`."""


class Ping(msgspec.Struct, frozen=True, tag_field="action", tag="ping"):
    """Asks for a `pong`."""


FROM_CLIENT = (Subscribe, Ping)
"""What a client may send; `http/stream/websocket.py` decodes these."""


class StreamQuery(msgspec.Struct, frozen=True):
    """The query of the WebSocket's address."""

    types: str | UnsetType = UNSET
    """Patterns, comma-separated; the same as `subscribe`."""
    where: str | UnsetType = UNSET
    """The same as in `subscribe`."""
    since: Cursor | UnsetType = UNSET
    """First every event after this id, in order, then the live ones."""
