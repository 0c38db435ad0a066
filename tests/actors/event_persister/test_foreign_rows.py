"""Which ids are ours, what of others is kept, and that it is found whatever its id."""

from collections.abc import Callable

import msgspec
import pytest
from orchestrator.actors.event_persister.foreign_rows import (
    MAX_HOLES,
    MAX_ROWS,
    ForeignRows,
    ForeignRowsWatch,
    IdMap,
)
from orchestrator.actors.event_query import EventQuery
from orchestrator.actors.events import Event
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database
from orchestrator.sql.events.event_reader import MAX_ID, EventReader, EventRow

PAGE = EventQuery(others=True)


def moment(second: int) -> str:
    return f"2026-01-31T09:{second // 60:02}:{second % 60:02}.000Z"


def row(
    event_id: int, second: int = 0, event_type: str = "t.x", payload: bytes = b"{}"
) -> EventRow:
    return EventRow(event_id, event_type, msgspec.Raw(payload), moment(second), "psql", False)


def mapped(*ranges: tuple[int, int], highest: int = 100, oldest: int | None = 1) -> IdMap:
    ids = IdMap()
    ids.begin(oldest_id=oldest, highest_id=highest)
    ids.add(ranges)
    return ids


def test_above_the_newest_id_and_below_the_oldest_nothing_is_ours() -> None:
    ids = mapped((101, 200))

    assert ids.holes(150) == [(-MAX_ID, 0), (151, MAX_ID)]
    assert ids.holes(100) == [(-MAX_ID, 0), (101, MAX_ID)]


def test_between_ranges_ids_were_given_to_others() -> None:
    ids = mapped((101, 200), (201, 300), (310, 400), (405, 500))

    assert ids.holes(450) == [(-MAX_ID, 0), (301, 309), (401, 404), (451, MAX_ID)]
    assert ids.holes(305) == [(-MAX_ID, 0), (306, MAX_ID)]


def test_ids_before_the_first_range_are_others_too() -> None:
    assert mapped((120, 200)).holes(150) == [(-MAX_ID, 0), (101, 119), (151, MAX_ID)]


def test_an_empty_table_has_nothing_below_its_first_id() -> None:
    assert mapped((1, 9), highest=0, oldest=None).holes(3) == [(-MAX_ID, 0), (4, MAX_ID)]


def test_what_is_taken_twice_counts_once() -> None:
    ids = mapped((101, 200))
    ids.add([(101, 200), (150, 300)])

    assert ids.holes(300)[1:] == [(301, MAX_ID)]


def test_of_many_holes_only_the_newest_are_looked_at() -> None:
    ids = mapped(*((200 * n, 200 * n + 99) for n in range(1, 2 * MAX_HOLES)))

    assert len(ids.holes(MAX_ID - 1)) <= MAX_HOLES + 1


@pytest.mark.parametrize(
    ("event_id", "ours"), [(100, False), (101, True), (150, True), (151, False)]
)
def test_ours_is_what_was_taken_and_given(event_id: int, ours: bool) -> None:
    assert mapped((101, 200)).is_ours(event_id, 150) is ours


def test_a_page_shows_them_newest_first_and_as_its_filter_says() -> None:
    rows = ForeignRows()
    rows.add([row(9, 1), row(7, 3, "other"), row(8, 2)])

    assert [event.id for event in rows.matching(PAGE, None)] == [7, 8, 9]
    of_type = msgspec.structs.replace(PAGE, types=("t.*",))
    assert [event.id for event in rows.matching(of_type, None)] == [8, 9]


def test_a_page_by_ids_shows_none_and_one_backwards_what_is_older() -> None:
    rows = ForeignRows()
    rows.add([row(9, 1), row(7, 3)])
    boundary = Event(5, "t.x", b"{}", moment(2), None)
    backwards = msgspec.structs.replace(PAGE, before=5)

    assert rows.matching(msgspec.structs.replace(PAGE, after=0), None) == ()
    assert rows.matching(EventQuery(), None) == ()
    assert [event.id for event in rows.matching(backwards, boundary)] == [9]
    assert rows.matching(backwards, None) == ()


def test_the_oldest_by_time_go_when_there_are_too_many() -> None:
    rows = ForeignRows()
    rows.add([row(10_000 - n, n) for n in range(MAX_ROWS + 5)])

    assert len(rows.ids) == MAX_ROWS
    assert 10_000 not in rows.ids
    assert 10_000 - MAX_ROWS - 4 in rows.ids


def test_large_ones_are_bounded_by_their_bytes() -> None:
    rows = ForeignRows()
    rows.add([row(n, n, payload=b'"%b"' % (b"x" * 2**20)) for n in range(20)])

    assert rows.ids == list(range(13, 20))


def test_those_that_are_gone_are_forgotten_and_marks_are_kept() -> None:
    rows = ForeignRows()
    rows.add([row(1), row(2)])

    assert rows.keep([2, 3])
    assert not rows.keep([2])
    rows.mark_processed([1, 2])

    assert [event.processed for event in rows.matching(PAGE, None)] == [True]


@pytest.mark.db
class TestWatch:
    @pytest.fixture
    def found(self, database: Database, pg_url: str) -> Callable[..., list[int]]:
        """Looks once after some statements; ours are 101 to 200 and 211 to 300, 150 is given."""
        ids, rows, changes = mapped((101, 200), (211, 300)), ForeignRows(), []
        watch = ForeignRowsWatch(
            ids,
            rows,
            EventReader(database),
            newest_id=lambda: 150,
            on_change=lambda: changes.append(1),
        )

        def look(*statements: str) -> list[int]:
            with connect(pg_url) as connection:
                for statement in statements:
                    connection.execute(statement.encode())
            watch.look()
            return sorted(rows.ids)

        return look

    @pytest.mark.parametrize(
        "event_id", [-(2**63) + 1, -7, 0, 151, 205, 301, 100_000, 2**53, 2**63 - 1]
    )
    def test_it_is_found_whatever_its_id(
        self, found: Callable[..., list[int]], event_id: int
    ) -> None:
        insert = f"INSERT INTO events (id, type) VALUES ({event_id}, 't.x')"

        assert found(insert) == [event_id]
        assert found("SELECT 1") == [event_id]
        assert found(f"DELETE FROM events WHERE id = {event_id}") == []

    def test_ours_are_not_others(self, found: Callable[..., list[int]]) -> None:
        ours = "INSERT INTO events (id, type) SELECT n, 't.x' FROM generate_series(101, 150) AS n"

        assert found(ours) == []

    def test_a_trigger_of_the_hosts_that_writes_is_another_program(
        self, found: Callable[..., list[int]]
    ) -> None:
        trigger = """
            CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
              INSERT INTO events (id, type) VALUES (NEW.id + 1000, 't.audit'); RETURN NEW; END $$;
            CREATE TRIGGER t AFTER INSERT ON events FOR EACH ROW WHEN (NEW.id < 1000)
              EXECUTE FUNCTION f()
        """

        assert found(trigger, "INSERT INTO events (id, type) VALUES (120, 't.x')") == [1120]
