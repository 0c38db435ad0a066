import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import gevent
import pytest
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.database import Database
from orchestrator.sql.errors import Unavailable
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.retention import RetentionRule, keep_time_s, prune

pytestmark = pytest.mark.db

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR_S = 3_600
RULES = (
    RetentionRule("data.market.BTC.*", 10 * HOUR_S),
    RetentionRule("data.market.*", 2 * HOUR_S),
    RetentionRule("heartbeat.*", HOUR_S),
)


@pytest.fixture(autouse=True)
def an_event_each_minute_for_a_day(admin: Connection) -> None:
    admin.execute(
        "INSERT INTO events (type, ts) SELECT type, '2026-01-31T12:00:00Z'::timestamptz"
        "  - n * interval '1 minute'"
        " FROM generate_series(1440, 1, -1) AS n, unnest(ARRAY['data.market.BTC.1m',"
        "  'data.market.AAPL.1m', 'heartbeat', 'risk.alert']) AS type"
    )


def counts(admin: Connection) -> dict[str, int]:
    return dict(admin.execute("SELECT type, count(*) FROM events GROUP BY type").fetchall())


def test_each_type_keeps_what_its_first_fitting_rule_says(
    database: Database, admin: Connection
) -> None:
    progress = list(prune(database, RULES, NOW, batch_rows=100))

    assert counts(admin) == {
        "data.market.BTC.1m": 600,
        "data.market.AAPL.1m": 120,
        "heartbeat": 60,
        "risk.alert": 1440,
    }
    assert sum(step.deleted for step in progress) == 840 + 1320 + 1380
    assert max(step.deleted for step in progress) <= 100


def test_a_second_run_has_nothing_to_do(database: Database) -> None:
    list(prune(database, RULES, NOW))

    assert list(prune(database, RULES, NOW)) == []


def test_a_dry_run_counts_and_deletes_nothing(database: Database, admin: Connection) -> None:
    progress = list(prune(database, RULES, NOW, dry_run=True, batch_rows=500))

    assert sum(step.due for step in progress) == 840 + 1320 + 1380
    assert sum(step.deleted for step in progress) == 0
    assert sum(counts(admin).values()) == 4 * 1440


def test_a_run_that_is_broken_off_keeps_what_it_did(database: Database, admin: Connection) -> None:
    steps = prune(database, RULES, NOW, batch_rows=100)
    first = next(steps)
    steps.close()

    assert first.deleted == 100
    assert sum(counts(admin).values()) == 4 * 1440 - 100


def test_types_without_a_rule_are_kept_for_ever() -> None:
    assert keep_time_s(RULES, "risk.killswitch") is None
    assert keep_time_s(RULES, "data.marketX") is None


def test_a_rule_for_heartbeat_channels_means_the_stored_type() -> None:
    assert keep_time_s(RULES, "heartbeat") == HOUR_S
    assert keep_time_s((RetentionRule("heartbeat", 5),), "heartbeat") == 5


def test_a_row_from_the_future_does_not_hide_old_ones_behind_it(
    database: Database, admin: Connection
) -> None:
    first = "SELECT min(id) FROM events WHERE type = 'heartbeat'"
    admin.execute(f"UPDATE events SET ts = '2030-01-01Z' WHERE id = ({first})".encode())

    list(prune(database, RULES, NOW))

    assert counts(admin)["heartbeat"] == 61


# -- many events: partition by partition ------------------------------------------------------

MILLION = 1_000_000
HOURS_OF = {0: 30, 1: 20, 2: 5}
"""Partition → how many hours ago its million ids were given, within some minutes."""


@pytest.fixture
def busy(admin: Connection) -> Connection:
    """Three partitions in which events came fast, and the one of now."""
    admin.execute("TRUNCATE events")
    for number, hours in HOURS_OF.items():
        fill(admin, number, hours)
    fill(admin, 3, 0)
    return admin


def fill(admin: Connection, number: int, hours: int) -> None:
    admin.execute(
        "INSERT INTO events (id, type, ts) SELECT %(start)s + n * 1000,"
        " CASE n %% 50 WHEN 0 THEN 'risk.alert' WHEN 1 THEN 'heartbeat'"
        "  ELSE 'data.market.AAPL.1m' END,"
        " '2026-01-31T12:00:00Z'::timestamptz - interval '1 hour' * %(hours)s"
        "  + n * interval '10 ms' FROM generate_series(1, 999) AS n",
        {"start": number * MILLION, "hours": hours},
    )


def parts(admin: Connection) -> dict[str, int]:
    """Rows of each partition that has any."""
    rows = admin.execute("SELECT tableoid::regclass::text, count(*) FROM events GROUP BY 1")
    return dict(rows.fetchall())


def test_a_partition_whose_rows_are_all_due_is_dropped(
    database: Database, busy: Connection
) -> None:
    rules = (RetentionRule("*", 10 * HOUR_S),)

    progress = list(prune(database, rules, NOW))

    assert sum(step.deleted for step in progress) == 2 * 999
    assert parts(busy) == {"events_p2000000_3000000": 999, "events_p3000000_4000000": 999}
    assert busy.execute("SELECT to_regclass('events_p0_1000000')").fetchone() == (None,)


def test_rows_with_longer_retention_survive_their_partition(
    database: Database, busy: Connection
) -> None:
    rules = (RetentionRule("data.market.*", 10 * HOUR_S), RetentionRule("heartbeat", 25 * HOUR_S))
    kept = busy.execute(
        "SELECT * FROM events WHERE id < 1000000 AND type = 'risk.alert'"
        " OR id BETWEEN 1000000 AND 2000000 AND type <> 'data.market.AAPL.1m' ORDER BY id"
    ).fetchall()

    progress = list(prune(database, rules, NOW))

    gone = {step.type: 0 for step in progress}
    for step in progress:
        gone[step.type] += step.deleted
    assert gone == {"data.market.AAPL.1m": 2 * 960, "heartbeat": 20}
    query = "SELECT * FROM events WHERE id < 2000000 ORDER BY id"
    assert busy.execute(query.encode()).fetchall() == kept
    assert busy.execute("SELECT count(*) FROM events WHERE id > 2000000").fetchone() == (1998,)


def test_what_is_left_of_neighbours_becomes_one_partition(
    database: Database, busy: Connection
) -> None:
    list(prune(database, (RetentionRule("data.market.*", 10 * HOUR_S),), NOW))

    assert sorted(parts(busy)) == [
        "events_p0_2000000",
        "events_p2000000_3000000",
        "events_p3000000_4000000",
    ]
    assert list(prune(database, (RetentionRule("data.market.*", 10 * HOUR_S),), NOW)) == []


def test_a_small_part_of_a_partition_is_deleted_within_it(
    database: Database, busy: Connection
) -> None:
    progress = list(prune(database, (RetentionRule("heartbeat", 25 * HOUR_S),), NOW))

    assert sum(step.deleted for step in progress) == 20
    assert parts(busy)["events_p0_1000000"] == 979


def test_a_partition_that_still_grows_is_thinned_out_but_never_dropped(
    database: Database, busy: Connection
) -> None:
    rules = (RetentionRule("*", 60),)

    list(prune(database, rules, NOW + timedelta(minutes=10)))

    assert counts(busy) == {}
    assert busy.execute("SELECT to_regclass('events_p3000000_4000000')").fetchone() != (None,)


def test_a_dry_run_counts_partitions_and_drops_none(database: Database, busy: Connection) -> None:
    progress = list(prune(database, (RetentionRule("*", 10 * HOUR_S),), NOW, dry_run=True))

    assert sum(step.due for step in progress) == 2 * 999
    assert sum(step.deleted for step in progress) == 0
    assert len(parts(busy)) == 4


def test_a_row_that_comes_for_a_dropped_partition_still_finds_a_place(
    database: Database, busy: Connection, writer: EventWriter, block: Callable[..., bytes]
) -> None:
    list(prune(database, (RetentionRule("*", 10 * HOUR_S),), NOW))

    writer.store(block(5))

    assert parts(busy)["events_default"] == 1


@pytest.mark.usefixtures("busy")
def test_storing_waits_only_a_moment_while_a_partition_goes(
    database: Database, writer: EventWriter, block: Callable[..., bytes]
) -> None:
    done: list[float] = []

    def store() -> None:
        for number in range(200):
            begin = time.monotonic()
            writer.store(block(3 * MILLION + 1 + number))
            done.append(time.monotonic() - begin)
            gevent.sleep(0.001)

    storing = gevent.spawn(store)
    list(prune(database, (RetentionRule("*", 10 * HOUR_S),), NOW, pause=lambda: gevent.sleep(0.01)))
    storing.get(timeout=30)

    assert max(done) < 1.0
    assert len(done) == 200


def test_whoever_writes_to_a_partition_that_is_to_go_comes_first(
    database: Database, busy: Connection, pg_url: str
) -> None:
    writing: list[gevent.Greenlet] = []

    def write_into_it() -> None:
        if not writing:
            writing.append(gevent.spawn(_insert_old, pg_url))
        gevent.sleep(0.3)

    with pytest.raises(Unavailable, match="writes to a partition"):
        list(prune(database, (RetentionRule("data.market.*", HOUR_S),), NOW, pause=write_into_it))

    writing[0].get(timeout=10)
    assert busy.execute("SELECT type FROM events WHERE id = 7").fetchone() == ("late",)
    assert parts(busy)["events_p0_1000000"] == 1000


def _insert_old(pg_url: str) -> None:
    with connect(pg_url) as connection:
        connection.execute("INSERT INTO events (id, type) VALUES (7, 'late')")


def test_one_table_is_pruned_in_batches_as_ever(database: Database, admin: Connection) -> None:
    admin.execute(
        "CREATE TABLE plain (LIKE events INCLUDING ALL); INSERT INTO plain SELECT * FROM events;"
        "ALTER SEQUENCE events_id_seq OWNED BY plain.id; DROP TABLE events;"
        "ALTER TABLE plain RENAME TO events"
    )

    progress = list(prune(database, RULES, NOW, batch_rows=100))

    assert sum(step.deleted for step in progress) == 840 + 1320 + 1380
    assert max(step.deleted for step in progress) <= 100


def test_a_connection_that_is_lost_half_way_changes_nothing_and_the_next_run_does_it(
    database: Database, busy: Connection
) -> None:
    rules = (RetentionRule("data.market.*", 10 * HOUR_S),)

    def lose_it() -> None:
        busy.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND datname = current_database() AND state = 'idle in transaction'"
        )

    with pytest.raises(Unavailable):
        list(prune(database, rules, NOW, pause=lose_it))
    before = parts(busy)
    progress = list(prune(database, rules, NOW))

    assert before["events_p0_1000000"] == 999
    assert sum(step.deleted for step in progress) == 2 * 960
