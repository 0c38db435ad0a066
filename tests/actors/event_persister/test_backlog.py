from collections import Counter
from collections.abc import Callable

from orchestrator.actors.event_persister.backlog import Backlog, stream_of
from orchestrator.actors.event_persister.batch import Batch
from orchestrator.actors.sources import Run
from orchestrator.sql.events.stream_position import StreamPosition


def batch(number: int, *, rows: int = 2, journalled: bool = True, kind: str = "t") -> Batch:
    body = b"".join(b"%b\ts\tnow\t%08d\n" % (kind.encode(), row) for row in range(rows))
    made = Batch(number, body, rows, ((number * 100, number * 100 + rows - 1),))
    made.journalled = journalled
    return made


ROOM_FOR_TWO = 2 * len(batch(1).body)


def numbers(block: list[Batch]) -> list[int]:
    return [found.number for found in block]


def store_all(backlog: Backlog) -> list[int]:
    """Store block by block; the journal supplies what is not in memory."""
    stored: list[int] = []
    while backlog:
        while backlog.needs_reading():
            assert backlog.span is not None
            backlog.take_read(batch(backlog.span[0]))
        block = backlog.next_block(4)
        stored += numbers(block)
        backlog.done(block)
    return stored


def test_blocks_are_whole_batches_in_order_within_the_bounds() -> None:
    backlog = Backlog()
    for number in range(1, 6):
        backlog.put(batch(number))

    assert numbers(backlog.next_block(5)) == [1, 2]
    assert numbers(backlog.next_block(4)) == [1, 2]
    assert numbers(backlog.next_block(1)) == [1]
    assert numbers(backlog.next_block(100, max_bytes=ROOM_FOR_TWO)) == [1, 2]
    assert store_all(backlog) == [1, 2, 3, 4, 5]
    assert backlog.size_bytes == 0
    assert backlog.next_block(5) == []


def test_what_memory_has_no_room_for_is_left_to_the_journal() -> None:
    backlog = Backlog(ROOM_FOR_TWO)
    for number in range(1, 8):
        backlog.put(batch(number))

    assert backlog.span == (3, 7)
    assert backlog.size_bytes <= ROOM_FOR_TWO
    assert not backlog.needs_reading()
    assert store_all(backlog) == [1, 2, 3, 4, 5, 6, 7]


def test_batches_behind_the_span_join_it() -> None:
    backlog = Backlog(ROOM_FOR_TWO)
    for number in range(1, 5):
        backlog.put(batch(number))
    backlog.done(backlog.next_block(100))

    backlog.put(batch(5))

    assert backlog.span == (3, 5)
    backlog.take_read(None)
    assert backlog.span is None
    assert not backlog


def test_what_the_journal_refused_waits_in_memory_behind_the_span() -> None:
    backlog = Backlog(ROOM_FOR_TWO)
    for number in range(1, 5):
        backlog.put(batch(number))
    backlog.put(batch(5, journalled=False))
    backlog.put(batch(6, journalled=False))

    assert numbers(list(backlog.rear)) == [5, 6]
    assert store_all(backlog) == [1, 2, 3, 4, 5, 6]


def test_when_the_journal_takes_them_after_all_memory_lets_go() -> None:
    backlog = Backlog(ROOM_FOR_TWO)
    for number in range(1, 5):
        backlog.put(batch(number))
    backlog.put(batch(5, journalled=False))

    backlog.note_journalled()

    assert backlog.span == (3, 5)
    assert backlog.size_bytes == ROOM_FOR_TWO


def test_without_room_the_oldest_market_data_goes_first_and_stops_never() -> None:
    backlog = Backlog(1)
    for number, kind in enumerate(("data.market.A", "strategy.x", "risk.killswitch"), start=1):
        backlog.put(batch(number, journalled=False, kind=kind))
    backlog.max_bytes = 2 * len(batch(1, kind="risk.killswitch").body)

    assert backlog.shed(but=0) == {"data.market.A": 2}
    backlog.max_bytes = 1
    assert backlog.shed(but=0) == {"strategy.x": 2}
    assert backlog.shed(but=0) == {}
    assert [found.number for found in backlog.front] == [3]


class Looked(Batch):
    """Counts how often its rows are looked through."""

    times = 0

    def shed(self, is_lost: Callable[[bytes], bool]) -> Counter[str]:
        Looked.times += 1
        return super().shed(is_lost)


def test_what_stays_whatever_happens_is_not_looked_through_again_and_again() -> None:
    backlog = Backlog(1)
    for number in range(1, 101):
        risky = batch(number, kind="risk.killswitch")
        stop = Looked(number, risky.body, risky.rows, risky.ranges)
        backlog.put(stop)
        backlog.shed(but=0)

    assert Looked.times == 200
    assert len(backlog.front) == 100


def test_batches_that_are_shed_leave_nothing_behind() -> None:
    backlog = Backlog(ROOM_FOR_TWO)
    for number in range(1, 1001):
        backlog.put(batch(number, journalled=False, kind="data.market.A"))
        backlog.shed(but=1)

    assert len(backlog.front) <= 3
    assert backlog.front[0].number == 1
    assert backlog.size_bytes <= 2 * ROOM_FOR_TWO


def test_shedding_spares_what_is_being_stored_and_what_the_journal_has() -> None:
    backlog = Backlog(1)
    backlog.put(batch(1, journalled=False, kind="data.market.A"))
    backlog.put(batch(2, journalled=False, kind="data.market.A"))
    backlog.front[1].journalled = True

    assert backlog.shed(but=1) == {}


def test_memory_that_is_exactly_full_is_not_over_its_bound() -> None:
    backlog = Backlog(ROOM_FOR_TWO)
    for number in range(1, 5):
        backlog.put(batch(number, journalled=False, kind="data.market.A"))
    size = len(backlog.front[0].body)
    backlog.max_bytes = 4 * size
    assert backlog.shed(but=0) == {}

    backlog.max_bytes = 2 * size

    assert backlog.shed(but=0) == {"data.market.A": 4}
    assert [found.rows for found in backlog.front] == [2, 2]


def test_what_was_damaged_in_the_journal_meanwhile_is_missing() -> None:
    backlog = Backlog(ROOM_FOR_TWO)
    for number in range(1, 5):
        one = batch(number)
        one.runs = (Run("data", 1), Run("control", 1))
        backlog.put(one)
    backlog.done(backlog.next_block(100))

    backlog.take_read(None)

    assert backlog.missing == {"data": 2, "control": 2}
    assert not any(backlog.counts.values())


def test_a_block_has_read_the_stream_as_far_as_its_last_batch_from_there() -> None:
    block = [batch(number) for number in range(1, 5)]
    assert stream_of(block) is None

    block[0].stream, block[2].stream = StreamPosition(ms=1), StreamPosition(ms=3)

    assert stream_of(block) == StreamPosition(ms=3)
