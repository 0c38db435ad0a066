import base64
from typing import Any

import msgspec
import pytest
from orchestrator.actors.event_persister.batch import Draft
from orchestrator.actors.event_persister.ingest import Ingest
from orchestrator.actors.events import NewEvent
from orchestrator.actors.messages.durable_stream import StreamItem
from orchestrator.actors.payloads import Cut, Envelope, examine, reject
from orchestrator.sql.events.stream_position import StreamPosition

from ...hostile import HOSTILE

PATTERNS = ["data.market.*", "strategy.*", "risk.*", "heartbeat.*", "data.*"]
TS = "2026-01-31T09:30:00.123Z"


def reply(channel: str, payload: bytes, pattern: str | None = None) -> list[bytes]:
    pattern = pattern or next(p for p in PATTERNS if channel.startswith(p[:-1]))
    return [b"pmessage", pattern.encode(), channel.encode(), payload]


def form(*replies: list[bytes], ingest: Ingest | None = None) -> Draft:
    draft = Draft()
    (ingest or Ingest(PATTERNS)).add_replies(draft, "data", list(replies), ts=TS, now=0.0)
    return draft


def only(draft: Draft) -> Any:
    (event,) = draft.events([7])
    return event


def test_the_type_is_the_channel_and_the_payload_stays_as_published() -> None:
    event = only(form(reply("data.market.AAPL.1m", b'{"source": "q",  "price": 1.50}')))

    assert event.type == "data.market.AAPL.1m"
    assert event.payload == b'{"source": "q",  "price": 1.50}'
    assert event.source == "q"
    assert event.ts == TS
    assert event.id == 7


@pytest.mark.parametrize(
    ("channel", "payload", "source"),
    [
        ("strategy.candidate", b'{"source": "a", "agent_id": "b"}', "a"),
        ("strategy.candidate", b'{"agent_id": "b"}', "b"),
        ("strategy.candidate", b'{"source": "", "agent_id": 5}', None),
        ("strategy.candidate", b"[1]", None),
        ("heartbeat.dev-1", b"{}", "dev-1"),
        ("heartbeat.dev-1", b'{"agent_id": "other"}', "other"),
        ("heartbeat.", b"{}", None),
    ],
)
def test_the_source_follows_the_contract(channel: str, payload: bytes, source: str | None) -> None:
    assert only(form(reply(channel, payload))).source == source


def test_heartbeats_share_one_type() -> None:
    assert only(form(reply("heartbeat.dev-1", b"{}"))).type == "heartbeat"


def test_of_several_matching_patterns_the_first_configured_one_counts() -> None:
    ingest = Ingest(PATTERNS)
    first = reply("data.market.X", b"{}", "data.market.*")
    second = reply("data.market.X", b"{}", "data.*")

    draft = form(second, first, second, ingest=ingest)

    assert len(draft) == 1
    assert ingest.copies == {"data": 2}


def test_a_channel_that_only_redis_matches_counts_by_the_pattern_that_brought_it() -> None:
    ingest = Ingest(PATTERNS)

    assert len(form(reply("odd", b"{}", "o?d"), ingest=ingest)) == 1


def test_a_pattern_with_a_character_that_redis_escapes_is_recognised() -> None:
    ingest = Ingest(("odd?.*",))

    draft = form([b"pmessage", b"odd\\?.*", b"odd?.x", b"{}"], ingest=ingest)

    assert len(draft) == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [(b"{", "not JSON"), (b'"\\u0000"', "contains"), (b"\xff", "not"), (b"", "not JSON")],
)
def test_what_postgresql_cannot_keep_becomes_rejected_before_it_has_an_id(
    payload: bytes, reason: str
) -> None:
    draft = form(reply("strategy.x", payload), reply("strategy.x", b"{}"))

    rejected, accepted = draft.events([1, 2])
    said = msgspec.json.decode(rejected.payload)
    assert rejected.type == "bus.rejected"
    assert rejected.source is None
    assert said["channel"] == "strategy.x"
    assert said["reason"].startswith(reason)
    assert said["size"] == len(payload)
    assert base64.b64decode(said["raw"]) == payload
    assert draft.rejected == 1
    assert accepted.type == "strategy.x"


def test_only_the_first_4_kib_of_a_rejected_payload_are_kept() -> None:
    said = msgspec.json.decode(reject("c", b"x" * 9000, "no"))

    assert said["size"] == 9000
    assert base64.b64decode(said["raw"]) == b"x" * 4096


def test_channels_that_are_no_text_for_postgresql_are_rejected() -> None:
    draft = form(
        [b"pmessage", b"risk.*", b"risk.\xff", b"{}"],
        [b"pmessage", b"risk.*", b"risk.a\x00b", b"{}"],
    )

    reasons = [msgspec.json.decode(event.payload)["reason"] for event in draft.events([1, 2])]
    assert reasons == ["the channel is not UTF-8", "the channel contains NUL"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_rejection_of_whatever_name_can_be_stored_itself(text: str) -> None:
    channel = b"strategy." + text.encode("utf-8", "surrogatepass")

    event = only(form([b"pmessage", b"strategy.*", channel, b"{"]))

    assert event.type == "bus.rejected"
    assert examine(event.payload).reason is None
    assert len(event.payload) < 2000


@pytest.mark.parametrize(
    ("channel", "payload", "reason"),
    [
        ("strategy." + "x" * 503, b"{}", None),
        ("strategy." + "x" * 504, b"{}", "the channel is longer than 512 bytes"),
        ("strategy." + "\xe9" * 252, b"{}", "the channel is longer than 512 bytes"),
        ("strategy.x", msgspec.json.encode({"source": "s" * 512}), None),
        ("strategy.x", msgspec.json.encode({"source": "s" * 513}), "a source or agent id"),
        ("heartbeat.x", msgspec.json.encode({"agent_id": "\xe9" * 257}), "a source or agent id"),
        ("heartbeat.x", msgspec.json.encode({"source": "s", "agent_id": "a" * 513}), "a source or"),
        ("heartbeat." + "x" * 503, b"{}", "the channel is longer than 512 bytes"),
    ],
)
def test_longer_names_than_the_contracts_are_rejected(
    channel: str, payload: bytes, reason: str | None
) -> None:
    event = only(form(reply(channel, payload)))

    if reason is None:
        assert event.type == channel
    else:
        assert event.type == "bus.rejected"
        assert msgspec.json.decode(event.payload)["reason"].startswith(reason)


def test_an_event_of_the_daemons_own_names_its_source_itself() -> None:
    ingest, draft = Ingest(PATTERNS), Draft()

    assert (
        ingest.add_event(draft, "daemon", NewEvent("agent.online", b'{"source": "x"}', "me"), TS)
        is None
    )
    assert (
        ingest.add_event(draft, "daemon", NewEvent("agent.online", b'{"source": "x"}'), TS) is None
    )
    reason = ingest.add_event(draft, "daemon", NewEvent("agent.online", b"{"), TS)

    first, second, third = draft.events([1, 2, 3])
    assert (first.source, second.source) == ("me", "x")
    assert third.type == "bus.rejected"
    assert reason is not None


def test_echoes_of_our_own_are_left_out_once() -> None:
    ingest = Ingest(PATTERNS)
    ingest.expected_echoes.expect(b"risk.killswitch", b'{"enabled":true}', now=0.0)
    own = reply("risk.killswitch", b'{"enabled":true}')

    draft = form(own, own, reply("risk.killswitch", b'{"enabled": true}'), ingest=ingest)

    assert len(draft) == 2
    assert ingest.echoes == {"data": 1}


def test_what_is_no_message_at_all_is_kept_as_rejected() -> None:
    event = only(form([b"odd"]))

    assert event.type == "bus.rejected"
    assert msgspec.json.decode(event.payload)["reason"] == "not a message of the bus"


def test_new_channels_for_ever_do_not_fill_memory() -> None:
    ingest = Ingest(PATTERNS)
    form(*(reply(f"strategy.{n}", b"{}") for n in range(10_050)), ingest=ingest)

    assert len(ingest._channels) < 10_000


def test_a_moved_event_keeps_all_but_its_id() -> None:
    original = only(form(reply("strategy.x", b'{"source":"s"}')))
    draft = Draft()

    Ingest(PATTERNS).add_stored(draft, original)

    assert only(draft) == original


def test_a_heartbeat_that_names_another_source_keeps_its_channel() -> None:
    draft = form(reply("heartbeat.a1", b'{"source":"somebody"}'), reply("heartbeat.a2", b"{}"))

    assert [(event.source, event.channel) for event in draft.events([1, 2])] == [
        ("somebody", "heartbeat.a1"),
        ("a2", None),
    ]


def test_a_canary_of_another_daemon_is_nobodys_event() -> None:
    assert len(form(reply(f"heartbeat.canary-{'0' * 32}", b'{"canary":"x"}'))) == 0


def test_answers_are_nobodys_event_whatever_the_settings_say() -> None:
    ingest = Ingest(["*"])
    answer = StreamItem(None, channel=b"reply.buyer-1.7", payload=b"{}")

    heard = form(
        reply("reply.buyer-1.7", b"{}", "*"), reply("orchestrator.x", b"{}", "*"), ingest=ingest
    )
    durable = Draft()
    ingest.add_item(durable, answer, ts="2026-01-31T09:30:00.000Z", now=0.0)

    assert len(heard) == 0
    assert [event.type for event in durable.events([7])] == ["bus.rejected"]


def test_of_what_was_cut_the_whole_size_is_told() -> None:
    replies = [
        [b"pmessage", b"strategy.*", b"strategy.big", Cut(b"x" * 4096, 100 * 1024 * 1024)],
        [b"pmessage", b"strategy.*", Cut(b"strategy." + b"y" * 4000, 2 * 1024 * 1024), b"{}"],
    ]
    draft, ingest = Draft(), Ingest(["strategy.*"])

    ingest.add_replies(draft, "data", replies, ts=TS, now=0.0)

    large, long_name = (msgspec.json.decode(payload) for payload in draft.payloads)
    assert draft.types == ["bus.rejected"] * 2
    assert large["size"] == 100 * 1024 * 1024
    assert large["reason"] == "larger than 1048576 bytes"
    assert base64.b64decode(large["raw"]) == b"x" * 4096
    assert long_name["reason"] == "the channel is larger than 1048576 bytes"


def test_what_was_cut_is_never_taken_for_an_echo_of_its_beginning() -> None:
    draft, ingest = Draft(), Ingest(["strategy.*"])
    ingest.expected_echoes.expect(b"strategy.big", b"x" * 4096, 0.0)
    reply = [b"pmessage", b"strategy.*", b"strategy.big", Cut(b"x" * 4096, 5_000_000)]

    ingest.add_replies(draft, "data", [reply], ts=TS, now=0.0)

    assert draft.types == ["bus.rejected"]


def test_a_posted_payload_that_was_examined_is_not_examined_again() -> None:
    ingest, draft = Ingest(PATTERNS), Draft()
    examined = NewEvent("strategy.x", b"not looked at", envelope=Envelope("me", None))

    ingest.add_event(draft, "daemon", examined, TS)
    ingest.add_event(draft, "daemon", NewEvent("strategy.x", b"not JSON"), TS)

    first, second = draft.events([1, 2])
    assert (first.type, first.source, first.payload) == ("strategy.x", "me", b"not looked at")
    assert second.type == "bus.rejected"


@pytest.mark.parametrize(
    ("position", "came_from"), [(StreamPosition(ms=5), "orchestrator:events"), (None, None)]
)
def test_a_stop_says_that_the_stream_brought_it(
    position: StreamPosition | None, came_from: str | None
) -> None:
    draft, ingest = Draft(), Ingest(PATTERNS)
    other = StreamItem(StreamPosition(ms=4), b"strategy.x", b"{}")
    stop = StreamItem(position, b"risk.killswitch", b"{}")
    broken = StreamItem(position, b"risk.killswitch", b"{")

    for item in (other, stop, broken):
        ingest.add_item(draft, item, ts=TS, now=0.0)

    events = draft.events(range(3))
    assert [event.channel for event in events] == [None, came_from, came_from]
    assert only(form(reply("risk.killswitch", b"{}"))).channel is None
