from typing import Any

import msgspec
import pytest
import redis
from orchestrator.agents import publisher as module
from orchestrator.agents.errors import BadOptions, BadPayload, BusUnavailable
from orchestrator.agents.publisher import (
    MAX_PAYLOAD_BYTES,
    SOCKET_TIMEOUT_S,
    STREAM,
    Publisher,
    connect,
)
from orchestrator.agents.surroundings import RedisBus

UNREACHABLE = "redis://127.0.0.1:1/0"


def publisher(url: str = UNREACHABLE) -> Publisher:
    return Publisher(RedisBus(url, SOCKET_TIMEOUT_S), agent_id="a-1", boot="b")


def stamped(publisher: Publisher, channel: str, payload: Any) -> Any:
    return msgspec.json.decode(publisher.stamp(channel, payload))


def test_what_a_payload_lacks_is_added() -> None:
    body = stamped(publisher(), "risk.x", {"symbol": "AAPL"})

    assert list(body) == ["symbol", "agent_id", "timestamp", "seq", "boot"]
    assert (body["agent_id"], body["seq"], body["boot"]) == ("a-1", 1, "b")


def test_what_a_payload_has_is_kept() -> None:
    given = {"agent_id": "x", "timestamp": "then", "correlation_id": "c", "causation_id": "d"}

    assert given.items() <= stamped(publisher(), "risk.x", given).items()


def test_seq_rises_by_one_for_each_source_and_channel() -> None:
    one = publisher()

    numbers = [
        stamped(one, channel, payload)["seq"]
        for channel, payload in [
            ("a", {}),
            ("b", {}),
            ("a", {}),
            ("a", {"source": "feed"}),
            ("a", {"source": ""}),
        ]
    ]

    assert numbers == [1, 1, 2, 1, 3]


def test_channels_beyond_the_bound_carry_no_seq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHANNELS", 1)
    one = publisher()

    assert "seq" in stamped(one, "a", {})
    assert "seq" not in stamped(one, "b", {})
    assert stamped(one, "a", {})["seq"] == 2


@pytest.mark.parametrize("payload", [[1], "text", None, {"x": object()}])
def test_only_json_objects_can_be_published(payload: Any) -> None:
    with pytest.raises(BadPayload, match=r"the payload for risk\.x is no"):
        publisher().publish("risk.x", payload)


def test_a_payload_that_the_daemon_would_reject_is_refused() -> None:
    with pytest.raises(BadPayload, match="over 1 MiB"):
        publisher().publish("risk.x", {"x": "y" * MAX_PAYLOAD_BYTES})


def test_a_url_that_is_none_is_refused_without_repeating_it() -> None:
    with pytest.raises(BadOptions, match="not usable") as caught:
        connect("http://:secret@host")
    assert "secret" not in str(caught.value)


def test_a_limit_in_the_url_does_not_replace_the_kits_own() -> None:
    with connect("redis://h:1?socket_timeout=60&decode_responses=true") as client:
        options = client.connection_pool.connection_kwargs

    assert options["socket_timeout"] == SOCKET_TIMEOUT_S
    assert options["decode_responses"] is False


def test_a_publish_without_a_server_fails_and_has_used_its_number() -> None:
    one = publisher()

    with pytest.raises(BusUnavailable, match=r"not published on risk\.x"):
        one.publish("risk.x", {})

    assert stamped(one, "risk.x", {})["seq"] == 2


@pytest.mark.redis
def test_a_publish_says_how_many_got_it(bus: Any) -> None:
    one = publisher(bus.url)

    assert one.publish("risk.x", {"n": 1}) == 1

    assert bus.wait_for("risk.x")["n"] == 1
    one.close()


@pytest.mark.redis
def test_a_durable_message_is_in_the_stream_and_published_with_the_same_bytes(
    redis_url: str,
) -> None:
    with redis.Redis.from_url(redis_url) as client, client.pubsub() as subscription:
        subscription.subscribe("risk.x")
        subscription.get_message(timeout=5)

        receivers = publisher(redis_url).publish("risk.x", {"n": 1}, durable=True)

        message = subscription.get_message(timeout=5)
        ((_entry_id, entry),) = client.xrange(STREAM)
    assert receivers == 1
    assert entry == {b"channel": b"risk.x", b"payload": message["data"]}
    assert msgspec.json.decode(message["data"])["durable"] is True
    assert msgspec.json.decode(message["data"])["seq"] == 1


def test_a_durable_payload_must_be_an_object_too() -> None:
    with pytest.raises(BadPayload):
        publisher().publish("risk.x", "text", durable=True)  # type: ignore[arg-type]


def test_what_redis_does_not_take_is_said_of_durable_messages_too() -> None:
    with pytest.raises(BusUnavailable):
        publisher().publish("risk.x", {}, durable=True)


def test_connections_are_named_after_their_agent_where_the_account_may(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, protocol=2) as admin:
        admin.acl_setuser("mute", enabled=True, nopass=True, channels=["*"], commands=["+publish"])
        try:
            named = RedisBus(redis_url, SOCKET_TIMEOUT_S, "named-1")
            mute = RedisBus(redis_url.replace("://", "://mute:x@"), SOCKET_TIMEOUT_S, "mute-1")
            given = connect(f"{redis_url}?client_name=mine", name="other")
            for bus in (named, mute):
                bus.send("strategy.x", b"{}", durable=False)
            given.publish("strategy.x", b"{}")

            names = {client["name"] for client in admin.client_list()}
            assert {"agent:named-1", "mine"} <= names
            assert not {"agent:mute-1", "other"} & names
            for client in (named, mute, given):
                client.close()
        finally:
            admin.acl_deluser("mute")
