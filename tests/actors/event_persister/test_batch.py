from orchestrator.actors.event_persister.batch import Batch, Draft, append_run, batch_of
from orchestrator.actors.events import Event
from orchestrator.actors.journal.record_format import (
    Record,
    RecordKind,
    decode_assigned,
    holds_rows,
)
from orchestrator.actors.journal.stream_offset import decode_position
from orchestrator.actors.sources import Run
from orchestrator.sql.events.stream_position import StreamPosition


def draft(*payloads: bytes) -> Draft:
    made = Draft()
    for payload in payloads:
        made.types.append("t.a")
        made.payloads.append(payload)
        made.times.append("now")
        made.sources.append(None)
        made.prefixes.append(b"t.a\t\\N\tnow\t")
        made.payload_bytes += len(payload)
    return made


def pending(rows: int = 2, *, kind: bytes = b"t") -> Batch:
    body = b"".join(b"%b\ts\tnow\t%d\n" % (kind, row) for row in range(rows))
    return Batch(1, body, rows, ((100, 100 + rows - 1),))


def test_a_draft_can_be_cut_back() -> None:
    cut = draft(b"12345", b"12345", b"12345")
    cut.channels[2] = "heartbeat.x"

    cut.truncate(1)

    assert len(cut) == len(cut.events([1])) == 1
    assert cut.payload_bytes == 5
    assert cut.channels == {}
    assert cut.body() == b"t.a\t\\N\tnow\t12345\n"


def test_events_get_their_ids_and_keep_their_channels() -> None:
    two = draft(b"1", b"2")
    two.channels[1] = "heartbeat.x"

    assert two.events([7, 8]) == (
        Event(7, "t.a", b"1", "now", None),
        Event(8, "t.a", b"2", "now", None, channel="heartbeat.x"),
    )


def test_a_run_is_what_was_added_since_the_last_one() -> None:
    made = draft(b"1", b"2")
    made.rejected = 1
    made.end_run("data")
    made.end_run("control")
    made.types.append("t.b")
    made.end_run("stream")

    assert made.runs == [Run("data", 2, 1), Run("stream", 1)]


def test_neighbouring_runs_of_a_source_are_one() -> None:
    runs: list[Run] = []
    for run in (Run("data", 2, 1), Run("data", 3), Run("control", 0), Run("control", 1)):
        append_run(runs, run)

    assert runs == [Run("data", 5, 1), Run("control", 1)]


def test_a_batch_of_new_rows_says_how_far_the_stream_is_read() -> None:
    batch, position = pending(), StreamPosition(ms=5, seq=1)
    batch.runs, batch.stream = (Run("stream", 2),), position

    record = batch.record()

    assert (record.number, record.rows, record.ranges) == (1, 2, ((100, 101),))
    assert record.runs == (Run("stream", 2),)
    assert decode_position(record.stream_offset) == position


def test_a_moved_row_says_which_id_it_had() -> None:
    batch = Batch(9, b"row\n", 1, ((7, 7),), RecordKind.MOVED)
    batch.moved_id = 5

    assert int.from_bytes(batch.record().stream_offset) == 5


def test_ids_for_held_batches_are_one_record() -> None:
    batch = Batch(9, kind=RecordKind.IDS)
    batch.assigned = {3: ((1, 2), (5, 5)), 4: ((6, 6),)}

    record = batch.record()

    assert record.rows == 0
    assert decode_assigned(record.body) == batch.assigned
    assert record.ranges == ((1, 2), (5, 5), (6, 6))


def is_market(line: bytes) -> bool:
    return line.startswith(b"data.")


def test_rows_that_stay_keep_their_ids() -> None:
    mixed = pending(1, kind=b"data.market.A")
    mixed.body += pending(kind=b"risk.x").body
    mixed.runs = (Run("data", 1), Run("control", 2))
    mixed.rows, mixed.ranges = 3, ((5, 6), (9, 9))

    assert mixed.shed(is_market) == {"data.market.A": 1}
    assert mixed.runs == (Run("control", 2),)
    assert mixed.ranges == ((6, 6), (9, 9))
    assert mixed.rows == 2
    assert mixed.last_id == 9


def test_rows_without_ids_can_be_shed_too() -> None:
    waiting = pending()
    waiting.ranges = ()

    assert waiting.shed(lambda line: line.endswith(b"1")) == {"t": 1}
    assert waiting.rows == 1
    assert waiting.ranges == ()
    assert waiting.last_id == 0


def test_a_record_becomes_the_batch_it_was() -> None:
    record = Record(4, RecordKind.EVENTS, 2, b"a\nb\n", rows_before=10)

    made = batch_of(record, ((7, 8),))

    assert made.journalled
    assert made.ranges == ((7, 8),)
    assert made.rows_through == 12
    assert holds_rows(record)
    assert not holds_rows(Record(5, RecordKind.IDS, 0, b""))
