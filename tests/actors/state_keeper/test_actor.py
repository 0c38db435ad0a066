"""The keeper of state, on a real PostgreSQL."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from orchestrator.actors.events import REGIME, Event
from orchestrator.actors.messages.events import EventsJournalled
from orchestrator.actors.messages.state_keeper import GetRegime, GetState, SetState, ShowState
from orchestrator.actors.state_keeper.actor import StateKeeper
from orchestrator.runtime import Address, start_actor, stop_actor
from orchestrator.sql.database import Database
from orchestrator.sql.errors import StoreError
from orchestrator.sql.events.event_reader import EventReader
from orchestrator.sql.state import StateStore

pytestmark = pytest.mark.db
TS = "2026-01-31T09:30:00.000Z"


class Office:
    """A keeper, which can be restarted."""

    def __init__(self, store: StateStore, events: EventReader) -> None:
        self.store = store
        self.events = events
        self.address = Address("keeper")
        self.keeper: StateKeeper | None = None

    def start(self) -> None:
        self.address = Address("keeper")
        self.keeper = StateKeeper(self.store, self.events)
        start_actor(self.keeper, self.address)

    def stop(self) -> None:
        if self.keeper is not None:
            stop_actor(self.keeper)

    def restart(self) -> None:
        self.stop()
        self.start()

    def ask(self, message: Any) -> Any:
        return self.address.ask(message, timeout_s=3)

    def hear(self, event_type: str, payload: bytes, source: str | None = None) -> None:
        event = Event(7, event_type, payload, TS, source)
        self.address.tell(EventsJournalled((event,)))

    def stored(self, key: str) -> Any:
        row = self.store.get(key)
        return None if row is None else msgspec.json.decode(row.value)


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    office = Office(StateStore(database), EventReader(database))
    office.start()
    yield office
    office.stop()


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

    def fail_twice(key: str, value: bytes) -> str | None:
        if next(failures, False):
            raise StoreError("not now")
        return put(key, value)

    monkeypatch.setattr(office.store, "put", fail_twice)
    monkeypatch.setattr("orchestrator.actors.state_keeper.actor.RETRY_S", 0.01)
    office.address.tell(SetState("k", b"1"))

    wait_until(lambda: office.stored("k") == 1)


def test_what_another_actor_writes_is_shown_and_not_written(office: Office) -> None:
    office.address.tell(ShowState("killswitch_status", b'{"enabled": false}'))

    [row] = office.ask(GetState())
    assert (row.key, bytes(row.value)) == ("killswitch_status", b'{"enabled": false}')
    assert office.stored("killswitch_status") is None


def test_a_value_that_is_refused_holds_up_no_other(
    office: Office, database: Database, wait_until: Callable[..., None]
) -> None:
    with database.transaction() as connection:
        connection.execute(
            "ALTER TABLE orchestrator_state ADD CONSTRAINT c CHECK (value <> '1'::jsonb)"
        )

    office.address.tell(SetState("a", b"1"))
    office.address.tell(SetState("b", b"2"))
    wait_until(lambda: office.stored("b") == 2)
    office.address.tell(SetState("a", b"3"))
    wait_until(lambda: office.stored("a") == 3)

    assert database.refusals.totals["orchestrator_state"] >= 1
    assert office.ask(GetState())


@pytest.mark.parametrize("event_type", [REGIME, "state"])
def test_without_a_key_the_regime_is_the_newest_events(
    office: Office, database: Database, wait_until: Callable[..., None], event_type: str
) -> None:
    insert = "INSERT INTO events (type, payload, source, ts) VALUES (%s, %s, 'sql', %s)"
    with database.transaction() as connection:
        for regime, ts in (("volatile", TS), ("stable", "2026-01-30T00:00:00Z")):
            connection.execute(insert, (event_type, f'{{"regime": "{regime}"}}', ts))
        connection.execute(insert, (event_type, "[7]", "2026-01-31T10:00:00Z"))

    wait_until(lambda: office.ask(GetRegime()) is not None)

    regime = office.ask(GetRegime())
    assert msgspec.json.decode(regime.payload)["regime"] == "volatile"
    assert (regime.source, regime.last_update) == ("sql", TS)
    assert office.stored("regime_state") is None


def test_a_report_that_comes_replaces_the_regime_of_an_old_event(
    office: Office, database: Database, wait_until: Callable[..., None]
) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO events (type, payload) VALUES (%s, '{}')", (REGIME,))
    wait_until(lambda: office.ask(GetRegime()) is not None)

    office.hear(REGIME, b'{"regime":"stable"}', "detector")

    wait_until(lambda: office.stored("regime_state") is not None)
    assert office.ask(GetRegime()).source == "detector"
