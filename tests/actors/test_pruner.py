"""The Pruner on a real database: room ahead, old events gone, the others counted; no failure
without a server.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from orchestrator.actors import pruner
from orchestrator.actors.pruner import Pruner
from orchestrator.runtime import Address, Mailbox, start_actor, stop_actor
from orchestrator.sql.connection import Connection, connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.schema.migrator import migrate
from orchestrator.sql.schema.partitions import keep_ahead
from orchestrator.sql.schema.retention import RetentionRule
from quiet_clock import quiet_s

pytestmark = pytest.mark.db

NOWHERE = "postgresql://nobody:none@127.0.0.1:1/none"
RULES = (RetentionRule("heartbeat", 3600),)


def wait_until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    end = quiet_s() + limit_s
    while not condition():
        assert quiet_s() < end, "not within the limit"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "FIRST_RUN_S",
        "INTERVAL_S",
        "AHEAD_INTERVAL_S",
        "COUNT_INTERVAL_S",
        "VERIFY_INTERVAL_S",
        "PAUSE_S",
    ):
        monkeypatch.setattr(pruner, name, 0.02)


@pytest.fixture
def table(pg_url: str) -> Iterator[Connection]:
    with connect(pg_url) as connection:
        migrate(connection)
        yield connection


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    ends: list[Callable[[], None]] = []

    def run(url: str, rules: tuple[RetentionRule, ...] = RULES) -> Any:
        database = Database(PostgresSettings(), url=url)
        database.open()
        actor = Pruner(database=database, rules=rules, committed_id=lambda: 24_000)
        start_actor(actor, Address("Pruner", Mailbox(10)))
        ends.extend((database.close, lambda: stop_actor(actor)))
        return actor

    yield run
    while ends:
        ends.pop()()


def test_old_events_go_again_and_again(
    pg_url: str, table: Connection, start: Callable[..., Any]
) -> None:
    old = b"INSERT INTO events (type, ts) VALUES ('heartbeat', now() - interval '2 hours')"
    table.execute(old)
    table.execute("INSERT INTO events (type) VALUES ('heartbeat')")
    start(pg_url)

    def is_alone() -> bool:
        return table.execute("SELECT count(*) FROM events").fetchone() == (1,)

    wait_until(is_alone)
    table.execute(old)
    wait_until(is_alone)


def test_partitions_are_made_ahead_of_the_ids_without_any_rule(
    pg_url: str, table: Connection, start: Callable[..., Any]
) -> None:
    start(pg_url, ())
    table.execute("SELECT setval('events_id_seq', 9500000)")

    counted = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass"
    wait_until(lambda: (table.execute(counted).fetchone() or (0,)) >= (7,))


def test_events_are_counted_and_what_is_pruned_is_not_any_more(
    pg_url: str, table: Connection, start: Callable[..., Any]
) -> None:
    table.execute(
        "INSERT INTO events (type, ts)"
        " SELECT (ARRAY['risk.alert', 'heartbeat'])[1 + n % 2], now() - interval '2 hours'"
        " FROM generate_series(1, 24000) AS n"
    )

    def counted() -> dict[str, int]:
        found = table.execute("SELECT class, sum(events)::int FROM orchestrator_counts GROUP BY 1")
        return dict(found)

    rules: tuple[RetentionRule, ...] = ()
    start(pg_url, rules)
    wait_until(lambda: counted() == {"heartbeat": 10_000, "risk": 9_999})  # two whole chunks
    start(pg_url)
    wait_until(lambda: counted() == {"risk": 9_999})


def test_without_postgresql_it_goes_on_trying(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[object] = []

    def noted(*arguments: Any) -> list[str]:
        tried.append(arguments)
        return keep_ahead(*arguments)

    monkeypatch.setattr(pruner, "keep_ahead", noted)
    actor = start(NOWHERE)

    wait_until(lambda: len(tried) > 1)
    assert not actor.actor_stopped.is_set()
