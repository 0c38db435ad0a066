import pytest
from orchestrator.actors.events import REJECTED, Event
from orchestrator.actors.fields import WHOLE_BYTES
from orchestrator.actors.payloads import reject
from orchestrator.killswitch.heard_events import (
    TURN_BYTES,
    HeardEvents,
    concerns_stop,
    in_turns,
    read_heard,
    read_message,
)
from orchestrator.protocol.json_object import write_object
from orchestrator.protocol.targets import STOP_ALL, read_target
from stops import AT, LATER

HEARD = HeardEvents(7, AT)


def event(event_id: int, at: str) -> Event:
    return Event(event_id, "risk.killswitch", b"{}", at, None)


@pytest.mark.parametrize(
    ("event_id", "at", "known"),
    [(7, AT, True), (6, AT, True), (8, AT, False), (7, LATER, False), (1, LATER, False)],
)
def test_an_event_is_known_that_is_above_neither_by_id_nor_by_time(
    event_id: int, at: str, known: bool
) -> None:
    assert (event(event_id, at) in HEARD) is known


def test_it_never_goes_back() -> None:
    assert HEARD.plus(event(3, AT)) == HEARD
    assert HEARD.plus(event(3, LATER)) == HeardEvents(7, LATER)


def test_it_is_read_from_the_newest_document_that_has_it() -> None:
    documents = [b"{}", write_object(HEARD.fields()), write_object(HeardEvents(1, AT).fields())]

    assert read_heard(documents) == HEARD


@pytest.mark.parametrize("data", [b"", b"[]", b'{"last_event_id": "7"}'])
def test_what_says_nothing_is_the_beginning(data: bytes) -> None:
    assert read_heard([data]) == HeardEvents()


@pytest.mark.parametrize(
    ("event_type", "payload", "concerns"),
    [
        ("risk.killswitch", b"{}", True),
        ("risk.note", b"{}", False),
        (REJECTED, reject("risk.killswitch", b"{", "not JSON"), True),
        (REJECTED, reject("risk.note", b"{", "not JSON"), False),
    ],
)
def test_which_events_concern_the_stop(event_type: str, payload: bytes, concerns: bool) -> None:
    assert concerns_stop(Event(1, event_type, payload, AT, None)) is concerns


@pytest.mark.parametrize("size", [0, 2 * WHOLE_BYTES])
def test_a_message_of_any_size_says_what_stops(size: int) -> None:
    fields = {"enabled": True, "level": "reduce", "scope": "group:a", "reason": "x" * size}

    assert read_message(write_object(fields | {"note": 1}))["scope"] == "group:a"  # type: ignore[index]
    assert (read_message(write_object(fields | {"enabled": False})) or {})["enabled"] is False


@pytest.mark.parametrize("payload", [b"[]", b"no JSON", b"[" + b" " * WHOLE_BYTES + b"]"])
def test_what_is_no_object_says_nothing(payload: bytes) -> None:
    assert not read_message(payload)


def test_of_repeated_names_a_small_message_says_nothing() -> None:
    assert read_message(b'{"enabled":true,"enabled":false}') == {}


def test_a_large_message_with_a_broken_scope_has_one() -> None:
    payload = b'{"enabled":true,"level":"reduce","scope":[' + b"1," * WHOLE_BYTES + b"1]}"
    fields = read_message(payload) or {}

    assert read_target(fields["level"], fields["scope"]) == STOP_ALL


def test_large_messages_are_heard_in_turns() -> None:
    large = Event(1, "risk.killswitch", b"x" * (TURN_BYTES + 1), AT, None)
    events, yields = [event(1, AT), large, event(2, AT), event(3, AT)], list[int]()

    heard = [one.id for one in in_turns(events, lambda: yields.append(len(yields)))]

    assert heard == [1, 1, 2, 3]
    assert yields == [0]
