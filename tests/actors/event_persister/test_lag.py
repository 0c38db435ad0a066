from datetime import datetime

from orchestrator.actors.event_persister.backlog import Backlog
from orchestrator.actors.event_persister.batch import Batch
from orchestrator.actors.event_persister.lag import StoreLag

READ_AT = "2026-01-31T09:30:00.000Z"
READ_S = datetime.fromisoformat(READ_AT).timestamp()


def batch(number: int, ts: str = READ_AT) -> Batch:
    made = Batch(number, f"t\ts\t{ts}\t{{}}\n".encode(), 1, ((number, number),))
    made.journalled = True
    return made


def test_nothing_is_behind_when_all_is_stored() -> None:
    assert StoreLag(1.0).seconds(Backlog(), now_s=READ_S) == 0


def test_the_oldest_event_in_memory_counts() -> None:
    backlog = Backlog()
    backlog.put(batch(1))
    backlog.put(batch(2, "2026-01-31T09:30:07.000Z"))

    assert StoreLag().seconds(backlog, now_s=READ_S + 10) == 10


def test_a_batch_whose_rows_were_given_up_does_not_count() -> None:
    backlog = Backlog()
    empty = batch(1)
    empty.body, empty.rows = b"", 0
    backlog.put(empty)
    assert StoreLag().seconds(backlog, now_s=READ_S + 10) == 0

    backlog.put(batch(2))
    assert StoreLag().seconds(backlog, now_s=READ_S + 10) == 10


def test_events_that_only_the_journal_has_count_from_the_last_write_before_the_start() -> None:
    backlog = Backlog()
    backlog.span = (1, 9)

    assert StoreLag(READ_S).seconds(backlog, now_s=READ_S + 60) == 60


def test_events_that_only_the_journal_has_count_from_what_was_known_last() -> None:
    backlog, lag = Backlog(), StoreLag(1.0)
    lag.seconds(backlog, now_s=READ_S)
    backlog.span = (1, 9)

    assert lag.seconds(backlog, now_s=READ_S + 2) == 2


def test_a_clock_set_back_makes_no_negative_age() -> None:
    backlog = Backlog()
    backlog.put(batch(1))

    assert StoreLag().seconds(backlog, now_s=READ_S - 60) == 0
