"""The durable stream in the persister: exactly once, whatever fails there."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from orchestrator.actors.canary import Canaries
from orchestrator.actors.event_persister.actor import EventPersister
from orchestrator.actors.event_persister.state import PersisterState
from orchestrator.actors.journal.journal import JournalSettings
from orchestrator.actors.messages.durable_stream import (
    PersistStream,
    ReadStream,
    StreamItem,
    StreamProgress,
)
from orchestrator.actors.messages.event_persister import GetBooks, PersistReplies
from orchestrator.actors.messages.events import StopHeard
from orchestrator.actors.messages.heartbeat_monitor import Canary
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import Address, Mailbox, start_actor, stop_actor
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.events.stream_position import StreamPosition
from orchestrator.sql.schema.migrator import migrate
from quiet_clock import quiet_s

PATTERNS = ["risk.*", "heartbeat.*", "strategy.*"]
NOWHERE = "postgresql://nobody:none@127.0.0.1:1/none"


def wait_until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not within the limit"
        gevent.sleep(0.005)


class Bench:
    """A persister, and a lane that tells it entries as long as it is told to."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.listener, self.monitor, self.stops, self.rules = (
            Address(n, Mailbox(10_000)) for n in "lmsr"
        )
        self.canaries = Canaries("word")
        self.position: StreamPosition | None = None
        self.progress: StreamProgress | None = None
        self.actor: Any = None

    def start(self, url: str | None = None, **settings: Any) -> None:
        self.address = Address("EventPersister", Mailbox(1000))
        made = JournalSettings(**settings)
        self.state = PersisterState(self.folder, PATTERNS, made, canaries=self.canaries)
        self.state.open()
        self.database = Database(PostgresSettings(), url=url or self.url)
        self.writer = EventWriter(self.database)
        self.incarnate()

    def incarnate(self) -> None:
        self.actor = EventPersister(
            self.state,
            self.writer,
            listener=self.listener,
            monitor=self.monitor,
            stops=self.stops,
            rules=self.rules,
        )
        start_actor(self.actor, self.address)

    def stop(self) -> None:
        if self.actor is not None:
            stop_actor(self.actor)
            self.writer.close()
            self.database.close()
            self.state.close()
            self.actor = None

    def begin(self, limit_s: float = 20.0) -> StreamPosition:
        """Wait until it says from where to read."""
        self.position = None
        wait_until(lambda: self.listen() or self.position is not None, limit_s)
        assert self.position is not None
        return self.position

    def listen(self) -> None:
        for message in self.told(self.listener):
            if isinstance(message, ReadStream):
                self.position = message.position
            elif isinstance(message, StreamProgress):
                self.progress = message

    def told(self, address: Address) -> list[Any]:
        found = []
        while not address.mailbox.empty():
            found.append(address.mailbox.get().message)
        return found

    def tell(self, *payloads: Any, channel: bytes = b"strategy.x", at_end: bool = True) -> None:
        """What the lane tells of entries, numbered on from where it is."""
        assert self.position is not None
        after, items = self.position, []
        for payload in payloads:
            ms = self.position.ms + 1
            self.position = StreamPosition(0, ms, 0, ms, ms)
            body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            items.append(StreamItem(self.position, channel, body))
        now = time.monotonic() if at_end else 0.0
        self.address.tell(PersistStream(after, utc_now(), tuple(items), now))

    def publish(self, payload: Any, channel: str = "strategy.x", pattern: str = "") -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        pattern = pattern or channel.split(".", maxsplit=1)[0] + ".*"
        reply = [b"pmessage", pattern.encode(), channel.encode(), body]
        self.address.tell(PersistReplies("control", utc_now(), [reply]))

    def rows(self, columns: str = "(payload->>'n')::int", where: str = "true") -> list[Any]:
        with connect(self.url) as connection:
            query = f"SELECT {columns} FROM events WHERE {where} ORDER BY id"
            return [row[0] for row in connection.execute(query.encode()).fetchall()]

    def committed(self) -> StreamPosition | None:
        self.listen()
        return self.progress.committed if self.progress else None

    def wait_committed(self) -> None:
        wait_until(lambda: self.committed() == self.position)

    def assert_balanced(self) -> None:
        for source in self.address.ask(GetBooks(), timeout_s=5):
            assert source.difference == 0, source


@pytest.fixture
def bench(tmp_path: Path, pg_url: str) -> Iterator[Bench]:
    with connect(pg_url) as connection:
        migrate(connection)
    made = Bench(tmp_path, pg_url)
    yield made
    made.stop()


def numbered(*numbers: int) -> list[dict[str, int]]:
    return [{"n": number} for number in numbers]


def test_entries_are_stored_in_order_and_the_place_is_committed_with_them(bench: Bench) -> None:
    bench.start()
    assert bench.begin() == StreamPosition()

    bench.tell(*numbered(1, 2))
    bench.tell(*numbered(3))
    bench.wait_committed()

    assert bench.rows() == [1, 2, 3]
    assert bench.writer.stream_position() == bench.position
    bench.assert_balanced()


def test_after_a_restart_reading_goes_on_behind_what_was_journalled(bench: Bench) -> None:
    bench.start()
    bench.begin()
    bench.tell(*numbered(1, 2, 3))
    bench.wait_committed()
    before = bench.position
    bench.stop()

    bench.start()

    assert bench.begin() == before


def test_without_postgresql_the_data_directory_knows_the_place_even_without_segments(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.actor.ASK_POSITION_S", 0.1)
    bench.start(segment_bytes=4096)
    bench.begin()
    bench.tell(*numbered(1, 2, 3))
    bench.wait_committed()
    before = bench.position
    bench.stop()
    for segment in (bench.folder / "journal").glob("*.seg"):
        segment.unlink()

    bench.start(url=NOWHERE)

    assert bench.begin() == before


def test_a_fresh_data_directory_waits_for_postgresql_to_say_the_place(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.actor.ASK_POSITION_S", 0.1)
    bench.start(url=NOWHERE)
    with pytest.raises(AssertionError):
        bench.begin(limit_s=1.0)


def test_what_was_journalled_without_postgresql_is_stored_once_it_is_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.actor.ASK_POSITION_S", 0.1)
    bench.start()
    bench.begin()
    bench.tell(*numbered(1))
    bench.wait_committed()
    bench.stop()
    bench.start(url=NOWHERE)
    bench.begin()
    bench.tell(*numbered(2, 3))
    wait_until(lambda: bench.state.stream_known == bench.position)
    after = bench.position
    bench.stop()

    bench.start()

    assert bench.begin() == after
    bench.wait_committed()
    assert bench.rows() == [1, 2, 3]


def test_a_message_that_got_lost_on_the_way_is_told_again(bench: Bench) -> None:
    bench.start()
    bench.begin()
    bench.tell(*numbered(1))
    lost = bench.position
    assert lost is not None
    bench.position = StreamPosition(0, lost.ms + 1, 0, lost.ms + 1, lost.ms + 1)
    bench.tell(*numbered(3))

    assert bench.begin() == lost
    bench.tell(*numbered(2, 3))
    bench.wait_committed()

    assert bench.rows() == [1, 2, 3]


def test_what_a_failed_run_lost_is_told_again_without_postgresql_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.actor.ASK_POSITION_S", 0.1)
    bench.start()
    bench.begin()
    bench.tell(*numbered(1))
    bench.wait_committed()
    bench.stop()
    bench.start(url=NOWHERE)
    before = bench.begin()
    monkeypatch.setattr("orchestrator.actors.event_persister.actor.ASK_POSITION_S", 60)
    bench.actor.kill(RuntimeError("made to fail"))
    assert bench.actor.join(5.0)
    bench.incarnate()
    bench.position = StreamPosition(0, before.ms + 1, 0, before.ms + 1, before.ms + 1)
    bench.told(bench.listener)

    bench.tell(*numbered(3))  # 2 was in the hand of the one that failed

    wait_until(lambda: ReadStream(before, anew=True) in bench.told(bench.listener), limit_s=2)


def test_a_run_that_fails_loses_and_repeats_nothing(bench: Bench) -> None:
    bench.start()
    bench.begin()
    for number in range(0, 300, 3):
        bench.tell(*numbered(number, number + 1, number + 2))
        if number % 60 == 0:
            bench.actor.kill(RuntimeError("made to fail"))
            assert bench.actor.join(5.0)
            bench.incarnate()
    bench.listen()
    bench.wait_committed()

    assert bench.rows() == list(range(300))
    bench.assert_balanced()


def test_an_entry_that_only_postgresql_refuses_does_not_hold_up_the_place(bench: Bench) -> None:
    bench.start()
    with connect(bench.url) as connection:
        connection.execute(
            "ALTER TABLE events ADD CONSTRAINT no_bad CHECK ((payload->>'n') IS DISTINCT FROM '2')"
        )
    bench.begin()

    bench.tell(*numbered(1, 2))
    bench.wait_committed()

    assert bench.rows("type") == ["strategy.x", "bus.rejected"]
    assert bench.writer.stream_position() == bench.position


@pytest.mark.parametrize(
    ("channel", "payload", "reason"),
    [
        (b"nowhere", b"{}", "the channel matches no pattern"),
        (b"bus.gap", b"{}", "the channel matches no pattern"),
        (b"strategy.x", b"no json", "not JSON"),
        (b"strategy.\xff", b"{}", "the channel is not UTF-8"),
    ],
)
def test_what_is_no_entry_of_ours_is_rejected_and_read_once(
    bench: Bench, channel: bytes, payload: bytes, reason: str
) -> None:
    bench.start()
    bench.begin()

    bench.tell(payload, channel=channel)
    bench.wait_committed()

    assert bench.rows("type") == ["bus.rejected"]
    assert reason in bench.rows("payload->>'reason'")[0]


def test_of_both_copies_of_a_durable_message_the_streams_is_stored(bench: Bench) -> None:
    bench.start()
    bench.begin()
    bench.publish({"n": 1, "durable": True})
    bench.tell({"n": 1, "durable": True}, {"n": 2, "durable": True})
    bench.publish({"n": 2, "durable": True})
    bench.wait_committed()

    assert bench.rows() == [1, 2]
    assert bench.state.ingest.durable.found == 2
    bench.assert_balanced()


def test_a_copy_that_the_stream_does_not_bring_is_stored_as_published_and_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.dedup.FOUND_WITHIN_S", 0.2)
    bench.start()
    bench.begin()
    bench.publish({"n": 1, "durable": True})
    gevent.sleep(0.1)
    bench.tell()  # read to its end, and it was not there
    wait_until(lambda: bench.rows() == [1])

    bench.tell({"n": 1, "durable": True})  # it comes after all
    bench.wait_committed()

    assert bench.rows() == [1]
    assert bench.state.ingest.durable.given_up == 1
    assert bench.state.ingest.durable.repeated == 1
    bench.assert_balanced()


def test_the_place_moves_on_although_nothing_is_stored_and_over_a_restart_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_a_copy_that_the_stream_does_not_bring_is_stored_as_published_and_counted(
        bench, monkeypatch
    )
    before = bench.position
    bench.stop()

    bench.start()

    assert bench.begin() == before


def test_a_durable_stop_is_heard_at_once_by_whichever_copy_comes_first(bench: Bench) -> None:
    bench.start()
    bench.begin()

    bench.publish({"enabled": True, "durable": True}, "risk.killswitch")
    told: list[Any] = []

    def stops_heard() -> list[StopHeard]:
        told.extend(bench.told(bench.stops))
        return [message for message in told if isinstance(message, StopHeard)]

    wait_until(stops_heard)
    (heard,) = stops_heard()
    assert json.loads(heard.event.payload)["enabled"] is True
    assert bench.rows("type") == []


def test_a_full_disk_pauses_the_stream_and_it_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.pipeline.JOURNAL_RETRY_S", 0.05)
    bench.start()
    bench.begin()
    refuse = True

    def write(*arguments: Any) -> None:
        if refuse:
            raise OSError(28, "no space")
        really(*arguments)

    really = bench.state.journal._writer.write
    monkeypatch.setattr(bench.state.journal._writer, "write", write)
    bench.publish({"n": 1})
    wait_until(lambda: bench.state.journal_error is not None)
    bench.tell(*numbered(2))
    bench.publish({"n": 3})
    wait_until(lambda: bench.rows() == [1, 3])
    assert bench.state.stream_known == StreamPosition()

    refuse = False
    bench.wait_committed()

    assert bench.rows() == [1, 3, 2]
    bench.assert_balanced()


def test_jumps_in_a_producers_numbers_are_gaps_and_the_stream_may_fill_them(bench: Bench) -> None:
    bench.start()
    bench.begin()
    for seq in (1, 3, 6):
        bench.publish({"n": seq, "seq": seq, "boot": "b", "source": "s"})
    bench.tell({"n": 2, "seq": 2, "boot": "b", "source": "s"})
    wait_until(lambda: len(bench.rows()) == 4)
    wait_until(lambda: bench.tell() or bench.rows(where="type = 'bus.gap'"))

    gap = bench.rows("payload", where="type = 'bus.gap'")
    assert [(one["source"], one["channel"], one["first"], one["last"]) for one in gap] == [
        ("s", "strategy.x", 4, 5)
    ]
    assert [one["count"] for one in gap] == [2]


def test_a_canary_reaches_the_monitor_and_nothing_else(bench: Bench) -> None:
    bench.start()
    bench.begin()
    channel = bench.canaries.channel.decode()

    bench.publish(bench.canaries.next("control", 5.0), channel)
    bench.publish(b'{"agent_id": "x"}', channel)
    bench.publish({"n": 1})
    wait_until(lambda: bench.rows() == [1])

    assert bench.told(bench.monitor) == [Canary("control", 5.0)]
    assert Canary("control", 5.0) in bench.told(bench.stops)
    assert bench.rows("type") == ["strategy.x"]
    assert bench.canaries.foreign == 1
    bench.assert_balanced()


def test_a_canary_reaches_the_rules_once_nothing_waits_for_an_id(bench: Bench) -> None:
    bench.start()
    bench.publish({"n": 1})
    wait_until(lambda: bench.rows() == [1])

    bench.publish(bench.canaries.next("control", 5.0), bench.canaries.channel.decode())

    wait_until(lambda: Canary("control", 5.0) in bench.told(bench.rules))


def test_while_events_wait_for_ids_the_rules_are_told_of_no_canary(bench: Bench) -> None:
    bench.start("postgresql://nobody@127.0.0.1:1/nowhere")
    channel = bench.canaries.channel.decode()
    bench.publish(bench.canaries.next("control", 4.0), channel)
    bench.publish({"n": 1})
    wait_until(lambda: bench.state.held)

    bench.publish(bench.canaries.next("control", 5.0), channel)

    wait_until(lambda: Canary("control", 5.0) in bench.told(bench.stops))
    assert Canary("control", 5.0) not in bench.told(bench.rules)
