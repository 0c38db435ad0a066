from pathlib import Path

from orchestrator.actors.event_persister.pipeline import Pipeline
from orchestrator.actors.event_persister.state import PersisterState
from orchestrator.actors.events import Event
from orchestrator.actors.journal.record_format import RecordKind
from orchestrator.actors.messages.event_persister import PersistReplies
from orchestrator.protocol.timestamps import utc_now


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


def test_ids_are_used_even_if_the_disk_does_not_take_them(state: PersisterState) -> None:
    state.ids_path = Path("/proc/none/ids")

    state.add_ids([(301, 400)])

    assert state.ids.left == 200


def test_what_is_committed_follows_what_is_stored(state: PersisterState) -> None:
    receive(state, "a", "b")
    carry(state)
    assert state.committed_id == 100
    assert state.pending == 2

    state.note_all_stored()
    assert state.committed_id == 100
    state.note_stored(state.backlog.next_block(100))
    state.journal.work(lambda: None)

    assert state.committed_id == 102
    assert state.pending == 0
    state.note_in_database(500)
    assert state.committed_id == 500


def test_records_without_rows_at_the_end_count_as_stored(state: PersisterState) -> None:
    pipeline = Pipeline(state)
    state.ids.take(100)
    receive(state, "held")
    carry(state)
    state.add_ids([(301, 400)])
    batch = pipeline.take()
    assert batch is not None
    assert batch.kind is RecordKind.IDS
    pipeline.append(batch)
    pipeline.finish(batch)
    state.note_stored(state.backlog.next_block(100))

    state.note_all_stored()
    state.journal.work(lambda: None)

    assert state.journal.head.committed_number == state.journal.head.last_number == 2


def test_a_damaged_file_of_ids_gives_none(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(b"nonsense")
    state = PersisterState(tmp_path, [])
    state.open()

    assert state.ids.left == 0
    state.close()


def test_ids_that_were_journalled_are_not_used_again(state: PersisterState, tmp_path: Path) -> None:
    receive(state, "a", "b", "c")
    carry(state)
    again = PersisterState(tmp_path, ["t.*"])
    again.open()

    assert again.ids.ranges == ((104, 200),)
    assert again.backlog.span == (1, 1)
    assert again.last_journalled_ms > 0
    again.close()


def test_an_event_that_only_the_journal_has_is_out_of_reach(state: PersisterState) -> None:
    receive(state, "a", "b", "c")
    carry(state)

    assert not state.is_out_of_reach(102)
    state.window.reset(103)
    assert [state.is_out_of_reach(number) for number in (100, 101, 103, 104)] == [
        False,
        True,
        True,
        False,
    ]
