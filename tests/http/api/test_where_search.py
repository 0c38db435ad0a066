"""A filter over rows of PostgreSQL: all that is wanted comes, a bounded number of rows a page."""

from collections.abc import Iterator
from typing import Any

import pytest
from orchestrator.actors.event_query import DatabaseRange
from orchestrator.http.api.where_search import MAX_ROWS, search
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.event_filter import ALL, EventFilter
from orchestrator.sql.events.event_reader import EventReader
from orchestrator.sql.schema.migrator import migrate
from pydantic import SecretStr

ROWS = 30_000
RARE = 7_000
"""One row in so many is wanted."""


@pytest.fixture
def reader(pg_url: str) -> Iterator["Counting"]:
    with connect(pg_url) as connection:
        migrate(connection)
    database = Database(PostgresSettings(url=SecretStr(pg_url)))
    database.open()
    with database.transaction() as connection:
        connection.execute(
            "INSERT INTO events (id, type, payload, ts, source) SELECT n, 'strategy.' || (n %% 2),"
            " jsonb_build_object('n', n, 'rare', n %% %s = 0), now(), 's'"
            " FROM generate_series(1, %s) AS n",
            (RARE, ROWS),
        )
    yield Counting(database)
    database.close()


class Counting(EventReader):
    """Counts the rows that PostgreSQL gives."""

    rows_given = 0

    def latest(self, *args: Any, **options: Any) -> Any:
        found = super().latest(*args, **options)
        self.rows_given += len(found)
        return found

    def after(self, *args: Any, **options: Any) -> Any:
        found = super().after(*args, **options)
        self.rows_given += len(found)
        return found


def wanted(*, forward: bool, at: int | None = None, limit: int = 51) -> DatabaseRange:
    if forward:
        return DatabaseRange(after=at or 0, through=None, limit=limit, oldest_first=True)
    return DatabaseRange(after=None, through=at, limit=limit, oldest_first=False)


def whole_search(reader: Counting, narrowed: EventFilter, *, forward: bool) -> list[int]:
    """All pages; each goes on from where the one before ended."""
    found: list[int] = []
    at: int | None = None
    while True:
        page = search(reader, "data.rare == true", narrowed, wanted(forward=forward, at=at))
        found += [row.id for row in page.rows]
        if page.looked_to is None:
            return found
        at = page.looked_to if forward else page.looked_to - 1


def test_a_page_examines_so_many_rows_and_the_next_goes_on(reader: Counting) -> None:
    ids = list(range(RARE, ROWS + 1, RARE))

    for forward in (True, False):
        page = search(reader, "data.rare == true", ALL, wanted(forward=forward))
        assert page.looked_to is not None
        assert reader.rows_given <= MAX_ROWS
        reader.rows_given = 0
        assert whole_search(reader, ALL, forward=forward) == (ids if forward else ids[::-1])
        reader.rows_given = 0


def test_other_conditions_narrow_the_rows_by_their_indexes(reader: Counting) -> None:
    even = EventFilter(("strategy.0",))

    found = whole_search(reader, even, forward=False)

    assert found == [28_000, 21_000, 14_000, 7_000]
    assert reader.rows_given == ROWS // 2


def test_a_full_page_looks_no_further(reader: Counting) -> None:
    page = search(reader, "data.n > 0", ALL, wanted(forward=False, limit=3))

    assert [row.id for row in page.rows] == [ROWS, ROWS - 1, ROWS - 2]
    assert page.looked_to is None
    assert reader.rows_given == 500


def test_large_payloads_are_examined_in_small_batches(reader: Counting, pg_url: str) -> None:
    with connect(pg_url) as connection:
        connection.execute(
            "INSERT INTO events (id, type, payload, ts) SELECT n, 'news',"
            " jsonb_build_object('n', n, 'text', repeat('x', 400000)), now()"
            " FROM generate_series(40001, 40040) AS n"
        )

    page = search(reader, "data.n == 40001", ALL, wanted(forward=False))

    assert page.looked_to is not None
    assert page.looked_to > 40_010
    assert reader.rows_given < 25
