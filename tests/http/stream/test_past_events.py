"""Stretches out of memory and PostgreSQL; what they add up to is in test_catch_up.py."""

from collections.abc import Iterator

import pytest
from orchestrator.actors.broadcaster.clients import ALL_TYPES, Clients
from orchestrator.actors.broadcaster.frames import as_is, sse_message
from orchestrator.actors.events import Event
from orchestrator.actors.recent_events import EventWindow
from orchestrator.http.stream.past_events import STRETCH_BYTES, STRETCH_IDS, NotReadable, PastEvents
from orchestrator.runtime import Address, start_actor, stop_actor
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.event_filter import EventFilter
from orchestrator.sql.events.event_reader import EventReader
from orchestrator.sql.schema.migrator import migrate
from pydantic import SecretStr

from ...actors.broadcaster.test_frames import parse
from .test_catch_up import TS, Memory

NOWHERE = PostgresSettings(url=SecretStr("postgresql://127.0.0.1:1/none"))


@pytest.fixture
def window() -> EventWindow:
    return EventWindow(floor_id=100)


@pytest.fixture
def past(window: EventWindow) -> Iterator[PastEvents]:
    actor = Memory(window)
    yield PastEvents(start_actor(actor, Address("memory")), Database(NOWHERE), Clients())
    stop_actor(actor)


def fill(window: EventWindow, first: int, last: int, size: int = 2) -> None:
    payload = b'"' + b"x" * (size - 2) + b'"'
    batch = [Event(n, "strategy.a", payload, TS, None) for n in range(first, last + 1)]
    window.append(batch, size * len(batch))


def test_a_stretch_ends_at_a_round_id(window: EventWindow, past: PastEvents) -> None:
    fill(window, 101, 3_000)

    stretch = past.after(200, ALL_TYPES, as_is)

    assert stretch.chunk is not None
    assert [one["id"] for one in parse(stretch.chunk.data)] == list(range(201, STRETCH_IDS + 1))
    assert (stretch.through, stretch.final) == (STRETCH_IDS, True)
    assert past.after(STRETCH_IDS, ALL_TYPES, as_is).through == 2 * STRETCH_IDS


def test_the_last_stretch_is_not_final(window: EventWindow, past: PastEvents) -> None:
    fill(window, 101, 150)
    assert past.after(120, ALL_TYPES, as_is)[1:] == (150, False)
    fill(window, 151, 152)

    assert past.after(120, ALL_TYPES, as_is).through == 152


def test_a_stretch_of_large_events_is_cut(window: EventWindow, past: PastEvents) -> None:
    fill(window, 101, 150, STRETCH_BYTES // 3)

    stretch = past.after(100, ALL_TYPES, as_is)

    assert stretch.chunk is not None
    assert stretch.chunk.frames in {3, 4}
    assert stretch.through == 100 + stretch.chunk.frames


def test_a_stretch_without_what_is_wanted_leads_on(window: EventWindow, past: PastEvents) -> None:
    fill(window, 101, 3_000)

    assert past.after(100, ("news.*",), as_is) == (None, STRETCH_IDS, True)


def test_stretches_differ_by_wire_and_filter(window: EventWindow, past: PastEvents) -> None:
    fill(window, 101, 600)
    plain = past.after(100, ALL_TYPES, as_is)
    told = past.after(100, ALL_TYPES, sse_message)
    filtered = past.after(100, ("strategy.b",), as_is)

    assert plain.chunk is not None
    assert told.chunk is not None
    assert told.chunk.data.startswith(b"id: 101\ndata: {")
    assert plain.chunk.frames == told.chunk.frames
    assert filtered.chunk is None


def test_what_was_replaced_is_read_anew(window: EventWindow, past: PastEvents) -> None:
    fill(window, 101, 600)
    past.after(100, ALL_TYPES, as_is)
    window.replace(Event(101, "bus.rejected", b"{}", TS, None))
    past._registry.replaced += 1

    chunk = past.after(100, ALL_TYPES, as_is).chunk

    assert chunk is not None
    assert parse(chunk.data)[0]["eventType"] == "bus.rejected"


def test_what_postgresql_has_cannot_be_read_while_it_is_away(
    window: EventWindow, past: PastEvents
) -> None:
    fill(window, 101, 102)

    with pytest.raises(NotReadable, match="up to 100 are not readable") as caught:
        past.after(50, ALL_TYPES, as_is)

    assert caught.value.through == 100


def test_nobody_is_asked_for_the_newest_id_but_memory_if_it_will_do(
    window: EventWindow, past: PastEvents
) -> None:
    fill(window, 101, 102)

    assert past.known_id() == past.newest_id(102) == 102


# -- PostgreSQL --------------------------------------------------------------------------------


@pytest.fixture
def database(pg_url: str) -> Iterator[Database]:
    with connect(pg_url) as connection:
        migrate(connection)
    made = Database(PostgresSettings(url=SecretStr(pg_url)))
    made.open()
    yield made
    made.close()


def test_rows_are_cut_at_bytes(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO events (id, type, payload, ts) SELECT n, 'strategy.' || (n % 2),"
            " to_jsonb(repeat('x', 98)), now() FROM generate_series(1, 50) AS n"
        )
    reader = EventReader(database)

    def ids(after: int, wanted: EventFilter, max_bytes: int) -> list[int]:
        return [row.id for row in reader.after(after, 20, wanted, up_to_id=45, max_bytes=max_bytes)]

    every, odd = EventFilter(), EventFilter(("strategy.1",))
    assert ids(10, every, 1) == [11]
    assert ids(10, every, 300) == [11, 12, 13]
    assert ids(10, every, 301) == [11, 12, 13, 14]
    assert ids(10, every, 10**6) == list(range(11, 31))
    assert ids(40, every, 10**6) == list(range(41, 46))
    assert ids(10, odd, 300) == [11, 13, 15]
    assert ids(41, odd, 10**6) == [43, 45]
