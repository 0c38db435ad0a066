from collections import Counter

from orchestrator.actors.event_persister.backlog import Backlog
from orchestrator.actors.event_persister.batch import Batch
from orchestrator.actors.event_persister.inbox import Inbox
from orchestrator.actors.event_persister.ingest import Ingest
from orchestrator.actors.event_persister.reconciliation import Reconciliation
from orchestrator.actors.journal.survey import Inventory, JournalReport
from orchestrator.actors.sources import Run, SourceBalance


class Sums:
    """The sums, and what they are made of."""

    def __init__(self, *, memory_bytes: int = 1024 * 1024) -> None:
        self.inbox, self.ingest = Inbox(), Ingest(["t.*"])
        self.backlog, self.held = Backlog(memory_bytes), Backlog(memory_bytes)
        self.of = Reconciliation(self.inbox, self.ingest, self.backlog, self.held)

    def receive(self, batch: Batch) -> Batch:
        for run in batch.runs:
            self.inbox.received[run.source] += run.rows
        self.backlog.put(batch)
        return batch

    def balance(self, source: str, current: Batch | None = None) -> SourceBalance:
        return next(row for row in self.of.balances(current) if row.source == source)

    def differences(self) -> list[int]:
        return [row.difference for row in self.of.balances(None)]


def batch(number: int, *runs: Run, kind: str = "t.a") -> Batch:
    rows = sum(run.rows for run in runs)
    body = b"".join(b"%b\ts\tnow\t%d\n" % (kind.encode(), row) for row in range(rows))
    made = Batch(number, body, rows, ((number * 100, number * 100 + rows - 1),))
    made.runs = runs
    return made


def test_stored_rows_are_neither_rejected_nor_moved_ones() -> None:
    sums = Sums()
    block = [sums.receive(batch(1, Run("data", 10, 2), Run("control", 1)))]
    sums.of.note_refused(100)
    sums.of.note_moved(batch(2, Run("data", 1)))

    sums.backlog.done(block)
    sums.of.note_stored(block, moved={105})

    assert sums.balance("data").stored == 6
    assert sums.balance("data").rejected == 3
    assert sums.balance("control").stored == 1
    assert sums.of.stored == 10
    assert sums.of.clashes == 1


def test_a_moved_row_counts_once_while_both_batches_are_pending() -> None:
    sums = Sums()
    sums.receive(batch(1, Run("data", 2)))
    again = batch(2, Run("data", 1))
    sums.of.note_moved(again)
    sums.backlog.put(again)

    assert sums.balance("data").journal == 2
    assert sums.differences() == [0] * 4


def test_the_source_of_a_row_follows_from_its_place() -> None:
    sums = Sums()
    sums.receive(batch(1, Run("data", 2)))
    sums.receive(batch(2, Run("data", 1), Run("control", 1)))

    assert [sums.of.source_of(number) for number in (101, 200, 201)] == ["data", "data", "control"]
    assert sums.of.source_of(999) == "earlier"


def test_the_current_batch_is_in_the_journal_by_the_sums() -> None:
    sums, current = Sums(), batch(1, Run("data", 3))
    sums.inbox.received["data"] = 3

    assert sums.balance("data", current).difference == 0
    assert sums.balance("data").difference == 3


def test_what_the_journal_holds_is_known_in_sum_and_then_by_source() -> None:
    sums = Sums()
    sums.of.carry_over(5)
    assert sums.balance("earlier").carried == sums.balance("earlier").journal == 5

    found = Inventory(None, None)
    found.uncommitted = Counter(data=3)
    found.report = JournalReport(missing_records=1, missing_rows=2)
    sums.of.take_over(found)

    assert (sums.balance("data").carried, sums.balance("data").journal) == (3, 3)
    assert (sums.balance("earlier").carried, sums.balance("earlier").dropped) == (2, 2)
    assert sums.of.damaged_rows == 2
    assert sums.differences() == [0] * 5


def test_rows_that_memory_has_no_room_for_are_dropped_by_source() -> None:
    sums = Sums(memory_bytes=1)
    sums.receive(batch(1, Run("control", 1), kind="risk.x"))
    sums.receive(batch(2, Run("data", 3), kind="data.market.A"))

    assert sums.of.shed()
    assert not sums.of.shed()

    assert sums.balance("data").dropped == sums.of.dropped == 3
    assert sums.of.dropped_types == {"data.market.A": 3}
    assert sums.differences() == [0] * 4


def test_rows_that_the_journal_lost_while_running_are_dropped_and_reported() -> None:
    sums = Sums()
    sums.receive(batch(1, Run("data", 3)))
    sums.backlog.front.clear()
    sums.backlog.span = (1, 1)
    sums.backlog.take_read(None)

    sums.of.note_missing()
    sums.of.note_missing()

    assert sums.balance("data").dropped == sums.of.damaged_rows == 3
    assert sums.differences() == [0] * 4
