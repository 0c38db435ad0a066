import pytest
from orchestrator.actors.canary import Canaries
from orchestrator.actors.messages.heartbeat_monitor import Canary

LANES = {
    "control": ("risk.*", "heartbeat.*"),
    "data": ("news.signal.entity", "data.market.*", "strategy.*"),
}


def test_each_connection_has_a_channel_that_its_own_pattern_matches_heartbeats_first() -> None:
    canaries = Canaries("word", LANES)

    assert canaries.channels["control"].startswith(b"heartbeat.canary-")
    assert canaries.channels["data"].startswith(b"data.market.canary-")


def test_the_channel_is_the_data_directorys_and_the_payload_the_processs() -> None:
    before, after = Canaries("word", LANES), Canaries("word", LANES)
    channel = before.channels["control"]
    payload = before.next("control", 5.0)

    assert after.channels == before.channels
    assert Canaries("other", LANES).channels != before.channels
    assert before.read(channel, payload) == Canary("control", 5.0)
    assert after.read(channel, payload) is None
    assert after.foreign == 1


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"canary": "x"}', b"\xff", b"[" * 100_000])
def test_anything_else_on_its_channel_is_foreign(payload: bytes) -> None:
    canaries = Canaries("word", LANES)

    assert canaries.read(canaries.channels["data"], payload) is None


def test_a_copy_by_the_other_connections_channel_does_not_count() -> None:
    canaries = Canaries("word", LANES)

    assert canaries.read(canaries.channels["data"], canaries.next("control", 1.0)) is None


def test_a_connection_without_a_wildcard_of_its_own_has_none() -> None:
    canaries = Canaries("word", {"control": ("*",), "data": ("risk.*", "strategy.candidate")})

    assert list(canaries.channels) == ["control"]


def test_no_two_are_alike() -> None:
    canaries = Canaries("word", LANES)

    assert canaries.next("data", 1.0) != canaries.next("data", 1.0)
