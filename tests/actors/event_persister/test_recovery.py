from pathlib import Path
from typing import Any

from orchestrator.actors.event_persister.pipeline import Pipeline
from orchestrator.actors.event_persister.recovery import Loader, Newest, Stops, survey, sweep
from orchestrator.actors.event_persister.state import PersisterState
from orchestrator.actors.events import Event, NewEvent
from orchestrator.actors.journal.journal import JournalSettings
from orchestrator.actors.messages.event_persister import PersistEvents, PersistReplies
from orchestrator.actors.recent_events import EventWindow
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import Address


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


def test_before_the_journal_is_read_it_is_known_how_much_it_holds(
    state: PersisterState, tmp_path: Path
) -> None:
    receive(state, "a", "b", "c")
    carry(state)
    again = PersisterState(tmp_path, ["t.*"])
    again.open()
    receive(again, "d")
    carry(again)

    (earlier,) = [row for row in again.balances() if row.source == "earlier"]
    assert (earlier.carried, earlier.journal, earlier.difference) == (3, 3, 0)
    assert again.begin_stream() is None
    survey(again)
    survey(again)
    sums = {row.source: row for row in again.balances()}
    assert "earlier" not in sums
    assert (sums["data"].carried, sums["data"].journal) == (3, 4)
    assert not any(row.difference for row in sums.values())
    again.close()


def again(folder: Path, **arguments: Any) -> PersisterState:
    """The state as the next daemon opens it."""
    made = PersisterState(folder, ["t.*", "risk.*"], **arguments)
    made.open()
    return made


def test_a_loader_reads_back_what_only_the_journal_has(
    state: PersisterState, tmp_path: Path
) -> None:
    receive(state, "a")
    carry(state)
    receive(state, "b")
    carry(state)
    state.close()
    reopened = again(tmp_path)
    loader = Loader(reopened, reopened.backlog)

    loader.load()
    assert not reopened.backlog.front
    survey(reopened)
    loader.load()

    assert [batch.number for batch in reopened.backlog.front] == [1, 2]
    assert reopened.backlog.span is None
    assert reopened.backlog.front[1].ranges == ((102, 102),)
    reopened.close()


def test_held_batches_are_loaded_apart_from_those_with_ids(
    state: PersisterState, tmp_path: Path
) -> None:
    receive(state, "a")
    carry(state)
    state.ids.take(state.ids.left)
    receive(state, "b")
    carry(state)
    state.close()
    reopened = again(tmp_path)
    survey(reopened)

    for backlog in (reopened.backlog, reopened.held):
        Loader(reopened, backlog).load()

    assert [batch.number for batch in reopened.backlog.front] == [1]
    assert [batch.number for batch in reopened.held.front] == [2]
    reopened.close()


def test_the_newest_of_the_journal_is_shown_again_in_order(
    state: PersisterState, tmp_path: Path
) -> None:
    for name in "abc":
        receive(state, name)
        carry(state)
    state.close()
    reopened = again(tmp_path)
    shown: list[Event] = []

    newest = Newest(reopened, shown.extend)
    newest.show()

    assert [(event.id, event.type) for event in shown] == [(101, "t.a"), (102, "t.b"), (103, "t.c")]
    assert newest.rows == len(reopened.window) == 3
    assert reopened.committed_id == 100
    reopened.close()


def test_no_more_is_shown_again_than_the_window_holds(
    state: PersisterState, tmp_path: Path
) -> None:
    for name in "abc":
        receive(state, name)
        carry(state)
    state.close()
    reopened = again(tmp_path, window=EventWindow(2))
    shown: list[Event] = []

    Newest(reopened, shown.extend).show()

    assert [event.id for event in shown] == [102, 103]
    assert reopened.is_out_of_reach(101)
    reopened.close()


def test_stops_that_are_older_than_what_was_shown_again_are_found(
    state: PersisterState, tmp_path: Path
) -> None:
    stop = NewEvent("risk.killswitch", b'{"enabled":true}')
    for event in (stop, NewEvent("t.a", b"{}"), NewEvent("t.b", b"{}")):
        state.inbox.put(PersistEvents((event,)))
        carry(state)
    state.close()
    reopened = again(tmp_path, window=EventWindow(2))
    Newest(reopened, lambda _events: None).show()
    found: list[Event] = []
    stops = Stops(reopened, found.append)

    survey(reopened, stops.heed, stops.pass_on)

    assert [(event.id, event.type) for event in found] == [(101, "risk.killswitch")]
    reopened.close()


def test_what_is_left_in_the_mailbox_is_journalled_at_the_end(
    state: PersisterState, tmp_path: Path
) -> None:
    address = Address("EventPersister")
    receive(state, "a")
    address.tell(PersistEvents((NewEvent("t.b", b"{}"),)))

    assert sweep(state, address) == 0
    state.close()

    reopened = again(tmp_path)
    survey(reopened)
    assert reopened.pending == 2
    reopened.close()


def test_what_the_disk_does_not_take_even_at_the_end_is_a_dead_letter(tmp_path: Path) -> None:
    full = again(tmp_path, settings=JournalSettings(max_bytes=64 * 1024))
    address = Address("EventPersister")
    large = PersistEvents((NewEvent("t.large", b'"' + b"x" * 100_000 + b'"'),))
    address.tell(large)

    assert sweep(full, address) == 1
    full.close()
