from pathlib import Path

import pytest
from orchestrator.actors.event_persister.pipeline import Pipeline, latency_ms
from orchestrator.actors.event_persister.recovery import survey
from orchestrator.actors.event_persister.state import PersisterState
from orchestrator.actors.events import Event, NewEvent
from orchestrator.actors.journal.id_ranges import read_ids, write_ids
from orchestrator.actors.journal.journal import JournalSettings
from orchestrator.actors.messages.event_persister import PersistEvents, PersistReplies
from orchestrator.actors.messages.events import EventReplaced, EventsJournalled, StopHeard
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import Address, Mailbox


def receive(state: PersisterState, *names: str) -> None:
    replies = [[b"pmessage", b"t.*", f"t.{name}".encode(), b"{}"] for name in names]
    state.inbox.put(PersistReplies("data", utc_now(), replies))


def carry(state: PersisterState) -> tuple[Event, ...]:
    """One batch; the events that are shown."""
    pipeline = Pipeline(state)
    batch = pipeline.take()
    assert batch is not None
    pipeline.append(batch)
    return pipeline.finish(batch)


def move(state: PersisterState, event: Event) -> None:
    state.to_move[event.id] = event, "data"


def test_a_batch_stays_the_current_one_until_it_is_finished(state: PersisterState) -> None:
    pipeline = Pipeline(state)
    receive(state, "a")
    batch = pipeline.take()
    receive(state, "b")

    assert batch is not None
    assert pipeline.take() is batch
    pipeline.append(batch)
    pipeline.append(batch)
    assert [event.type for event in pipeline.finish(batch)] == ["t.a"]
    assert [event.type for event in carry(state)] == ["t.b"]
    assert state.journal.head.rows_total == 2
    assert pipeline.take() is None


def test_a_turn_takes_no_more_events_than_there_are_ids(
    state: PersisterState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.inbox.MAX_TURN_S", 60.0)
    receive(state, *map(str, range(150)))

    assert len(carry(state)) == 100
    assert carry(state) == ()
    assert state.held.front[0].rows == 50


def test_held_events_get_ids_before_new_ones_do(state: PersisterState) -> None:
    state.ids.take(100)
    receive(state, "held")
    assert carry(state) == ()

    state.add_ids([(301, 400)])
    receive(state, "new")
    (held,) = carry(state)
    (new,) = carry(state)

    assert (held.type, held.id, new.type, new.id) == ("t.held", 301, "t.new", 302)
    assert state.assigned == {1: ((301, 301),)}
    assert state.ids_path.exists()
    assert read_ids(state.ids_path) == ((301, 400),)


def test_an_event_moves_to_a_new_id_when_there_is_one(state: PersisterState) -> None:
    pipeline = Pipeline(state)
    receive(state, "a")
    (event,) = carry(state)
    move(state, event)

    (moved,) = carry(state)

    assert moved.id == event.id + 1
    assert moved.type == event.type
    assert state.moved == {event.id}
    assert not state.to_move
    assert state.window.get(event.id) is None
    move(state, moved)
    state.ids.take(state.ids.left)
    assert pipeline.take() is None


def test_what_is_given_up_leaves_nothing_behind(tmp_path: Path) -> None:
    """The disk refuses for long, and PostgreSQL is away: what stays in memory is bounded."""
    settings = JournalSettings(max_bytes=64 * 1024)
    write_ids(tmp_path / "ids", [(101, 100_000)])
    state = PersisterState(tmp_path, ["data.*"], settings, memory_bytes=20_000)
    state.open()
    survey(state)
    payload = b'"%b"' % (b"x" * 1000)
    for number in range(500):
        channel = b"data.market.%d" % number
        reply = [b"pmessage", b"data.*", channel, payload]
        state.inbox.put(PersistReplies("data", utc_now(), [reply]))
        carry(state)

    assert state.journal_error is not None
    assert state.reconciliation.dropped > 400
    assert len(state.unjournalled) < 20
    assert (
        state.unjournalled_rows + state.reconciliation.dropped + state.journal.pending_rows == 500
    )
    state.close()

    # The disk takes more again: the next start sees that nothing is damaged.
    state = PersisterState(tmp_path, ["data.*"])
    state.open()
    survey(state)
    report = state.journal.report
    state.close()
    assert (report.missing_records, report.damaged_places) == (0, 0)


def test_latency_is_never_negative() -> None:
    assert latency_ms("2999-01-01T00:00:00.000Z") == 0.0
    assert latency_ms("2020-01-01T00:00:00.000Z") > 1e9


def messages_of(address: Address) -> list[object]:
    found = []
    while not address.mailbox.empty():
        found.append(address.mailbox.get().message)
    return found


def test_one_step_carries_an_event_from_the_inbox_to_those_who_show_it(
    state: PersisterState,
) -> None:
    consumer = Address("Consumer")
    pipeline = Pipeline(state, {consumer: None})
    receive(state, "a")

    assert pipeline.step()
    assert not pipeline.step()

    (message,) = messages_of(consumer)
    assert isinstance(message, EventsJournalled)
    assert [(event.id, event.type) for event in message.events] == [(101, "t.a")]
    assert state.journal.head.rows_total == 1
    assert state.window.get(101) == message.events[0]
    assert [batch.number for batch in state.backlog.front] == [1]
    assert len(state.backlog.front[0].draft) == 0


def test_consumers_get_the_types_they_want(state: PersisterState) -> None:
    of_a, of_b, of_none = Address("A"), Address("B"), Address("None")
    consumers = {
        of_a: frozenset({"t.a"}),
        of_b: frozenset({"t.a", "t.b"}),
        of_none: frozenset[str](),
    }
    pipeline = Pipeline(state, consumers)
    receive(state, "a", "b", "a")

    pipeline.step()

    (some,), (every,) = messages_of(of_a), messages_of(of_b)
    assert isinstance(some, EventsJournalled)
    assert isinstance(every, EventsJournalled)
    assert [event.id for event in some.events] == [101, 103]
    assert [event.id for event in every.events] == [101, 102, 103]
    assert messages_of(of_none) == []


def test_stops_get_through_a_mailbox_that_is_full(state: PersisterState) -> None:
    consumer = Address("Consumer", Mailbox(1))
    pipeline = Pipeline(state, {consumer: None})
    for events in (("t.x",), ("t.y",), ("t.z", "risk.killswitch")):
        state.inbox.put(PersistEvents(tuple(NewEvent(name, b"{}") for name in events)))
        pipeline.step()

    stop, first = messages_of(consumer)
    assert isinstance(stop, EventsJournalled)
    assert [event.type for event in stop.events] == ["risk.killswitch"]
    assert isinstance(first, EventsJournalled)
    assert [event.type for event in first.events] == ["t.x"]
    assert state.not_offered == 2


def test_a_replaced_event_goes_to_those_who_want_its_type(state: PersisterState) -> None:
    of_t, of_all = Address("T"), Address("All")
    rejected = Event(101, "bus.rejected", b"{}", utc_now(), None)

    Pipeline(state, {of_t: frozenset({"t.a"}), of_all: None}).show_replaced(rejected)

    assert messages_of(of_t) == []
    assert messages_of(of_all) == [EventReplaced(rejected)]


def test_a_durable_stop_is_passed_on_before_the_stream_brings_it(tmp_path: Path) -> None:
    state = PersisterState(tmp_path, ["risk.*"])
    state.open()
    stops = Address("Stops")
    payload = b'{"enabled":true,"durable":true}'
    reply = [b"pmessage", b"risk.*", b"risk.killswitch", payload]
    state.inbox.put(PersistReplies("control", utc_now(), [reply]))

    Pipeline(state, stops=stops).step()
    state.close()

    (heard,) = messages_of(stops)
    assert isinstance(heard, StopHeard)
    assert heard.event.payload == payload
    assert state.journal.head.rows_total == 0
