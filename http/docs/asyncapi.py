"""``/asyncapi.json``: AsyncAPI 3.1, the bus and the WebSocket, written from types and one table."""

import re
from typing import Any, Final, NamedTuple

import msgspec

from ..etag import REVALIDATE, tag_of, unless_known
from ..requests import Call
from ..routes import Answer, Route, json_answer
from .bus_messages import (
    ActorRestarted,
    AgentEvent,
    Candidate,
    Dropped,
    Gap,
    Heartbeat,
    Killswitch,
    Quote,
    RegimeReport,
    Rejected,
    RuleBroken,
    Traced,
)
from .feed_messages import FROM_CLIENT, TO_CLIENT, StreamQuery
from .json_schema import Schemas, plain

Shape = type[msgspec.Struct]


class BusChannel(NamedTuple):
    """One kind of channel on Redis."""

    key: str
    """Its name in the document."""
    address: str
    """The channel; a part in braces varies."""
    shape: Shape
    """What is published there."""
    summary: str
    """One line."""
    published: bool = False
    """Whether the daemon publishes there too."""


BUS: Final = (
    BusChannel("quotes", "data.market.{symbol}.{timeframe}", Quote, "Prices."),
    BusChannel("news", "news.signal.entity", Traced, "News about an entity."),
    BusChannel("regime", "quant.regime.state", RegimeReport, "The market regime."),
    BusChannel("candidates", "strategy.candidate", Candidate, "What strategies propose."),
    BusChannel("strategies", "strategy.{name}", Traced, "Whatever else strategies say."),
    BusChannel("killswitch", "risk.killswitch", Killswitch, "The stop.", published=True),
    BusChannel("risk", "risk.{name}", Traced, "Whatever else risk management says."),
    BusChannel("heartbeats", "heartbeat.{agent_id}", Heartbeat, "Signs of life of agents."),
)
"""The channels that the daemon subscribes to by default."""

_PARAMETERS: Final = {
    "symbol": "The symbol, such as AAPL.",
    "timeframe": "1m, 5m or 15m.",
    "name": "Any; may have dots.",
    "agent_id": "The agent's id.",
}

OWN_EVENTS: Final[dict[str, Shape]] = {
    "agent.online": AgentEvent,
    "agent.offline": AgentEvent,
    "agent.error": AgentEvent,
    "runtime.actor_restarted": ActorRestarted,
    "bus.gap": Gap,
    "bus.rejected": Rejected,
    "bus.dropped": Dropped,
    "risk.rule": RuleBroken,
}
"""Types of events that the daemon makes itself: stored and shown, never on the bus."""

_ABOUT: Final = (
    "The bus (Redis or Valkey, PUBLISH of JSON) as the daemon hears it, and its WebSocket. REST "
    "is described in `/openapi.json`. Events that the daemon makes itself are in "
    "`x-stored-events`: they come as `redis_event` frames."
)
_SOCKET: Final = (
    "JSON text frames, one event a frame; permessage-deflate if a client offers it. One that does "
    "not answer pings for 60 s is closed. Close codes: 1001 going away, 1002 no proper frame, "
    "1007 not UTF-8, 1008 policy, 1009 too big, 1013 try again later. Refusals come before the "
    "upgrade, as HTTP errors."
)


class AsyncApi:
    """The document, made once, when it is first asked for."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._answer: Answer | None = None

    @Route("GET", "/asyncapi.json", {200: dict[str, Any]}, etag=True)
    def show(self, call: Call) -> Answer:
        """The bus and the WebSocket, described.

        AsyncAPI 3: channels on Redis, and the WebSocket's frames.
        """
        if self._answer is None:
            self._answer = json_answer(asyncapi_document(self._version))
        return unless_known(call.environ, self._answer, tag_of(self._answer.body), (REVALIDATE,))


def asyncapi_document(version: str) -> dict[str, Any]:
    """The AsyncAPI document."""
    shapes: list[Shape] = [
        *dict.fromkeys(channel.shape for channel in BUS),
        *TO_CLIENT,
        *FROM_CLIENT,
    ]
    schemas = Schemas([*shapes, *OWN_EVENTS.values(), StreamQuery])
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Orchestrator",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "bus": _server("redis", "6379", "Redis or Valkey."),
            "daemon": _server("ws", "8090", "The daemon; wss behind TLS."),
        },
        "channels": {channel.key: _bus_channel(channel) for channel in BUS}
        | {"stream": _stream("/ws", schemas), "streamAtRoot": _stream("/", schemas)},
        "operations": _operations(),
        "components": {
            "messages": {kind.__name__: _message(kind, schemas) for kind in shapes},
            "schemas": schemas.components,
        },
        "x-stored-events": {name: schemas.of(kind) for name, kind in OWN_EVENTS.items()},
    }


def _server(protocol: str, port: str, description: str) -> dict[str, Any]:
    return {
        "host": "{host}:{port}",
        "protocol": protocol,
        "description": description,
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": port}},
    }


def _message(kind: Shape, schemas: Schemas) -> dict[str, Any]:
    info = kind.__struct_config__
    return {
        "name": str(info.tag) if info.tag is not None else kind.__name__,
        "summary": plain(kind.__doc__ or "").split("\n")[0],
        "contentType": "application/json",
        "payload": schemas.of(kind),
    }


# -- channels ----------------------------------------------------------------------------------


def _bus_channel(channel: BusChannel) -> dict[str, Any]:
    made: dict[str, Any] = {
        "address": channel.address,
        "description": channel.summary,
        "servers": [{"$ref": "#/servers/bus"}],
        "messages": _messages(channel.shape),
    }
    if names := re.findall(r"\{(\w+)\}", channel.address):
        made["parameters"] = {name: {"description": _PARAMETERS[name]} for name in names}
    return made


def _stream(address: str, schemas: Schemas) -> dict[str, Any]:
    query = schemas.components[StreamQuery.__name__]
    return {
        "address": address,
        "description": _SOCKET,
        "servers": [{"$ref": "#/servers/daemon"}],
        "messages": _messages(*TO_CLIENT, *FROM_CLIENT),
        "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    }


def _messages(*kinds: Shape) -> dict[str, Any]:
    names = [kind.__name__ for kind in kinds]
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


# -- operations --------------------------------------------------------------------------------


def _operations() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for channel in BUS:
        made[f"hear_{channel.key}"] = _operation("receive", channel.key, (channel.shape,))
        if channel.published:
            made[f"publish_{channel.key}"] = _operation("send", channel.key, (channel.shape,))
    for key in ("stream", "streamAtRoot"):
        made[f"show_{key}"] = _operation("send", key, TO_CLIENT)
        made[f"obey_{key}"] = _operation("receive", key, FROM_CLIENT)
    return made


def _operation(action: str, channel: str, kinds: tuple[Shape, ...]) -> dict[str, Any]:
    """``action`` is the daemon's: what it receives, others publish or send."""
    base = f"#/channels/{channel}"
    return {
        "action": action,
        "channel": {"$ref": base},
        "messages": [{"$ref": f"{base}/messages/{kind.__name__}"} for kind in kinds],
    }
