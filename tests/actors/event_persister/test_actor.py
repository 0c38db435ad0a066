import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import psycopg
import pytest
import structlog
from faults.commit_proxy import CommitProxy
from gevent import socket
from gevent.server import StreamServer
from orchestrator.actors.event_persister.actor import EventPersister
from orchestrator.actors.event_persister.recovery import sweep
from orchestrator.actors.event_persister.state import PersisterState
from orchestrator.actors.event_persister.status import percentiles
from orchestrator.actors.event_query import EventPage, EventQuery, NeedsDatabase
from orchestrator.actors.events import Event, NewEvent
from orchestrator.actors.journal.journal import JournalSettings, _read_into
from orchestrator.actors.messages.event_persister import (
    AwaitCommitted,
    GetBooks,
    GetEvent,
    GetEvents,
    GetPersisterStatus,
    NoteProcessed,
    PersisterStatus,
    PersistEvents,
    PersistReplies,
    StillStoring,
    StoredEvent,
)
from orchestrator.actors.messages.events import (
    EventReplaced,
    EventsJournalled,
    StopFound,
    Surveyed,
)
from orchestrator.actors.messages.redis_listener import Publish
from orchestrator.actors.payloads import reject
from orchestrator.actors.recent_events import EventWindow
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import ActorFailed, Address, Mailbox, start_actor, stop_actor
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.errors import StoreError
from orchestrator.sql.events.event_reader import EventReader
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.events.fenced_connection import STALE_AFTER_S
from orchestrator.sql.schema.migrator import migrate
from quiet_clock import quiet_s

PATTERNS = ["data.market.*", "strategy.*", "risk.*", "heartbeat.*"]
NOWHERE = "postgresql://nobody:none@127.0.0.1:1/none"


def wait_until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not within the limit"
        time.sleep(0.005)


class Bench:
    """A data directory, a database, and one run after the other of a persister."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.consumer = Address("Consumer", Mailbox(100_000))
        self.listener = Address("Listener")
        self.stops = Address("Stops")
        self.address = Address("EventPersister", Mailbox(1000))
        self.fenced: list[StoreError] = []
        self.postgres = PostgresSettings()
        self.stale_after_s = STALE_AFTER_S
        self.number = 0
        self.state: Any = None
        self.actor: Any = None
        self._ends: list[Callable[[], None]] = []

    def open(self, **arguments: Any) -> None:
        """As the daemon does at its start."""
        arguments.setdefault("settings", JournalSettings(segment_bytes=65_536))
        self.state = PersisterState(self.folder, PATTERNS, **arguments)
        self.state.open()
        database = Database(self.postgres, url=self.url)
        self.writer = EventWriter(database)
        self._ends += [self.writer.close, database.close, self.state.close]
        self.start()

    def start(self) -> None:
        """One more run."""
        self.actor = EventPersister(
            self.state,
            self.writer,
            consumers={self.consumer: None},
            listener=self.listener,
            stops=self.stops,
            on_fenced=self.fenced.append,
            stale_after_s=self.stale_after_s,
        )
        start_actor(self.actor, self.address)

    def crash(self) -> None:
        """End the run as a failure would; its address and state stay."""
        self.actor.kill(RuntimeError("made to fail"))
        assert self.actor.join(5.0)

    def end(self) -> None:
        """End the run as its supervisor does: the address stays open."""
        self.actor.stop()
        assert self.actor.join(10.0)

    def close(self) -> None:
        """As the daemon does at its end."""
        if self.state is not None and self._ends:
            assert self.differences() == {}
        if self.actor is not None:
            stop_actor(self.actor)
            self.address = Address("EventPersister", Mailbox(1000))
        while self._ends:
            self._ends.pop()()
        self.actor = None

    def publish(self, count: int, channel: str = "strategy.x", **fields: Any) -> None:
        """What the listener tells after reading ``count`` numbered messages."""
        replies = []
        for _ in range(count):
            self.number += 1
            payload = json.dumps({"n": self.number, **fields}).encode()
            pattern = next(p for p in PATTERNS if channel.startswith(p[:-1]))
            replies.append([b"pmessage", pattern.encode(), channel.encode(), payload])
        self.address.tell(PersistReplies("data", utc_now(), replies))

    def ask(self, message: object) -> Any:
        return self.address.ask(message, timeout_s=10.0)

    def status(self) -> PersisterStatus:
        answer: PersisterStatus = self.ask(GetPersisterStatus())
        return answer

    def wait_for_ids(self) -> None:
        wait_until(lambda: self.state.ids.left)

    def settle(self) -> None:
        """All that was told is journalled, if the disk takes it."""
        self.status()
        wait_until(lambda: not self.state.inbox and not self.state.current)

    def wait_stored(self) -> None:
        """All that was told is committed."""
        self.settle()
        wait_until(lambda: not self.state.backlog and not self.state.held)
        wait_until(lambda: self.state.pending == 0)
        assert self.differences() == {}

    def differences(self) -> dict[str, int]:
        """By source: what is missing or there twice."""
        return {row.source: row.difference for row in self.state.balances() if row.difference}

    def shown(self) -> list[Event]:
        """What the consumer got, in order."""
        events: list[Event] = []
        while not self.consumer.mailbox.empty():
            message: Any = self.consumer.mailbox.get().message
            events += message.events if isinstance(message, EventsJournalled) else ()
        return events

    def published(self, count: int) -> list[Publish]:
        """The next that the listener is to publish."""
        told: list[Publish] = []
        while len(told) < count:
            message: Any = self.listener.mailbox.get().message
            told += [message] if isinstance(message, Publish) else []
        return told

    def rows(self, columns: str = "(payload->>'n')::int", where: str = "true") -> list[Any]:
        with connect(self.url) as connection:
            query = f"SELECT {columns} FROM events WHERE {where} ORDER BY id"
            return [row[0] for row in connection.execute(query.encode()).fetchall()]


@pytest.fixture
def migrated(pg_url: str) -> str:
    with connect(pg_url) as connection:
        migrate(connection)
    return pg_url


@pytest.fixture
def bench(tmp_path: Path, migrated: str) -> Iterator[Bench]:
    made = Bench(tmp_path, migrated)
    yield made
    made.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Bench]:
    """A persister whose PostgreSQL is away for ever."""
    made = Bench(tmp_path, NOWHERE)
    yield made
    made.close()


# -- the way of an event ---------------------------------------------------------------------------


@pytest.mark.db
def test_events_are_shown_and_stored_in_the_order_of_receipt(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    for _ in range(20):
        bench.publish(137)
    bench.wait_stored()

    shown = bench.shown()
    assert [json.loads(event.payload)["n"] for event in shown] == list(range(1, 2741))
    assert [event.id for event in shown] == sorted({event.id for event in shown})
    assert bench.rows() == list(range(1, 2741))
    assert bench.rows("id") == [event.id for event in shown]
    status = bench.status()
    assert status.received == status.journalled == {"data": 2740}
    assert status.stored == 2740
    assert status.pending == status.dropped == status.rejected == status.not_offered == 0
    assert status.committed_id == status.newest_id == shown[-1].id


@pytest.mark.db
def test_the_columns_are_those_of_the_contract(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    beat = [b"pmessage", b"heartbeat.*", b"heartbeat.dev", b'{"text": "tab\\tquote\\" \\\\"}']
    bench.address.tell(PersistReplies("control", "2026-01-31T09:30:00.123Z", [beat]))
    bench.wait_stored()

    assert bench.rows("type") == ["heartbeat"]
    assert bench.rows("source") == ["dev"]
    assert bench.rows("payload->>'text'") == ['tab\tquote" \\']
    assert bench.rows("ts AT TIME ZONE 'UTC' = '2026-01-31 09:30:00.123'") == [True]


@pytest.mark.db
def test_posted_events_are_answered_when_journalled_and_then_published(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    stop = NewEvent("risk.killswitch", b'{"enabled":true}', source="http", request_id="r1")

    (stored,) = bench.ask(PersistEvents((stop,), publish=True, tag="t"))

    (told,) = bench.published(1)
    assert told == Publish("risk.killswitch", b'{"enabled":true}', None, "t")
    echo = [b"pmessage", b"risk.*", b"risk.killswitch", b'{"enabled":true}']
    bench.address.tell(PersistReplies("control", utc_now(), [echo]))
    bench.wait_stored()
    assert bench.rows("id") == [stored.id]
    assert bench.rows("source") == ["http"]
    assert bench.status().echoes == 1


@pytest.mark.db
def test_what_is_to_be_published_outlives_a_failure(bench: Bench) -> None:
    bench.listener.mailbox.capacity = 1
    bench.open()
    bench.wait_for_ids()
    for name in ("one", "two", "three"):
        bench.ask(PersistEvents((NewEvent(f"risk.{name}", b"{}"),), publish=True))
    bench.crash()
    bench.start()

    told = bench.published(3)
    assert [message.channel for message in told] == ["risk.one", "risk.two", "risk.three"]


@pytest.mark.db
def test_what_cannot_be_stored_becomes_rejected_and_the_asker_learns_why(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()

    good, bad = bench.ask(PersistEvents((NewEvent("a", b"{}"), NewEvent("b", b'"\\u0000"'))))
    bench.wait_stored()

    assert good.rejected is None
    assert "u0000" in bad.rejected
    assert bench.rows("type") == ["a", "bus.rejected"]
    assert bench.status().rejected == 1
    assert bench.ask(PersistEvents(())) == ()


@pytest.mark.db
def test_pages_come_from_memory_and_marks_are_noted(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.publish(5)
    bench.wait_stored()
    page = bench.ask(GetEvents(EventQuery(limit=2)))

    assert isinstance(page, EventPage)
    newest = page.events[0]
    bench.address.tell(NoteProcessed((newest.id,)))
    assert bench.ask(GetEvent(newest.id)).processed
    assert bench.ask(GetEvent(10**9)) is None


@pytest.mark.db
def test_who_waits_for_a_commit_is_answered_by_it_without_asking_again(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    with connect(bench.url) as connection, connection.transaction():
        connection.execute("LOCK TABLE events IN EXCLUSIVE MODE")
        bench.publish(3)
        bench.settle()
        newest_id = bench.state.newest_id
        assert bench.ask(AwaitCommitted(newest_id, wait_s=0.05)) is False
        before = bench.address.processed
        waiting = [gevent.spawn(bench.ask, AwaitCommitted(n, wait_s=8)) for n in (newest_id, 2**62)]
        wait_until(lambda: bench.address.processed == before + 2)
        assert not any(one.ready() for one in waiting)

    assert [one.get(timeout=10) for one in waiting] == [True, True]
    assert bench.address.processed == before + 2
    assert bench.ask(AwaitCommitted(newest_id, wait_s=0)) is True


# -- PostgreSQL away -------------------------------------------------------------------------------


@pytest.mark.db
def test_postgresql_killed_and_back_loses_nothing(
    bench: Bench, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres_server")
    bench.open()
    bench.wait_for_ids()
    for turn in range(60):
        bench.publish(100)
        time.sleep(0.002)
        if turn == 20:
            server.kill()
    wait_until(lambda: len(bench.state.window) == 6000)
    assert len(bench.shown()) == 6000
    assert bench.state.backlog

    server.start()
    bench.wait_stored()

    assert bench.rows() == list(range(1, 6001))
    assert bench.status().store_error is None


@pytest.mark.db
def test_a_server_that_falls_silent_costs_its_connection_and_no_event(
    bench: Bench,
) -> None:
    bench.postgres = PostgresSettings(silent_after_s=1)
    bench.open()
    bench.wait_for_ids()
    bench.publish(10)
    bench.wait_stored()
    before = bench.writer._connection
    with connect(bench.url) as connection:
        connection.execute("BEGIN; LOCK TABLE events IN EXCLUSIVE MODE")
        bench.publish(3000)
        wait_until(lambda: "not answered" in (bench.state.store_error or ""))
        assert before is not None
        assert before.closed
        bench.publish(10)
        wait_until(lambda: len(bench.state.window) == 3020)
        connection.execute("ROLLBACK")
    bench.wait_stored()

    assert bench.rows() == list(range(1, 3021))
    assert bench.status().store_error is None


@pytest.mark.db
def test_a_server_that_dies_behind_a_proxy_which_holds_its_connections_is_given_up(
    bench: Bench, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres_server")
    bench.postgres = PostgresSettings(silent_after_s=1)
    direct = bench.url
    with tempfile.TemporaryDirectory(prefix="held-") as name:
        proxy = CommitProxy(direct, Path(name), random.Random(1), 0.0)
        bench.url = proxy.url
        bench.open()
        bench.wait_for_ids()
        bench.publish(10)
        bench.wait_stored()
        held = bench.writer._connection
        assert held is not None
        proxy.holds = True
        server.kill()
        began = time.monotonic()
        bench.publish(3000)
        wait_until(lambda: bench.state.store_error)
        assert held.closed
        assert time.monotonic() - began > 0.9  # it was silent: a reset is noticed at once
        server.start()
        bench.publish(10)
        bench.wait_stored()
        proxy.close()

    bench.url = direct
    assert bench.rows() == list(range(1, 3021))
    assert bench.status().store_error is None


def test_without_postgresql_events_are_journalled_without_ids_and_held(alone: Bench) -> None:
    alone.open()

    (stored,) = alone.ask(PersistEvents((NewEvent("strategy.x", b"{}"),)))

    assert stored == StoredEvent(None, stored.ts)
    assert alone.shown() == []
    status = alone.status()
    assert status.held == 1
    assert status.journalled_total == status.pending == 1
    wait_until(lambda: alone.state.store_error)


@pytest.mark.db
@pytest.mark.parametrize("memory_bytes", [10_000, 32 * 1024 * 1024])
def test_held_events_get_their_ids_in_order_when_postgresql_comes(
    alone: Bench, migrated: str, memory_bytes: int
) -> None:
    alone.open(memory_bytes=memory_bytes)
    for _ in range(30):
        alone.publish(40)
        time.sleep(0.001)
    alone.settle()
    alone.close()

    alone.url = migrated
    alone.open(memory_bytes=memory_bytes)
    alone.publish(40)
    alone.wait_stored()

    assert [json.loads(event.payload)["n"] for event in alone.shown()] == list(range(1, 1241))
    assert alone.rows() == list(range(1, 1241))


@pytest.mark.db
def test_held_events_of_one_daemon_get_ids_too(bench: Bench) -> None:
    with connect(bench.url) as connection:
        connection.execute("ALTER TABLE events RENAME TO hidden")
        bench.open(memory_bytes=2_000)
        bench.publish(30)
        (stored,) = bench.ask(PersistEvents((NewEvent("strategy.x", b'{"n": 31}'),)))
        bench.number += 1
        bench.publish(30)
        assert stored.id is None
        connection.execute("ALTER TABLE hidden RENAME TO events")
    bench.wait_stored()

    assert [json.loads(event.payload)["n"] for event in bench.shown()] == list(range(1, 62))
    assert bench.rows() == list(range(1, 62))


@pytest.mark.db
def test_left_over_ids_let_a_daemon_start_without_postgresql(bench: Bench, migrated: str) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.publish(10)
    bench.wait_stored()
    bench.close()

    bench.url = NOWHERE
    bench.open()
    bench.publish(10)
    wait_until(lambda: len(bench.state.window) == 10)
    bench.close()
    bench.url = migrated
    bench.open()
    bench.wait_stored()

    ids = bench.rows("id")
    assert ids == list(range(ids[0], ids[0] + 20))
    assert bench.rows() == list(range(1, 21))


@pytest.mark.db
def test_a_backlog_larger_than_memory_waits_in_the_journal(bench: Bench, migrated: str) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.close()
    bench.url = NOWHERE
    bench.open(memory_bytes=20_000)
    for _ in range(50):
        bench.publish(50)
        time.sleep(0.001)
    wait_until(lambda: len(bench.state.window) == 2500)
    assert bench.state.backlog.span is not None
    assert bench.state.backlog.size_bytes <= 40_000
    bench.close()

    bench.url = migrated
    bench.open(memory_bytes=20_000)
    bench.wait_stored()
    assert bench.rows() == list(range(1, 2501))


# -- what PostgreSQL does not take -----------------------------------------------------------------


@pytest.mark.db
def test_a_poison_row_becomes_rejected_at_its_id_and_holds_nothing_up(bench: Bench) -> None:
    with connect(bench.url) as connection:
        connection.execute("ALTER TABLE events ADD CHECK (payload->>'poison' IS NULL)")
    bench.open()
    bench.wait_for_ids()
    bench.publish(300)
    bench.publish(1, poison=1)
    bench.publish(300)
    bench.wait_stored()

    assert len(bench.rows()) == 601
    (poisoned,) = bench.rows("id", "type = 'bus.rejected'")
    said = bench.rows("payload", "type = 'bus.rejected'")[0]
    assert said["channel"] == "strategy.x"
    assert "check" in said["reason"]
    messages = [envelope.message for envelope in bench.consumer.mailbox.take_all()]
    (replaced,) = [message for message in messages if isinstance(message, EventReplaced)]
    assert replaced.event.id == poisoned
    assert replaced.event.type == "bus.rejected"
    assert bench.ask(GetEvent(poisoned)) == replaced.event
    assert bench.status().rejected == 1


@pytest.mark.db
def test_when_every_row_is_refused_nothing_is_given_up(bench: Bench) -> None:
    with connect(bench.url) as connection:
        connection.execute("ALTER TABLE events ADD CONSTRAINT none CHECK (false)")
        bench.open()
        bench.wait_for_ids()
        bench.publish(10)
        wait_until(lambda: "every row" in (bench.state.store_error or ""))
        assert bench.rows() == []
        connection.execute("ALTER TABLE events DROP CONSTRAINT none")
    bench.wait_stored()

    assert bench.rows() == list(range(1, 11))


@pytest.mark.db
def test_a_row_of_another_writer_with_our_id_gives_ours_a_new_one(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    taken = bench.state.ids.ranges[0][0] + 5
    with connect(bench.url) as connection:
        connection.execute(
            "INSERT INTO events (id, type, payload) VALUES (%s, 'theirs', '{}')", (taken,)
        )
    bench.publish(10)
    bench.wait_stored()

    assert bench.rows("type", f"id = {taken}") == ["theirs"]
    ours = bench.rows("(payload->>'n')::int", "type = 'strategy.x'")
    assert sorted(ours) == list(range(1, 11))
    assert ours[-1] == 6
    assert bench.status().clashes == 1
    assert bench.status().stored == 10
    assert bench.shown()[-1].id == bench.rows("max(id) OVER ()")[0]


@pytest.mark.db
def test_rows_that_are_stored_already_are_not_stored_twice(bench: Bench, tmp_path: Path) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.publish(50)
    bench.wait_stored()
    bench.close()
    (tmp_path / "journal" / "head").unlink()  # nobody knows any more what is committed

    bench.open()
    bench.publish(1)
    bench.wait_stored()

    assert bench.rows() == list(range(1, 52))


# -- the commit nobody knows of --------------------------------------------------------------------


class SwallowingProxy:
    """Passes all on to PostgreSQL, but cuts the connection behind every third COMMIT of rows."""

    def __init__(self, url: str, folder: Path) -> None:
        parts = psycopg.conninfo.conninfo_to_dict(url)
        host, port = str(parts["host"]), int(str(parts.get("port", 5432)))
        self._socket = host.startswith("/")
        self._target: Any = f"{host}/.s.PGSQL.{port}" if self._socket else (host, port)
        self.commits = self.swallowed = 0
        listener: Any = ("127.0.0.1", 0)
        if self._socket:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / ".s.PGSQL.5432"))
            listener.listen()
        self._server = StreamServer(listener, self._serve)
        self._server.start()
        own = (str(folder), 5432) if self._socket else ("127.0.0.1", self._server.server_port)
        self.url = psycopg.conninfo.make_conninfo(url, host=own[0], port=own[1])

    def _serve(self, client: socket.socket, _address: object) -> None:
        server = socket.socket(socket.AF_UNIX if self._socket else socket.AF_INET)
        server.connect(self._target)
        back = gevent.spawn(self._pump, server, client)
        storing = False
        while data := _read(client):
            server.sendall(data)
            storing = storing or b"COPY " in data
            if storing and b"COMMIT" in data:
                storing = False
                self.commits += 1
                if self.commits % 3 == 0:
                    self.swallowed += 1
                    break
        back.kill()
        client.close()
        server.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        while data := _read(source):
            target.sendall(data)

    def close(self) -> None:
        self._server.stop()


def _read(source: socket.socket) -> bytes:
    try:
        return bytes(source.recv(65536))
    except OSError:
        return b""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Names of Unix sockets may have some 100 characters only."""
    with tempfile.TemporaryDirectory(prefix="proxy-") as name:
        yield Path(name)


@pytest.mark.db
def test_a_commit_of_unknown_fate_is_settled_without_loss_or_double(
    bench: Bench, short_folder: Path
) -> None:
    proxy = SwallowingProxy(bench.url, short_folder)
    direct, bench.url = bench.url, proxy.url
    bench.open()
    bench.wait_for_ids()
    end = time.monotonic() + 20.0
    while proxy.swallowed < 4 and time.monotonic() < end:
        bench.publish(25)
        time.sleep(0.01)
    bench.wait_stored()
    bench.url = direct

    assert proxy.swallowed >= 4
    assert bench.rows() == list(range(1, bench.number + 1))
    bench.close()
    proxy.close()


# -- ends of runs and of daemons -----------------------------------------------------------


@pytest.mark.db
def test_a_restarted_actor_goes_on_with_what_waited(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    for turn in range(60):
        bench.publish(200)
        gevent.sleep(0.0003 * (turn % 4))
        if turn % 6 == 0:
            bench.crash()
            bench.publish(10)
            bench.start()
    bench.wait_stored()

    expected = list(range(1, 60 * 200 + 10 * 10 + 1))
    assert bench.rows() == expected
    assert [json.loads(event.payload)["n"] for event in bench.shown()] == expected


@pytest.mark.db
def test_whoever_asked_an_actor_that_failed_learns_it_and_the_event_is_stored(
    bench: Bench,
) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.state.journal.work(lambda: None)
    answers: list[object] = []

    def ask() -> None:
        try:
            answers.append(bench.ask(PersistEvents((NewEvent("strategy.x", b'{"n": 1}'),))))
        except ActorFailed as error:
            answers.append(error)

    asker = gevent.spawn(ask)
    wait_until(lambda: bench.state.current is not None or answers)
    bench.crash()
    asker.join(5.0)
    bench.start()
    bench.wait_stored()

    assert len(answers) == 1
    assert bench.rows() == [1]


@pytest.mark.db
def test_a_stop_drains_what_was_told(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    for _ in range(10):
        bench.publish(100)
    bench.close()

    assert bench.rows() == list(range(1, 1001))
    with connect(bench.url) as connection:
        renewed = connection.execute("SELECT isfinite(renewed_at) FROM orchestrator_writer")
        assert renewed.fetchone() == (False,)


@pytest.mark.db
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_failures_within_the_recovery_from_failures_lose_nothing(
    bench: Bench, request: pytest.FixtureRequest, seed: int
) -> None:
    server = request.getfixturevalue("postgres_server")
    chance = random.Random(seed)
    with connect(bench.url) as connection:
        connection.execute("ALTER TABLE events ADD CHECK (payload->>'poison' IS NULL)")
    bench.open(memory_bytes=50_000)
    bench.wait_for_ids()
    poisoned = 0
    for turn in range(40):
        bench.publish(chance.randrange(1, 400))
        if chance.random() < 0.1:
            bench.publish(1, poison=1)
            poisoned += 1
        gevent.sleep(chance.random() * 0.01)
        if chance.random() < 0.3:
            bench.crash()
            bench.start()
        if turn in {10, 25}:
            server.kill()
        if turn in {15, 30}:
            server.start()
    bench.wait_stored()

    rows = bench.rows()
    assert len(rows) == bench.number
    assert len(bench.rows("1", "type = 'bus.rejected'")) == poisoned
    numbered = [number for number in rows if number is not None]
    assert numbered == sorted(set(numbered))
    assert len(numbered) == bench.number - poisoned
    assert bench.rows("id") == [event.id for event in bench.shown()]


@pytest.mark.db
def test_a_failure_while_an_event_gets_its_new_id_neither_loses_nor_doubles_it(
    bench: Bench,
) -> None:
    bench.open()
    bench.wait_for_ids()
    taken = bench.state.ids.ranges[0][0] + 5
    with connect(bench.url) as connection:
        connection.execute(
            "INSERT INTO events (id, type, payload) VALUES (%s, 'theirs', '{}')", (taken,)
        )
    bench.publish(10)
    wait_until(lambda: bench.state.to_move or bench.state.moved)
    bench.crash()
    bench.start()
    bench.wait_stored()
    bench.close()
    (bench.folder / "journal" / "head").unlink()
    bench.open()
    bench.publish(1)
    bench.wait_stored()

    assert sorted(bench.rows(where="type = 'strategy.x'")) == list(range(1, 12))


DAEMON = """
from gevent import monkey; monkey.patch_all()
import sys, time, json
from pathlib import Path
from orchestrator.actors.event_persister.actor import EventPersister
from orchestrator.actors.event_persister.state import PersisterState
from orchestrator.actors.messages.event_persister import PersistReplies
from orchestrator.protocol.timestamps import utc_now
from orchestrator.runtime import start_actor
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.event_reader import EventReader
from orchestrator.sql.events.event_writer import EventWriter

state = PersisterState(Path(sys.argv[1]), ["strategy.*"])
state.open()
writer = EventWriter(Database(PostgresSettings(), url=sys.argv[2]))
address = start_actor(EventPersister(state, writer))
while not state.ids.left:
    time.sleep(0.01)
number = 0
while True:
    replies = []
    for _ in range(100):
        number += 1
        payload = json.dumps({"n": number}).encode()
        replies.append([b"pmessage", b"strategy.*", b"strategy.x", payload])
    address.tell(PersistReplies("data", utc_now(), replies))
    time.sleep(0.001)
    print(sum(state.journalled.values()), flush=True)
"""


@pytest.mark.db
@pytest.mark.subprocess
def test_what_a_killed_daemon_had_journalled_is_stored_by_the_next(bench: Bench) -> None:
    command = [sys.executable, "-c", DAEMON, str(bench.folder), bench.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        said = [int(daemon.stdout.readline()) for _ in range(100)]
        daemon.send_signal(signal.SIGKILL)
    journalled = said[-1]
    assert journalled > 1000

    bench.open()
    bench.wait_stored()

    rows = bench.rows()
    assert len(rows) >= journalled
    assert rows == list(range(1, len(rows) + 1))


@pytest.mark.db
def test_after_a_start_the_newest_of_the_backlog_is_shown_and_all_stops_are_told(
    bench: Bench, migrated: str
) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.close()
    bench.url = NOWHERE
    bench.open()
    bench.publish(1, channel="risk.killswitch")
    bench.publish(1, channel="risk.limit")
    for _ in range(4):
        bench.settle()
        bench.publish(1000)
    bench.publish(1, channel="risk.killswitch")
    wait_until(lambda: len(bench.state.window) == 4003)
    bench.close()
    bench.shown()

    bench.url = migrated
    bench.open(window=EventWindow(2500))
    shown = [json.loads(event.payload)["n"] for event in bench.shown()]
    assert shown == list(range(4004 - len(shown), 4004))
    assert 1000 < len(shown) <= 2500
    told: list[Any] = []

    def stops_found() -> list[StopFound]:
        told.extend(envelope.message for envelope in bench.stops.mailbox.take_all())
        return [message for message in told if isinstance(message, StopFound)]

    wait_until(stops_found)
    (found,) = stops_found()
    assert json.loads(found.event.payload)["n"] == 1
    wait_until(lambda: stops_found() and Surveyed(done=True) in told[told.index(found) :])
    assert Surveyed(done=False) in told[: told.index(found)]
    bench.wait_stored()
    assert bench.rows() == list(range(1, 4004))


@pytest.mark.db
def test_what_is_told_after_the_last_stop_is_stored_by_the_next_daemon(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.publish(10)
    bench.wait_stored()
    bench.end()
    bench.publish(1500)
    bench.address.tell(PersistEvents((NewEvent("runtime.stopping", b"{}"),)))

    assert sweep(bench.state, bench.address) == 0

    assert bench.state.pending == 1501
    assert bench.address.dead_letters.total == 0
    bench.publish(1)
    assert bench.address.dead_letters.total == 1
    bench.close()
    bench.open()
    bench.wait_stored()
    assert len(bench.rows("1", "type = 'strategy.x'")) == 1510
    assert bench.rows("type", "type LIKE 'runtime.%'") == ["runtime.stopping"]


def test_what_the_disk_does_not_take_before_the_end_is_counted(alone: Bench) -> None:
    alone.open(settings=JournalSettings(segment_bytes=16_384, max_bytes=65_536))
    for _ in range(10):
        alone.publish(100, pad="x" * 100)
    wait_until(lambda: alone.state.journal_error)
    alone.end()
    alone.publish(7)
    kept = alone.state.journal.head.rows_total

    with structlog.testing.capture_logs() as logs:
        lost = sweep(alone.state, alone.address)

    assert lost == 1007 - kept > 0
    assert [entry["events"] for entry in logs if "lost" in entry["event"]] == [lost]


def test_what_nobody_had_time_to_journal_becomes_a_dead_letter(alone: Bench) -> None:
    alone.open()
    alone.end()
    alone.publish(3)

    assert sweep(alone.state, alone.address, limit_s=0.0) == 3

    (letter,) = alone.address.dead_letters.snapshot()
    assert letter.actor == "EventPersister"


# -- a backlog at the start ------------------------------------------------------------------------


class Gate:
    """Holds up the thread that reads the journal, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = self.is_open = False
        sleep = gevent.monkey.get_original("time", "sleep")
        really = _read_into

        def read_into(*arguments: Any) -> None:
            self.reached = True
            while not self.is_open:
                sleep(0.001)
            really(*arguments)

        monkeypatch.setattr("orchestrator.actors.journal.journal._read_into", read_into)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate(monkeypatch)
    yield made
    made.is_open = True


def leave_backlog(bench: Bench, count: int) -> None:
    """As a daemon does that had ids, but no PostgreSQL."""
    bench.open()
    bench.wait_for_ids()
    bench.close()
    url, bench.url = bench.url, NOWHERE
    bench.open()
    for _ in range(count // 100):
        bench.publish(100)
    wait_until(lambda: len(bench.state.window) == count)
    bench.close()
    bench.shown()
    bench.url = url


@pytest.fixture
def gated(gate: Gate, bench: Bench) -> Iterator[Bench]:
    """A bench that is closed when the gate is open again."""
    yield bench
    gate.is_open = True


@pytest.mark.db
def test_new_events_are_shown_while_a_long_backlog_is_still_being_read(
    gated: Bench, gate: Gate
) -> None:
    bench = gated
    gate.is_open = True
    leave_backlog(bench, 4000)
    gate.is_open = gate.reached = False

    bench.open(window=EventWindow(1500))
    wait_until(lambda: gate.reached)
    bench.shown()
    bench.publish(10)
    wait_until(lambda: len(bench.consumer.mailbox))

    live = bench.shown()
    assert [json.loads(event.payload)["n"] for event in live] == list(range(4001, 4011))
    page = bench.ask(GetEvents(EventQuery(limit=5)))
    assert page.events[0] == live[-1]
    assert bench.differences() == {}
    assert sum(row.journal for row in bench.state.balances()) == 4010
    assert bench.rows() == []
    first_id = live[-1].id - 4009
    assert bench.ask(GetEvent(first_id)) == StillStoring()
    middle = bench.ask(GetEvents(EventQuery(before=live[-1].id - 3000, limit=20)))
    assert middle.rows_wanted() is None

    gate.is_open = True
    bench.wait_stored()
    assert bench.rows() == list(range(1, 4011))
    assert bench.rows("id") == list(range(first_id, live[-1].id + 1))
    assert bench.ask(GetEvent(first_id)) is None


@pytest.mark.db
def test_whoever_fails_while_the_journal_is_read_leaves_that_to_its_successor(
    gated: Bench, gate: Gate
) -> None:
    bench = gated
    gate.is_open = True
    leave_backlog(bench, 1000)
    gate.is_open = gate.reached = False
    bench.open()
    wait_until(lambda: gate.reached)
    bench.publish(5)
    bench.crash()
    bench.start()
    bench.publish(5)

    gate.is_open = True
    bench.wait_stored()

    assert bench.rows() == list(range(1, 1011))
    assert [json.loads(event.payload)["n"] for event in bench.shown()] == list(range(1, 1011))


@pytest.mark.db
def test_behind_events_without_ids_new_ones_wait_for_theirs_in_order(
    gated: Bench, gate: Gate, migrated: str
) -> None:
    bench = gated
    gate.is_open = True
    bench.url = NOWHERE
    bench.open()
    for _ in range(20):
        bench.publish(100)
        bench.settle()
    bench.close()
    gate.is_open = gate.reached = False
    bench.url = migrated
    bench.open()
    wait_until(lambda: gate.reached)
    bench.publish(100)
    bench.wait_for_ids()
    bench.settle()
    assert bench.shown() == []

    gate.is_open = True
    bench.wait_stored()

    assert [json.loads(event.payload)["n"] for event in bench.shown()] == list(range(1, 2101))
    assert bench.rows() == list(range(1, 2101))


@pytest.mark.db
def test_a_poller_sees_each_event_once_while_the_backlog_is_stored(
    bench: Bench, migrated: str
) -> None:
    leave_backlog(bench, 6000)
    bench.open(window=EventWindow(1500), memory_bytes=50_000)
    database = Database(PostgresSettings(), url=migrated)
    database.open()
    reader = EventReader(database)
    seen: list[int] = []
    end = time.monotonic() + 30
    while len(seen) < 6500 and time.monotonic() < end:
        if bench.number < 6500:
            bench.publish(10)
        query = EventQuery(after=seen[-1] if seen else 0, limit=200)
        page = bench.ask(GetEvents(query))
        if isinstance(page, NeedsDatabase):
            wanted = page.rows_wanted()
            assert wanted is not None
            rows = reader.after(wanted.after or 0, wanted.limit, up_to_id=wanted.through)
            page = page.complete(rows)
        if page is not None:  # None: 503
            seen += [event.id for event in reversed(page.events)]
        gevent.sleep(0.001)
    database.close()

    bench.wait_stored()
    assert seen == bench.rows("id")
    assert bench.rows() == list(range(1, 6501))


# -- no room, no right -----------------------------------------------------------------------------


@pytest.mark.db
def test_without_room_market_data_goes_first_and_it_is_said(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.close()
    url, bench.url = bench.url, NOWHERE
    bench.open(
        settings=JournalSettings(segment_bytes=16_384, max_bytes=65_536), memory_bytes=100_000
    )
    for _ in range(50):
        bench.publish(50, channel="data.market.A", pad="x" * 100)
        bench.publish(1, channel="risk.x")
        time.sleep(0.002)
    bench.settle()
    status = bench.status()
    assert status.journal_error is not None
    assert status.dropped > 0
    assert len(bench.shown()) == 2550
    bench.crash()
    bench.writer._database = Database(PostgresSettings(), url=url)
    bench.start()
    bench.url = url
    bench.wait_stored()
    wait_until(lambda: bench.status().journal_error is None)
    bench.wait_stored()

    status = bench.status()
    assert len(bench.rows("1", "type = 'risk.x'")) == 50
    count = "(payload->>'count')::int"
    wait_until(lambda: sum(bench.rows(count, "type = 'bus.dropped'")) == status.dropped)
    kept = len(bench.rows("1", "type = 'data.market.A'"))
    assert kept + status.dropped == 2500


@pytest.mark.db
def test_a_daemon_whose_fence_was_taken_stops_storing_and_says_by_whom(bench: Bench) -> None:
    bench.open()
    bench.wait_for_ids()
    with connect(bench.url) as connection:
        connection.execute(
            "UPDATE orchestrator_writer SET epoch = epoch + 1, instance = 'other', host = 'there',"
            " renewed_at = clock_timestamp()"
        )
    bench.publish(10)

    wait_until(lambda: bench.fenced)
    assert "other" in str(bench.fenced[0])
    assert bench.rows() == []
    assert bench.status().pending == 10


TAKE_THE_FENCE = """
import pathlib, psycopg, sys
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute(
        "UPDATE orchestrator_writer SET epoch = epoch + 1, instance = 'other', host = 'there',"
        " renewed_at = clock_timestamp()"
    )
pathlib.Path(sys.argv[2]).touch()
"""


@pytest.mark.db
@pytest.mark.parametrize("is_taken", [True, False])
def test_a_daemon_that_wakes_shows_nothing_before_it_has_proved_that_it_writes(
    bench: Bench, tmp_path: Path, is_taken: bool
) -> None:
    bench.stale_after_s = 4.0
    bench.open()
    bench.wait_for_ids()
    taken, sleep = tmp_path / "taken", gevent.monkey.get_original("time", "sleep")

    if is_taken:
        subprocess.Popen([sys.executable, "-c", TAKE_THE_FENCE, bench.url, str(taken)])
    else:
        taken.touch()
    bench.publish(10)
    sleep(2.2)  # no greenlet runs
    while not taken.exists():
        sleep(0.02)

    if is_taken:
        wait_until(lambda: bench.fenced)
        bench.settle()
        assert bench.shown() == []
    else:
        wait_until(lambda: len(bench.consumer.mailbox) > 0)
        assert len(bench.shown()) == 10


@pytest.mark.db
def test_a_daemon_does_not_start_storing_beside_another(bench: Bench) -> None:
    other = EventWriter(Database(PostgresSettings(), url=bench.url))
    other.claim(instance="first", host="here", pid=1, stale_after_s=30.0)

    bench.open()
    bench.publish(5)

    wait_until(lambda: bench.fenced)
    assert "first" in str(bench.fenced[0])
    assert bench.rows() == []
    other.close()


@pytest.mark.db
def test_damage_of_the_journal_is_said_by_an_event(bench: Bench, tmp_path: Path) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.close()
    url, bench.url = bench.url, NOWHERE
    bench.open()
    for _ in range(5):
        bench.publish(10)
        bench.settle()
    bench.close()
    segment = next((tmp_path / "journal").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)

    bench.url = url
    bench.open()
    assert 0 < bench.state.last_journalled_ms < time.time() * 1000
    bench.wait_stored()
    wait_until(lambda: bench.rows("payload", "type = 'bus.dropped'"))

    (said,) = bench.rows("payload", "type = 'bus.dropped'")
    assert said == {"reason": "the journal was damaged", "types": {}, "count": 10}
    assert len(bench.rows("1", "type = 'strategy.x'")) == 40
    assert bench.status().missing_rows == 10
    assert bench.status().pending == 0


@pytest.mark.db
def test_a_consumers_full_mailbox_holds_nothing_up_and_stops_still_get_through(
    bench: Bench,
) -> None:
    bench.consumer.mailbox.capacity = 1
    bench.open()
    bench.wait_for_ids()
    for _ in range(3):
        bench.publish(1)
        bench.settle()
    bench.publish(1, channel="risk.killswitch")
    bench.wait_stored()

    assert [event.type for event in bench.shown()] == ["risk.killswitch", "strategy.x"]
    assert bench.status().not_offered == 3
    bench.actor._retry()
    bench.actor._log_statistics()
    assert bench.state.rate_per_s > 0


def test_an_actor_whose_intake_is_full_lets_the_mailbox_fill(
    alone: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.actors.event_persister.actor.MAX_INBOX_EVENTS", 10)
    alone.open()

    for _ in range(20):
        alone.publish(100)

    alone.settle()
    assert alone.status().journalled_total == 2000


@pytest.mark.db
def test_each_consumer_gets_what_concerns_it_only(bench: Bench) -> None:
    keeper = Address("Keeper", Mailbox(2))
    wanted = frozenset({"risk.killswitch"})
    bench.open()
    stop_actor(bench.actor)
    bench.actor = EventPersister(bench.state, bench.writer, consumers={keeper: wanted})
    bench.address = Address("EventPersister", Mailbox(1000))
    start_actor(bench.actor, bench.address)
    bench.wait_for_ids()
    bench.publish(1, channel="risk.killswitch")
    for _ in range(10):
        bench.publish(500, channel="data.market.A")
        bench.settle()
    bench.wait_stored()

    (told,) = [envelope.message for envelope in keeper.mailbox.take_all()]
    assert [event.type for event in told.events] == ["risk.killswitch"]
    assert bench.status().not_offered == 0


@pytest.mark.db
def test_the_books_say_what_became_of_all_and_what_was_carried_over(
    bench: Bench, migrated: str
) -> None:
    bench.open()
    bench.wait_for_ids()
    bench.publish(10)
    bench.wait_stored()
    bench.close()
    bench.url = NOWHERE
    bench.open()
    bench.publish(5)
    bench.address.tell(
        PersistReplies("data", utc_now(), [[b"pmessage", b"strategy.*", b"strategy.x", b"{"]])
    )
    bench.settle()
    bench.close()
    bench.url = migrated
    bench.open()
    wait_until(lambda: bench.state.surveyed)
    carried = {row.source: row for row in bench.state.balances()}["data"]
    assert carried.carried == 6
    bench.publish(4)
    bench.wait_stored()

    (books,) = [row for row in bench.ask(GetBooks()) if row.source == "data"]
    assert (books.received, books.stored, books.rejected, books.journal) == (4, 9, 1, 0)


@pytest.mark.db
def test_a_poison_row_replaced_before_a_failure_is_not_replaced_again(bench: Bench) -> None:
    with connect(bench.url) as connection:
        connection.execute("ALTER TABLE events ADD CHECK (payload->>'poison' IS NULL)")
    bench.open()
    bench.wait_for_ids()
    first = bench.state.ids.ranges[0][0]
    payload = b'{"n": 1, "poison": 1}'
    with connect(bench.url) as connection:
        connection.execute(
            "INSERT INTO events (id, type, payload) VALUES (%s, 'bus.rejected', %s)",
            (first, reject("strategy.x", payload, "a daemon before put it there").decode()),
        )
    bench.publish(1, poison=1)
    bench.publish(9)
    bench.wait_stored()

    assert bench.rows("id", "type = 'bus.rejected'") == [first]
    assert bench.rows(where="type = 'strategy.x'") == list(range(2, 11))
    assert bench.status().clashes == 0
    assert bench.status().rejected == 1


def test_percentiles_of_nothing_are_zero() -> None:
    assert percentiles([]) == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}
    assert percentiles(list(range(101)))["p95"] == 95


def test_a_database_that_was_set_back_is_noticed_at_the_start(bench: Bench, migrated: str) -> None:
    bench.open()
    bench.publish(20)
    bench.wait_stored()
    bench.close()
    with connect(migrated) as connection:
        connection.execute("DELETE FROM events")

    with structlog.testing.capture_logs() as logs:
        bench.open()
        bench.publish(1)
        bench.wait_stored()

    told = [entry for entry in logs if "db refill" in entry["event"]]
    assert [entry["highest_id"] for entry in told] == [0]
