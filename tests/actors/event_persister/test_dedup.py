import pytest
from orchestrator.actors.event_persister.dedup import (
    PATIENCE_S,
    REMEMBER_S,
    DurableCopies,
    EchoTable,
)

CHANNEL, PAYLOAD = b"strategy.x", b'{"durable": true}'
TS = "2026-01-31T09:30:00.000Z"


def test_a_copy_that_came_first_is_found_in_the_stream() -> None:
    copies = DurableCopies()
    copies.published(CHANNEL, PAYLOAD, TS, 0.0)

    assert copies.streamed(CHANNEL, PAYLOAD, 1.0)
    assert copies.due(100.0, 99.0) == []
    assert (copies.withheld, copies.found, len(copies)) == (1, 1, 0)


def test_a_copy_that_comes_after_its_entry_is_found_too() -> None:
    copies = DurableCopies()
    assert copies.streamed(CHANNEL, PAYLOAD, 0.0)
    copies.published(CHANNEL, PAYLOAD, TS, 1.0)

    assert copies.due(100.0, 99.0) == []
    assert copies.found == 1


def test_a_copy_that_the_stream_does_not_bring_is_given_after_ten_seconds_once() -> None:
    copies = DurableCopies()
    copies.published(CHANNEL, PAYLOAD, TS, 0.0)

    assert copies.due(9.9, 9.0) == []
    assert [copy.payload for copy in copies.due(10.0, 9.0)] == [PAYLOAD]
    assert copies.due(11.0, 10.0) == []
    assert copies.given_up == 1


def test_while_the_stream_cannot_be_read_a_copy_waits_longer() -> None:
    copies = DurableCopies()
    copies.published(CHANNEL, PAYLOAD, TS, 5.0)

    assert copies.due(20.0, 4.0) == []
    assert len(copies.due(5.0 + PATIENCE_S, 4.0)) == 1


def test_an_entry_that_comes_after_its_copy_was_stored_is_not_stored_again() -> None:
    copies = DurableCopies()
    copies.published(CHANNEL, PAYLOAD, TS, 0.0)
    copies.due(10.0, 9.0)

    assert not copies.streamed(CHANNEL, PAYLOAD, 11.0)
    assert copies.streamed(CHANNEL, PAYLOAD, 11.0)
    assert copies.repeated == 1


def test_equal_messages_count_as_often_as_they_came() -> None:
    copies = DurableCopies()
    for _ in range(3):
        copies.published(CHANNEL, PAYLOAD, TS, 0.0)
    assert [copies.streamed(CHANNEL, PAYLOAD, 1.0) for _ in range(2)] == [True, True]

    assert len(copies.due(10.0, 9.0)) == 1


def test_channels_tell_copies_apart() -> None:
    copies = DurableCopies()
    copies.published(CHANNEL, PAYLOAD, TS, 0.0)

    copies.streamed(b"strategy.y", PAYLOAD, 1.0)

    assert len(copies) == 1


@pytest.mark.parametrize("bound", [{"max_waiting": 2}, {"max_bytes": 2 * len(PAYLOAD)}])
def test_beyond_a_bound_the_oldest_is_taken_as_it_is(bound: dict[str, int]) -> None:
    copies = DurableCopies(**bound)
    for channel in (b"a", b"b", b"c"):
        copies.published(channel, PAYLOAD, TS, 0.0)

    assert [copy.channel for copy in copies.due(0.1, 0.0)] == [b"a"]


def test_entries_are_not_remembered_for_ever() -> None:
    copies = DurableCopies()
    copies.streamed(CHANNEL, PAYLOAD, 0.0)
    copies.streamed(CHANNEL, PAYLOAD, 0.0)
    copies.streamed(b"other", PAYLOAD, REMEMBER_S + 1)

    copies.published(CHANNEL, PAYLOAD, TS, REMEMBER_S + 1)

    assert len(copies) == 1


def test_an_echo_is_recognised_as_often_as_it_was_published() -> None:
    table = EchoTable()
    table.expect(b"c", b"p", now=0.0)
    table.expect(b"c", b"p", now=1.0)

    assert table.take(b"c", b"p", now=2.0)
    assert table.take(b"c", b"p", now=2.0)
    assert not table.take(b"c", b"p", now=2.0)
    assert len(table) == 0


def test_channel_and_bytes_must_be_exactly_the_same() -> None:
    table = EchoTable()
    table.expect(b"c", b"p", now=0.0)

    assert not table.take(b"c", b"p ", now=0.0)
    assert not table.take(b"d", b"p", now=0.0)
    assert not table.take(b"cp", b"", now=0.0)


def test_an_echo_that_comes_too_late_is_a_message() -> None:
    table = EchoTable(expire_s=10.0)
    table.expect(b"c", b"p", now=0.0)

    assert not table.take(b"c", b"p", now=11.0)
    assert len(table) == 0


def test_echoes_that_never_come_are_forgotten() -> None:
    table = EchoTable(capacity=3, expire_s=10.0)
    for number in range(5):
        table.expect(b"c", b"%d" % number, now=0.0)
    assert len(table) == 3
    assert not table.take(b"c", b"0", now=0.0)

    table.expect(b"d", b"new", now=11.0)
    assert len(table) == 1
    assert not table.take(b"c", b"4", now=11.0)
