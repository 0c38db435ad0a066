from collections.abc import Iterator
from pathlib import Path

import pytest
from orchestrator.actors.event_persister.reconciliation import latency_ms
from orchestrator.actors.event_persister.state import Ledger
from orchestrator.actors.events import Event, utc_now
from orchestrator.actors.journal.id_ranges import read_ids, write_ids
from orchestrator.actors.journal.journal import Journal, JournalSettings
from orchestrator.actors.journal.record_format import Record, RecordKind
from orchestrator.actors.messages.event_persister import PersistReplies


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    write_ids(tmp_path / "ids", [(101, 200)])
    made = Ledger(tmp_path, ["t.*"])
    made.open()
    made.survey()
    yield made
    made.close()


def tell(ledger: Ledger, *names: str) -> None:
    replies = [[b"pmessage", b"t.*", f"t.{name}".encode(), b"{}"] for name in names]
    ledger.intake.put(PersistReplies("data", utc_now(), replies))


def turn(ledger: Ledger) -> tuple[Event, ...]:
    hand = ledger.prepare()
    assert hand is not None
    ledger.append(hand)
    return ledger.finish(hand)


def test_a_batch_in_hand_stays_there_until_it_is_finished(ledger: Ledger) -> None:
    tell(ledger, "a")
    hand = ledger.prepare()
    tell(ledger, "b")

    assert hand is not None
    assert ledger.prepare() is hand
    ledger.append(hand)
    ledger.append(hand)
    assert [event.type for event in ledger.finish(hand)] == ["t.a"]
    assert [event.type for event in turn(ledger)] == ["t.b"]
    assert ledger.journal.head.rows_total == 2
    assert ledger.prepare() is None


def test_a_turn_takes_no_more_events_than_there_are_ids(ledger: Ledger) -> None:
    tell(ledger, *map(str, range(150)))

    assert len(turn(ledger)) == 100
    assert turn(ledger) == ()
    assert ledger.held.front[0].rows == 50


def test_held_events_get_ids_before_new_ones_do(ledger: Ledger) -> None:
    ledger.ids.take(100)
    tell(ledger, "held")
    assert turn(ledger) == ()

    ledger.add_ids([(301, 400)])
    tell(ledger, "new")
    (held,) = turn(ledger)
    (new,) = turn(ledger)

    assert (held.type, held.id, new.type, new.id) == ("t.held", 301, "t.new", 302)
    assert ledger.assigned == {1: ((301, 301),)}
    assert ledger.ids_path.exists()
    assert read_ids(ledger.ids_path) == ((301, 400),)


def test_ids_are_used_even_if_the_disk_does_not_take_them(ledger: Ledger) -> None:
    ledger.ids_path = Path("/proc/none/ids")

    ledger.add_ids([(301, 400)])

    assert ledger.ids.left == 200


def test_an_event_moves_to_a_new_id_when_there_is_one(ledger: Ledger) -> None:
    tell(ledger, "a")
    (event,) = turn(ledger)
    ledger.move(event)

    (moved,) = turn(ledger)

    assert moved.id == event.id + 1
    assert moved.type == event.type
    assert ledger.moved == {event.id}
    assert not ledger.forming.to_move
    assert ledger.window.get(event.id) is None
    ledger.move(moved)
    ledger.ids.take(ledger.ids.left)
    assert ledger.prepare() is None


def test_what_is_committed_follows_what_is_stored(ledger: Ledger) -> None:
    tell(ledger, "a", "b")
    turn(ledger)
    assert ledger.committed_id == 100
    assert ledger.pending == 2

    ledger.note_all_stored()
    assert ledger.committed_id == 100
    ledger.note_stored(ledger.backlog.next_block(100))
    ledger.journal.work(lambda: None)

    assert ledger.committed_id == 102
    assert ledger.pending == 0
    ledger.note_in_database(500)
    assert ledger.committed_id == 500


def test_records_without_rows_at_the_end_count_as_stored(ledger: Ledger) -> None:
    ledger.ids.take(100)
    tell(ledger, "held")
    turn(ledger)
    ledger.add_ids([(301, 400)])
    hand = ledger.prepare()
    assert hand is not None
    assert hand.kind is RecordKind.IDS
    ledger.append(hand)
    ledger.finish(hand)
    ledger.note_stored(ledger.backlog.next_block(100))

    ledger.note_all_stored()
    ledger.journal.work(lambda: None)

    assert ledger.journal.head.committed_number == ledger.journal.head.last_number == 2


def test_what_is_given_up_leaves_nothing_behind(tmp_path: Path) -> None:
    """The disk refuses for long, and PostgreSQL is away: what stays in memory is bounded."""
    settings = JournalSettings(max_bytes=64 * 1024)
    write_ids(tmp_path / "ids", [(101, 100_000)])
    ledger = Ledger(tmp_path, ["data.*"], settings, memory_bytes=20_000)
    ledger.open()
    ledger.survey()
    payload = b'"%b"' % (b"x" * 1000)
    for number in range(500):
        channel = b"data.market.%d" % number
        reply = [b"pmessage", b"data.*", channel, payload]
        ledger.intake.put(PersistReplies("data", utc_now(), [reply]))
        turn(ledger)

    assert ledger.journal_error is not None
    assert ledger.accounts.dropped > 400
    assert len(ledger.appending._waiting) < 20
    assert ledger.appending.rows + ledger.accounts.dropped + ledger.journal.pending_rows == 500
    ledger.close()

    # The disk takes more again: the next start sees that nothing is damaged.
    ledger = Ledger(tmp_path, ["data.*"])
    ledger.open()
    ledger.survey()
    report = ledger.journal.report
    ledger.close()
    assert (report.missing_records, report.damaged_places) == (0, 0)


def test_batches_that_were_given_up_are_no_damage(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open()
    for number in (1, 2, 900):
        journal.append(
            Record(number, RecordKind.EVENTS, 1, b"t.a\t\\N\tx\t{}\n", ((number, number),))
        )
    journal.close()

    again = Journal(tmp_path)
    report = again.open()
    reader = again.reader(after=0)
    numbers = [record.number for record in iter(reader.next, None)]
    again.close()

    assert (report.records, report.missing_records, report.missing_rows) == (3, 0, 0)
    assert numbers == [1, 2, 900]


def test_a_damaged_file_of_ids_gives_none(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(b"nonsense")
    ledger = Ledger(tmp_path, [])
    ledger.open()

    assert ledger.ids.left == 0
    ledger.close()


def test_ids_that_were_journalled_are_not_used_again(ledger: Ledger, tmp_path: Path) -> None:
    tell(ledger, "a", "b", "c")
    turn(ledger)
    again = Ledger(tmp_path, ["t.*"])
    again.open()

    assert again.ids.ranges == ((104, 200),)
    assert again.backlog.span == (1, 1)
    assert again.last_journalled_ms > 0
    again.close()


def test_latency_is_never_negative() -> None:
    assert latency_ms("2999-01-01T00:00:00.000Z") == 0.0
    assert latency_ms("2020-01-01T00:00:00.000Z") > 1e9


def test_before_the_journal_is_read_the_books_know_how_much_it_holds(
    ledger: Ledger, tmp_path: Path
) -> None:
    tell(ledger, "a", "b", "c")
    turn(ledger)
    again = Ledger(tmp_path, ["t.*"])
    again.open()
    tell(again, "d")
    turn(again)

    (earlier,) = [row for row in again.source_books() if row.source == "earlier"]
    assert (earlier.carried, earlier.journal, earlier.difference) == (3, 3, 0)
    assert again.begin_stream() is None
    again.survey()
    again.survey()
    books = {row.source: row for row in again.source_books()}
    assert "earlier" not in books
    assert (books["data"].carried, books["data"].journal) == (3, 4)
    assert not any(row.difference for row in books.values())
    again.close()


def test_an_event_that_only_the_journal_has_is_out_of_reach(ledger: Ledger) -> None:
    tell(ledger, "a", "b", "c")
    turn(ledger)

    assert not ledger.is_out_of_reach(102)
    ledger.window.reset(103)
    assert [ledger.is_out_of_reach(number) for number in (100, 101, 103, 104)] == [
        False,
        True,
        True,
        False,
    ]
