"""The document of the bus and the stream says what really goes over them."""

import random
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from orchestrator.actors.broadcaster import frames
from orchestrator.actors.events import Event
from orchestrator.actors.payloads import reject
from orchestrator.agents.samples.dev import SYMBOLS, draw_candidate
from orchestrator.agents.samples.quotes import quote
from orchestrator.agents.samples.regime import RegimeOptions, analyse, judge
from orchestrator.http.docs.asyncapi import BUS, OWN_EVENTS, asyncapi_document
from orchestrator.http.docs.bus_messages import Candidate, Killswitch, Quote, RegimeReport, Rejected
from orchestrator.http.docs.feed_messages import FROM_CLIENT, TO_CLIENT, Ping, Subscribe
from orchestrator.protocol.announcement import Stamp, announcement
from orchestrator.protocol.trips import Stop, Trip
from orchestrator.settings.sections import BusSettings

from ..conftest import Served, frame, frame_where

NOW = "2026-01-31T09:30:00.123Z"
EVENT = Event(7, "strategy.test", b'{"a":1}', NOW, None)
TRIP = Trip("01J9", "a drill", "http:127.0.0.1", NOW)
STOP = Stop((TRIP,))
HEADER_LIMIT = 4
"""Bytes before the JSON of a short or medium frame."""

FRAMES = {
    "connection": frames.connection_frame(instance="desk", env="dev", cursor=3),
    "redis_event": frames.EventFrames().build(EVENT),
    "redis_event again": frames.EventFrames().build(EVENT, replaces=True),
    "killswitch_activated": frames.killswitch_frame(engaged=True, data=b'{"trip_id":"01J9"}'),
    "killswitch_released": frames.killswitch_frame(engaged=False, data=b'{"trip_id":"01J9"}'),
    "gap": frames.gap_frame(3, 9, 7),
    "subscribed": frames.subscribed_frame(["risk.*"]),
    "subscribed again": frames.subscribed_frame(["risk.*"], "data.score > 0"),
    "error": frames.error_frame("bad_message", "Send JSON."),
    "pong": frames.pong_frame(),
}


def fields_of(kind: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def shaped(told: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    """Fail unless `told` is a `kind` and has no field that the type lacks."""
    msgspec.convert(told, kind)
    tag = {kind.__struct_config__.tag_field} - {None}
    assert set(told) - tag <= fields_of(kind)


@pytest.mark.parametrize("name", FRAMES)
def test_each_frame_is_as_it_is_described(name: str) -> None:
    wire = FRAMES[name]
    told = msgspec.json.decode(wire[wire.index(b"{", 2, HEADER_LIMIT + 1) :])
    kinds = {kind.__struct_config__.tag: kind for kind in TO_CLIENT}

    assert told["type"] == name.split(maxsplit=1)[0]
    shaped(told, kinds[told["type"]])


def test_no_kind_of_frame_is_described_that_is_never_sent() -> None:
    described = {str(kind.__struct_config__.tag) for kind in TO_CLIENT}

    assert described == {name.split()[0] for name in FRAMES} | {"agent_status"}


def test_a_stream_shows_what_is_described(served: Served) -> None:
    kinds = {kind.__struct_config__.tag: kind for kind in TO_CLIENT}
    with served.socket(greeted=False) as client:
        shaped(frame(client), kinds["connection"])
        messages = (Subscribe(["*"], 'topic != "x"'), Ping())
        assert {*map(type, messages)} == {*FROM_CLIENT}
        for message in messages:
            client.send(msgspec.json.encode(message).decode())
        shaped(frame_where(client, type="subscribed"), kinds["subscribed"])
        shaped(frame_where(client, type="pong"), kinds["pong"])
        served.redis.publish("heartbeat.described", b'{"status": "active"}')
        shaped(frame_where(client, type="redis_event"), kinds["redis_event"])
        shaped(frame_where(client, type="agent_status"), kinds["agent_status"])


def _regime() -> dict[str, Any]:
    rng, options = random.Random(1), RegimeOptions()
    prices = [100 + rng.random() for _ in range(40)]
    judged = judge({"AAPL": analyse(prices, options)}, options)
    made: dict[str, Any] = msgspec.to_builtins(judged)
    return made


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: quote("AAPL", 190.0, "1m", random.Random(1)), Quote),
        (lambda: draw_candidate(random.Random(1), SYMBOLS), Candidate),
        (_regime, RegimeReport),
        (
            lambda: msgspec.json.decode(announcement(STOP, Stamp(NOW, 1, "b"), trip=TRIP)),
            Killswitch,
        ),
        (lambda: msgspec.json.decode(reject("risk.x", b"no", "not JSON")), Rejected),
    ],
)
def test_payloads_of_ours_are_as_they_are_described(
    make: Callable[[], dict[str, Any]], kind: type[msgspec.Struct]
) -> None:
    shaped(make(), kind)


def test_every_pattern_of_the_bus_has_its_channels_and_every_channel_its_pattern() -> None:
    settings = BusSettings()
    patterns = [*settings.control_patterns, *settings.data_patterns]
    matches = [re.compile(re.escape(one).replace(r"\*", ".*")).fullmatch for one in patterns]

    for channel in BUS:
        assert any(match(channel.address) for match in matches), channel.address
    for match in matches:
        assert any(match(channel.address) for channel in BUS), match


def test_own_events_are_told_beside_the_channels() -> None:
    made = asyncapi_document("1.2.3")

    assert set(made["x-stored-events"]) == set(OWN_EVENTS)


def test_operations_and_messages_lead_somewhere(served: Served) -> None:
    made = served.get("/asyncapi.json").json
    for operation in made["operations"].values():
        channel = made["channels"][operation["channel"]["$ref"].rsplit("/", 1)[1]]
        for message in operation["messages"]:
            name = message["$ref"].rsplit("/", 1)[1]
            assert channel["messages"][name]["$ref"] == f"#/components/messages/{name}"
            assert name in made["components"]["messages"]
