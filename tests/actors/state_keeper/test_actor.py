"""The keeper of state, on a real PostgreSQL and a real disk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestrator.actors.events import KILLSWITCH, REGIME, REJECTED, Event
from orchestrator.actors.killswitch import KillswitchState, Trip, WrongTrip
from orchestrator.actors.latch import Latch
from orchestrator.actors.messages.broadcaster import KillswitchNotice
from orchestrator.actors.messages.event_persister import PersistEvents
from orchestrator.actors.messages.events import EventsJournalled, StopFound, StopHeard
from orchestrator.actors.messages.redis_listener import Published
from orchestrator.actors.messages.state_keeper import (
    EngageKillswitch,
    EngageTrip,
    GetKillswitch,
    GetRegime,
    GetState,
    KillswitchView,
    ReleaseKillswitch,
    SetState,
)
from orchestrator.actors.state_keeper.actor import StateKeeper
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import Address, start_actor, stop_actor
from orchestrator.runtime._guard_entry import write_latch
from orchestrator.sql.database import Database
from orchestrator.sql.errors import StoreError
from orchestrator.sql.state import StateStore

pytestmark = pytest.mark.db
TS = "2026-01-31T09:30:00.000Z"


class Office:
    """A keeper with its peers, which can be restarted."""

    def __init__(self, store: StateStore, latch: Path, new_sink: Callable[[str], Any]) -> None:
        self.store = store
        self.latch = latch
        self.persister = new_sink("persister")
        self.screens = new_sink("broadcaster")
        self.address = Address("keeper")
        self.keeper: StateKeeper | None = None

    def start(self) -> None:
        self.address = Address("keeper")
        self.keeper = StateKeeper(
            latch=Latch(self.latch),
            store=self.store,
            persister=self.persister.address,
            broadcaster=self.screens.address,
        )
        start_actor(self.keeper, self.address)

    def stop(self) -> None:
        if self.keeper is not None:
            stop_actor(self.keeper)

    def restart(self) -> None:
        self.stop()
        self.start()

    def ask(self, message: Any) -> Any:
        return self.address.ask(message, timeout_s=3)

    def view(self) -> KillswitchView:
        return self.ask(GetKillswitch())

    def hear(self, event_type: str, payload: bytes, source: str | None = None) -> None:
        event = Event(7, event_type, payload, TS, source)
        self.address.tell(EventsJournalled((event,)))

    def stored(self, key: str) -> Any:
        row = self.store.get(key)
        return None if row is None else msgspec.json.decode(row.value)


@pytest.fixture
def office(database: Database, tmp_path: Path, new_sink: Callable[[str], Any]) -> Iterator[Office]:
    office = Office(StateStore(database), tmp_path / "killswitch.latch", new_sink)
    office.start()
    yield office
    office.stop()


def test_a_fresh_system_is_inactive(office: Office, wait_until: Callable[..., None]) -> None:
    wait_until(lambda: office.view().status == "inactive")

    wait_until(office.latch.exists)


def test_an_engaged_stop_is_latched_stored_announced_and_shown(office: Office) -> None:
    engaged = office.ask(EngageKillswitch("fat finger", "anna"))

    assert (engaged.latched, engaged.persisted, engaged.already_active) == (True, True, False)
    assert Latch(office.latch).read().reason == "fat finger"
    assert office.stored("killswitch_status")["enabled"] is True
    [persist] = office.persister.of(PersistEvents)
    payload = msgspec.json.decode(persist.events[0].payload)
    assert persist.publish
    assert (payload["enabled"], payload["trip_id"]) == (True, engaged.trip.trip_id)
    assert [notice.engaged for notice in office.screens.of(KillswitchNotice)] == [True]


def test_the_answer_waits_for_redis_when_redis_is_quick(office: Office) -> None:
    def publish(message: Any) -> None:
        message.reply_to.tell(Published(message.tag, 3))

    office.persister.on_receive = publish

    assert office.ask(EngageKillswitch("x", "anna")).published_to == 3


def test_a_second_stop_is_a_trip_of_its_own(office: Office) -> None:
    first = office.ask(EngageKillswitch("one", "anna"))
    second = office.ask(EngageKillswitch("two", "bob"))

    assert second.already_active
    assert first.trip.trip_id != second.trip.trip_id
    assert len(office.view().state.trips) == 2


def test_it_survives_a_restart(office: Office) -> None:
    trip = office.ask(EngageKillswitch("x", "anna")).trip

    office.restart()

    assert (office.view().status, office.view().state.trips) == ("active", (trip,))


def test_it_survives_a_restart_without_postgresql(office: Office, database: Database) -> None:
    office.ask(EngageKillswitch("x", "anna"))
    office.stop()
    database.close()

    office.start()

    assert office.view().status == "active"


def test_it_survives_the_loss_of_its_file(office: Office, wait_until: Callable[..., None]) -> None:
    office.ask(EngageKillswitch("x", "anna"))
    office.stop()
    office.latch.unlink()

    office.start()

    wait_until(lambda: office.view().status == "active")
    wait_until(office.latch.exists)


def test_it_can_be_engaged_while_postgresql_is_away(office: Office, database: Database) -> None:
    database.close()

    engaged = office.ask(EngageKillswitch("x", "anna"))

    assert (engaged.latched, engaged.persisted) == (True, False)
    assert office.view().status == "active"


def test_it_can_be_engaged_without_a_disk(office: Office) -> None:
    office.latch.unlink(missing_ok=True)
    office.latch.mkdir()

    engaged = office.ask(EngageKillswitch("x", "anna"))

    assert (engaged.latched, engaged.persisted) == (False, True)


def test_without_latch_and_without_postgresql_nobody_knows(
    database: Database, tmp_path: Path, new_sink: Callable[[str], Any]
) -> None:
    database.close()
    office = Office(StateStore(database), tmp_path / "latch", new_sink)
    office.start()

    view = office.view()

    office.stop()
    assert (view.status, view.state.enabled) == ("unknown", False)


def test_a_damaged_latch_is_unknown_until_someone_engages_and_releases(
    office: Office, wait_until: Callable[..., None]
) -> None:
    wait_until(office.latch.exists)
    office.stop()
    office.latch.write_bytes(b"garbage")
    office.start()
    assert office.view().status == "unknown"

    trip = office.ask(EngageKillswitch("set it right", "anna")).trip
    assert office.view().status == "active"
    office.ask(ReleaseKillswitch(trip.trip_id, "ok", "anna"))

    assert office.view().status == "inactive"


def test_only_the_trip_in_force_is_released(office: Office) -> None:
    trip = office.ask(EngageKillswitch("x", "anna")).trip

    with pytest.raises(WrongTrip):
        office.ask(ReleaseKillswitch("another", "ok", "bob"))
    state = office.ask(ReleaseKillswitch(trip.trip_id, "ok", "bob"))

    assert not state.enabled
    assert office.view().status == "inactive"
    assert [notice.engaged for notice in office.screens.of(KillswitchNotice)] == [True, False]


def test_a_trip_that_was_released_is_not_engaged_anew_by_its_own_message(office: Office) -> None:
    first = office.ask(EngageKillswitch("one", "anna")).trip
    second = office.ask(EngageKillswitch("two", "bob")).trip

    office.ask(ReleaseKillswitch(first.trip_id, "ok", "bob"))
    said = office.persister.of(PersistEvents)[-1].events[0].payload
    office.hear(KILLSWITCH, said, source="orchestrator")

    assert msgspec.json.decode(said)["enabled"] is True
    assert [trip.trip_id for trip in office.view().state.trips] == [second.trip_id]


@pytest.mark.parametrize("payload", [b"{}", b'{"enabled":true}', b'"nonsense"', b"[1]"])
def test_the_bus_engages(office: Office, payload: bytes, wait_until: Callable[..., None]) -> None:
    office.hear(KILLSWITCH, payload, source="risk-1")

    wait_until(lambda: office.view().status == "active")
    assert office.view().state.triggered_by == "risk-1"


def test_a_message_that_could_not_be_stored_engages_too(
    office: Office, wait_until: Callable[..., None]
) -> None:
    office.hear(REJECTED, b'{"channel":"risk.killswitch","reason":"not JSON","size":3,"raw":""}')

    wait_until(lambda: office.view().status == "active")


def test_another_rejected_message_engages_nothing(office: Office) -> None:
    office.hear(REJECTED, b'{"channel":"data.market.X.1m","reason":"not JSON","size":3,"raw":""}')

    assert not office.view().state.enabled


def test_the_bus_never_releases(office: Office) -> None:
    trip = office.ask(EngageKillswitch("x", "anna")).trip
    payload = msgspec.json.encode({"enabled": False, "trip_id": trip.trip_id})

    office.hear(KILLSWITCH, payload)

    assert office.view().status == "active"


def test_our_own_announcement_coming_back_is_the_same_trip(office: Office) -> None:
    office.ask(EngageKillswitch("x", "anna"))
    [persist] = office.persister.of(PersistEvents)

    office.hear(KILLSWITCH, persist.events[0].payload)

    assert len(office.view().state.trips) == 1


def test_an_announcement_that_comes_back_after_the_release_engages_nothing(office: Office) -> None:
    trip = office.ask(EngageKillswitch("x", "anna")).trip
    [persist] = office.persister.of(PersistEvents)
    office.ask(ReleaseKillswitch(trip.trip_id, "ok", "bob"))

    office.hear(KILLSWITCH, persist.events[0].payload)

    assert office.view().status == "inactive"


def test_an_event_that_is_shown_again_after_a_restart_engages_nothing(office: Office) -> None:
    office.hear(KILLSWITCH, b'{"enabled":true}')
    trip = office.view().state.trips[0]
    office.ask(ReleaseKillswitch(trip.trip_id, "ok", "bob"))
    office.restart()

    office.hear(KILLSWITCH, b'{"enabled":true}')

    assert office.view().status == "inactive"


def test_the_last_regime_is_kept_and_survives_a_restart(
    office: Office, wait_until: Callable[..., None]
) -> None:
    assert office.ask(GetRegime()) is None

    office.hear(REGIME, b'{"regime":"stable"}', "detector")
    wait_until(lambda: office.stored("regime_state") is not None)
    office.restart()
    wait_until(lambda: office.ask(GetRegime()) is not None)

    regime = office.ask(GetRegime())
    assert (regime.source, regime.last_update) == ("detector", TS)


def test_values_of_other_actors_are_written_through(
    office: Office, wait_until: Callable[..., None]
) -> None:
    office.address.tell(SetState("active_agents_count", b'{"count":3}'))

    wait_until(lambda: office.stored("active_agents_count") == {"count": 3})
    assert "active_agents_count" in [row.key for row in office.ask(GetState())]


def test_what_could_not_be_written_is_tried_again(
    office: Office, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put, failures = office.store.put, iter([True, True])

    def fail_twice(key: str, value: bytes) -> str:
        if next(failures, False):
            raise StoreError("not now")
        return put(key, value)

    monkeypatch.setattr(office.store, "put", fail_twice)
    monkeypatch.setattr("orchestrator.actors.state_keeper.actor.RETRY_S", 0.01)
    office.address.tell(SetState("k", b"1"))

    wait_until(lambda: office.stored("k") == 1)


def test_a_newer_state_in_postgresql_wins(office: Office, wait_until: Callable[..., None]) -> None:
    wait_until(office.latch.exists)
    office.stop()
    state = KillswitchState(revision=40).trip(Trip("t9", "elsewhere", "bob", TS))
    office.store.put("killswitch_status", msgspec.json.encode(state))

    office.start()

    wait_until(lambda: office.view().status == "active")
    assert office.view().state.trip_id == "t9"


def test_an_unreadable_state_in_postgresql_changes_nothing(
    office: Office, wait_until: Callable[..., None]
) -> None:
    office.ask(EngageKillswitch("x", "anna"))
    office.stop()
    office.store.put("killswitch_status", b'"garbage"')

    office.start()

    wait_until(lambda: office.view().status == "active")


GUARDS = Trip("g1", "the daemon has ended without saying so", "guard", TS)


def test_a_stop_of_the_guard_is_in_force_and_taken_over(office: Office) -> None:
    write_latch(Latch(office.latch).guard_path, msgspec.to_builtins(GUARDS))

    office.address.tell(EngageTrip(GUARDS))

    assert office.view().state.trips == (GUARDS,)
    assert Latch(office.latch).read_guard() is None
    assert office.persister.of(PersistEvents) == [], "the guard has announced it"


def test_a_stop_of_the_guard_while_nobody_was_there_is_found_at_the_start(office: Office) -> None:
    office.stop()
    write_latch(Latch(office.latch).guard_path, msgspec.to_builtins(GUARDS))

    office.start()

    assert (office.view().status, office.view().state.trips) == ("active", (GUARDS,))
    assert Latch(office.latch).read_guard() is None
    assert len(office.persister.of(PersistEvents)) == 1
    office.ask(ReleaseKillswitch("g1", "all is well", "anna"))
    office.restart()
    assert office.view().status == "inactive"


def test_a_durable_stop_engages_before_the_stream_brings_it_and_once(office: Office) -> None:
    payload = b'{"enabled": true, "trip_id": "t1", "reason": "margin", "durable": true}'
    heard = Event(0, KILLSWITCH, payload, utc_now(), "risk-agent")

    office.address.tell(StopHeard(heard), urgent=True)
    engaged = office.view()
    office.address.tell(EventsJournalled((msgspec.structs.replace(heard, id=7),)))

    assert engaged.status == "active"
    assert [trip.trip_id for trip in office.view().state.trips] == ["t1"]


def test_a_stop_of_before_the_start_engages_although_newer_ones_were_heard(office: Office) -> None:
    newer = Event(900, KILLSWITCH, b'{"enabled": false}', "2026-01-31T09:40:00.000Z", "operator")
    older = Event(100, KILLSWITCH, b'{"enabled": true}', "2026-01-31T09:30:00.000Z", "risk-agent")

    office.address.tell(EventsJournalled((newer,)))
    office.address.tell(StopFound(older))

    view = office.view()
    assert view.status == "active"
    assert [trip.triggered_by for trip in view.state.trips] == ["risk-agent"]


def test_a_stop_of_before_the_start_that_was_heard_then_does_not_engage_again(
    office: Office,
) -> None:
    stop = Event(100, KILLSWITCH, b'{"enabled": true}', "2026-01-31T09:30:00.000Z", "risk-agent")
    office.address.tell(EventsJournalled((stop,)))
    (trip,) = office.view().state.trips
    office.ask(ReleaseKillswitch(trip.trip_id, "all is well", "anna"))
    office.restart()

    office.address.tell(StopFound(stop))

    assert office.view().status == "inactive"
