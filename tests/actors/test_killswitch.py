"""The killswitch's rules."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.actors.killswitch import (
    MAX_TRIPS,
    KillswitchState,
    Trip,
    WrongTrip,
    bus_payload,
    bus_trip,
    read_state,
)

AT = "2026-01-31T09:30:00.000Z"


def trip(trip_id: str = "t1", reason: str = "why") -> Trip:
    return Trip(trip_id, reason, "anna", AT)


def test_a_trip_engages() -> None:
    state = KillswitchState().trip(trip())

    assert (state.enabled, state.reason, state.trip_id, state.revision) == (True, "why", "t1", 1)


def test_a_known_trip_is_the_same_trip() -> None:
    state = KillswitchState().trip(trip())

    assert state.trip(trip()) is state


def test_it_stays_engaged_while_any_trip_is_in_force() -> None:
    state = KillswitchState().trip(trip("t1")).trip(trip("t2"))

    one_left = state.release("t2", reason="ok", by="bob", at=AT)
    none_left = one_left.release("t1", reason="ok", by="bob", at=AT)

    assert (one_left.enabled, one_left.trip_id) == (True, "t1")
    assert (none_left.enabled, none_left.released_by) == (False, "bob")


def test_a_released_trip_does_not_engage_again() -> None:
    state = KillswitchState().trip(trip("t1")).release("t1", reason="ok", by="bob", at=AT)

    assert state.trip(trip("t1")) is state


def test_an_event_has_been_heard_only_if_neither_its_id_nor_its_time_is_new() -> None:
    state = KillswitchState().heard(10, AT)

    assert state.has_heard(10, AT)
    assert not state.has_heard(11, AT)
    assert not state.has_heard(10, "2026-01-31T09:30:00.001Z")


def test_releasing_a_trip_that_is_not_in_force_names_those_that_are() -> None:
    state = KillswitchState().trip(trip("t1"))

    with pytest.raises(WrongTrip, match="trip t9 is not in force; in force: t1"):
        state.release("t9", reason="ok", by="bob", at=AT)


def test_releasing_what_is_not_engaged_says_so() -> None:
    with pytest.raises(WrongTrip, match="nothing to release"):
        KillswitchState().release("t1", reason="ok", by="bob", at=AT)


def test_the_number_of_trips_is_bounded() -> None:
    state = KillswitchState()
    for number in range(MAX_TRIPS + 10):
        state = state.trip(trip(str(number)))

    assert len(state.trips) == MAX_TRIPS
    assert state.trips[-1].trip_id == str(MAX_TRIPS + 9)


@given(st.binary(max_size=200))
def test_any_bytes_on_the_channel_engage_unless_they_say_exactly_false(payload: bytes) -> None:
    try:
        said = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    released = isinstance(said, dict) and said.get("enabled") is False

    found = bus_trip(payload, KillswitchState(), source=None, at=AT)

    assert (found is None) == released


@pytest.mark.parametrize("payload", [b'{"enabled":0}', b'{"enabled":null}', b'{"enabled":"false"}'])
def test_what_is_not_exactly_false_engages(payload: bytes) -> None:
    assert bus_trip(payload, KillswitchState(), source=None, at=AT) is not None


def test_false_on_the_bus_engages_nothing_and_releases_nothing() -> None:
    state = KillswitchState().trip(trip())

    assert bus_trip(b'{"enabled":false}', state, source=None, at=AT) is None


def test_a_bus_message_without_an_id_joins_the_trip_in_force() -> None:
    state = KillswitchState().trip(trip())

    assert bus_trip(b'{"enabled":true}', state, source=None, at=AT) is None


def test_a_bus_message_with_a_new_id_is_a_trip_of_its_own() -> None:
    state = KillswitchState().trip(trip())
    payload = b'{"enabled":true,"trip_id":"t2","reason":"r","triggered_by":"risk-1"}'

    assert bus_trip(payload, state, source=None, at=AT) == Trip("t2", "r", "risk-1", AT)


def test_an_anonymous_bus_message_is_signed_by_its_source() -> None:
    found = bus_trip(b"{}", KillswitchState(), source="risk-1", at=AT)

    assert found.triggered_by == "risk-1"


def test_what_is_published_is_understood_again() -> None:
    payload = bus_payload(enabled=True, trip=trip("t7"), seq=3, at=AT)

    assert bus_trip(payload, KillswitchState(), source=None, at=AT) == trip("t7")


def test_a_stored_state_is_read_back() -> None:
    state = KillswitchState().trip(trip())

    assert read_state(msgspec.json.encode(state)) == state


def test_a_state_in_the_seeds_shape_is_understood() -> None:
    state = read_state(
        b'{"enabled":true,"reason":"manual","last_triggered":"2025-09-22T16:10:00Z"}'
    )

    assert state.enabled
    assert [known.reason for known in state.trips] == ["manual"]
    assert state.trip_id == state.trips[0].trip_id


def test_a_state_with_fields_of_other_types_is_still_understood() -> None:
    state = read_state(b'{"enabled":true,"reason":null,"last_triggered":5}')

    assert (state.enabled, state.trips[0].reason) == (True, "unknown")


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"enabled":"yes"}'])
def test_a_state_that_says_nothing_is_an_error(value: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_state(value)
