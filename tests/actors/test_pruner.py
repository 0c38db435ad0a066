from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from orchestrator.actors import pruner as pruner_module
from orchestrator.actors.pruner import Pruner
from orchestrator.runtime import start_actor, stop_actor
from orchestrator.sql.database import Database
from orchestrator.sql.retention import RetentionRule

pytestmark = pytest.mark.db


def types(database: Database) -> list[str]:
    return [row[0] for row in database.rows(b"SELECT type FROM events ORDER BY id")]


def insert(database: Database, event_type: str, age: timedelta) -> None:
    ts = datetime.now(UTC) - age
    database.rows(
        b"INSERT INTO events (type, payload, ts) VALUES (%(type)s, '{}', %(ts)s) RETURNING id",
        {"type": event_type, "ts": ts},
    )


def test_what_is_too_old_goes_and_the_rest_stays(
    database: Database, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruner_module, "FIRST_RUN_S", 0.01)
    insert(database, "heartbeat", timedelta(days=2))
    insert(database, "heartbeat", timedelta(hours=1))
    insert(database, "risk.limit", timedelta(days=900))
    pruner = Pruner(database=database, rules=[RetentionRule("heartbeat", 86_400)])

    start_actor(pruner)
    wait_until(lambda: types(database) == ["heartbeat", "risk.limit"])

    stop_actor(pruner)


def test_a_run_without_postgresql_is_put_off(
    database: Database, wait_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruner_module, "FIRST_RUN_S", 0.01)
    monkeypatch.setattr(pruner_module, "INTERVAL_S", 0.05)
    insert(database, "heartbeat", timedelta(days=2))
    pruner = Pruner(database=database, rules=[RetentionRule("heartbeat", 86_400)])
    real_rows, failures = database.rows, iter([True])

    def away_once(*arguments: object, **options: object) -> object:
        if next(failures, False):
            raise pruner_module.StoreError("away")
        return real_rows(*arguments, **options)

    monkeypatch.setattr(database, "rows", away_once)

    start_actor(pruner)
    wait_until(lambda: real_rows(b"SELECT id FROM events") == [])

    stop_actor(pruner)
