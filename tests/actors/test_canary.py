import pytest
from orchestrator.actors.canary import Canaries, is_canary_channel
from orchestrator.actors.messages.heartbeat_monitor import Canary
from orchestrator.protocol.patterns import matches


def test_the_channel_is_the_data_directorys_and_the_payload_the_processs() -> None:
    before, after = Canaries("word"), Canaries("word")
    payload = before.next("control", 5.0)

    assert after.channel == before.channel
    assert Canaries("other").channel != before.channel
    assert before.read("control", before.channel, payload) == Canary("control", 5.0)
    assert after.read("control", after.channel, payload) is None
    assert after.foreign == 1


def test_the_channel_is_none_of_the_users_and_the_pattern_is_that_of_the_right() -> None:
    canaries = Canaries("word")

    assert canaries.channel.startswith(b"orchestrator.canary.")
    assert canaries.pattern == b"orchestrator.canary.*"
    assert matches(canaries.pattern.decode(), canaries.channel.decode())


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"canary": "x"}', b"\xff", b"[" * 100_000])
def test_anything_else_on_its_channel_is_foreign(payload: bytes) -> None:
    canaries = Canaries("word")

    assert canaries.read("data", canaries.channel, payload) is None
    assert canaries.foreign == 1


def test_a_copy_by_the_other_connection_does_not_count() -> None:
    canaries = Canaries("word")

    assert canaries.read("data", canaries.channel, canaries.next("control", 1.0)) is None
    assert canaries.foreign == 0


def test_what_is_on_another_channel_is_nothing() -> None:
    canaries = Canaries("word")
    payload = canaries.next("control", 1.0)

    assert canaries.read("control", b"orchestrator.canary.other", payload) is None
    assert canaries.foreign == 0


def test_no_two_are_alike() -> None:
    canaries = Canaries("word")

    assert canaries.next("data", 1.0) != canaries.next("data", 1.0)


@pytest.mark.parametrize(
    ("channel", "is_one"),
    [
        ("orchestrator.canary.x", True),
        (f"heartbeat.canary-{'0' * 32}", True),  # as former versions sent them
        ("heartbeat.canary-1", False),
        ("orchestrator.other", False),
        ("data.market.x", False),
    ],
)
def test_canaries_of_any_daemon_are_known_by_their_channel(channel: str, is_one: bool) -> None:
    assert is_canary_channel(channel) is is_one
