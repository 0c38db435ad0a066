from pathlib import Path

from orchestrator.actors.journal.record_format import (
    Head,
    Record,
    RecordKind,
    encode,
    encode_assigned,
)
from orchestrator.actors.journal.survey import Inventory, Segment, segment_name
from orchestrator.actors.sources import Run

ROWS = 5


def bytes_of(*numbers: int) -> bytes:
    """Records of five rows each; each says how many rows came before it."""
    return b"".join(
        b"".join(
            encode(
                Record(
                    number,
                    RecordKind.EVENTS,
                    ROWS,
                    b"row\n" * ROWS,
                    ((number * 100, number * 100 + ROWS - 1),),
                    at_ms=number,
                    rows_before=(number - 1) * ROWS,
                )
            )
        )
        for number in numbers
    )


def head(last: int, committed: int = 0) -> Head:
    return Head(
        sequence=9,
        last_number=last,
        highest_id=last * 100,
        rows_total=last * ROWS,
        committed_number=committed,
        committed_rows=committed * ROWS,
    )


def take_stock(known: Head | None, segments: dict[int, bytes]) -> Inventory:
    inventory = Inventory(known, min(segments, default=None))
    for first, data in segments.items():
        inventory.add(Segment(Path(segment_name(first))), data)
    return inventory


def test_a_whole_journal_misses_nothing() -> None:
    inventory = take_stock(head(4), {1: bytes_of(1, 2), 3: bytes_of(3, 4)})

    after = inventory.finish()

    assert after.last_number == 4
    assert after.highest_id == 404
    assert inventory.report.records == 4
    assert inventory.report.missing_records == inventory.report.torn_bytes == 0
    assert after.last_at_ms == 4
    assert [Path(segment_name(n)).stem for n in (2, 10)] == ["0" * 19 + "2", "0" * 18 + "10"]


def test_an_append_that_did_not_count_is_torn_and_loses_nothing() -> None:
    inventory = take_stock(head(2), {1: bytes_of(1, 2) + bytes_of(3)[:-1]})

    assert inventory.finish().last_number == 2
    assert inventory.report.torn_bytes == len(bytes_of(3)) - 1
    assert inventory.report.damaged_places == inventory.report.missing_records == 0


def test_a_torn_end_stays_torn_when_later_segments_follow() -> None:
    torn = bytes_of(1, 2) + bytes_of(3)[:-1]
    inventory = take_stock(head(4), {1: torn, 3: bytes_of(3, 4)})

    inventory.finish()

    assert inventory.report.torn_bytes
    assert inventory.report.missing_records == 0


def test_a_missing_end_is_counted_by_the_heads_word() -> None:
    inventory = take_stock(head(4), {1: bytes_of(1, 2) + bytes_of(3)[:-1]})

    assert inventory.finish().last_number == 4
    assert inventory.report.missing_records == 2
    assert inventory.report.missing_rows == 2 * ROWS
    assert inventory.report.damaged_places == 1


def test_a_damaged_record_between_whole_ones_is_counted_with_its_rows() -> None:
    inventory = Inventory(head(3), 1)
    data = bytearray(bytes_of(1, 2, 3))
    data[len(bytes_of(1)) + 30] ^= 1
    segment = Segment(Path(segment_name(1)))
    inventory.add(segment, bytes(data))
    inventory.finish()

    assert segment.damaged
    assert segment.first_number == 1
    assert segment.last_number == 3
    assert inventory.report.missing_records == 1
    assert inventory.report.missing_rows == ROWS
    assert inventory.report.damaged_bytes == len(bytes_of(2))


def test_what_is_committed_is_not_missed() -> None:
    inventory = take_stock(head(6, committed=4), {5: bytes_of(5, 6)})
    inventory.finish()
    assert inventory.report.missing_records == 0

    inventory = take_stock(head(6, committed=4), {3: bytes_of(3) + bytes_of(5, 6)})
    inventory.finish()
    assert inventory.report.missing_records == 0


def test_a_segment_that_someone_deleted_is_missed() -> None:
    inventory = take_stock(head(6, committed=1), {5: bytes_of(5, 6)})

    inventory.finish()

    assert inventory.report.missing_records == 3
    assert inventory.report.missing_rows == 3 * ROWS


def test_all_segments_gone_are_missed() -> None:
    inventory = take_stock(head(6, committed=1), {})

    assert inventory.finish().last_number == 6
    assert inventory.report.missing_records == 5
    assert inventory.report.missing_rows == 5 * ROWS


def test_a_new_journal_is_empty() -> None:
    inventory = take_stock(None, {})

    assert inventory.finish() == Head()
    assert not inventory.report.head_lost


def test_without_its_head_the_journal_goes_on_behind_what_it_holds() -> None:
    inventory = take_stock(None, {3: bytes_of(3, 4)})

    after = inventory.finish()

    assert inventory.report.head_lost
    assert inventory.report.missing_records == 0
    assert after.last_number == 4
    assert after.committed_number == 2
    assert after.rows_total == 4 * ROWS
    assert after.highest_id == 404


def test_a_record_that_is_there_twice_counts_once() -> None:
    inventory = take_stock(head(2), {1: bytes_of(1, 2, 2)})

    assert inventory.finish().last_number == 2
    assert inventory.report.missing_records == 0


def test_ids_given_later_and_rows_that_moved_are_known() -> None:
    bare = [Record(n, RecordKind.EVENTS, 1, b"row\n", rows_before=n - 1) for n in (1, 2)]
    assigned = encode_assigned({1: ((7, 7),)})
    given = Record(3, RecordKind.IDS, 0, assigned, ((7, 7),), rows_before=2)
    moved = Record(
        4, RecordKind.MOVED, 1, b"row\n", ((9, 9),), stream_offset=(5).to_bytes(8), rows_before=2
    )
    data = b"".join(b"".join(encode(record)) for record in (*bare, given, moved))

    inventory = take_stock(head(4), {1: data})
    inventory.finish()

    assert inventory.unassigned == [2]
    assert inventory.assigned == {1: ((7, 7),)}
    assert inventory.moved == {5}


def test_a_segment_that_cannot_be_read_counts_as_missing_as_a_whole() -> None:
    inventory = Inventory(head(4), 1)
    segment = Segment(Path(segment_name(1)), size_bytes=7)
    inventory.add_unreadable(segment, "the disk failed")
    inventory.add(Segment(Path(segment_name(3))), bytes_of(3, 4))
    inventory.finish()

    assert segment.damaged
    assert inventory.report.missing_records == 2
    assert inventory.report.missing_rows == 2 * ROWS
    assert inventory.report.damaged_bytes == 7


def test_rows_whose_ids_were_damaged_count_as_missing() -> None:
    bare = Record(1, RecordKind.EVENTS, 1, b"row\n", runs=(Run("data", 1),))
    later = Record(3, RecordKind.EVENTS, 1, b"row\n", ((9, 9),), rows_before=1, runs=bare.runs)
    data = b"".join(b"".join(encode(record)) for record in (bare, later))
    inventory = Inventory(Head(last_number=3, rows_total=2), 1)
    segment = Segment(Path(segment_name(1)))
    inventory.add(segment, data)
    inventory.finish()

    assert segment.damaged
    assert inventory.unassigned == []
    assert inventory.uncommitted == {"data": 1}
    assert inventory.report.missing_records == 2
    assert inventory.report.missing_rows == 1
    assert inventory.first_id == 9
