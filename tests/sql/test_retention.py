from datetime import UTC, datetime

import pytest
from orchestrator.sql.connection import Connection
from orchestrator.sql.database import Database
from orchestrator.sql.retention import RetentionRule, keep_time_s, prune

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
