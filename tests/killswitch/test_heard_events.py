import pytest
from orchestrator.actors.events import REJECTED, Event
from orchestrator.actors.payloads import reject
from orchestrator.killswitch.heard_events import HeardEvents, concerns_stop, read_heard
from orchestrator.protocol.json_object import write_object
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
