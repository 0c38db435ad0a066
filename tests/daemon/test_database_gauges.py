"""What PostgreSQL takes on disk, and whether it answers, as gauges."""

from contextlib import closing

import psycopg
import pytest
from faults.rig import wait_until
from orchestrator.daemon.database_gauges import CLASSES, DatabaseGauges
from orchestrator.daemon.tables import Tables
from orchestrator.runtime.linked import running
from orchestrator.runtime.telemetry.metrics import Metrics
from orchestrator.sql.database import Database, PostgresSettings
from pydantic import SecretStr

pytestmark = pytest.mark.db


def gauges(url: str) -> tuple[Database, Metrics, DatabaseGauges]:
    database, metrics = Database(PostgresSettings(url=SecretStr(url))), Metrics()
    database.open()
    return database, metrics, DatabaseGauges(database, metrics)


def bytes_of(metrics: Metrics) -> dict[str, float]:
    value = metrics.registry.get_sample_value
    return {name: value("orchestrator_db_bytes", {"class": name}) or 0.0 for name in CLASSES}


def test_every_byte_of_the_database_is_in_one_class(pg_url: str) -> None:
    database, metrics, measured = gauges(pg_url)
    Tables(database, instance="one", on_unusable=print).prepare()
    with closing(database), psycopg.connect(pg_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE of_others AS SELECT generate_series(1, 10000) AS n")

        measured.measure()

        total = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    found = bytes_of(metrics)
    assert min(found.values()) > 0
    assert total
    assert sum(found.values()) == pytest.approx(total[0], rel=0.05)


def test_a_server_that_answers_is_up(pg_url: str) -> None:
    database, metrics, measured = gauges(pg_url)

    with closing(database), running("gauges", measured.run):
        wait_until(lambda: bytes_of(metrics)["system"] > 0)

    assert metrics.registry.get_sample_value("orchestrator_postgres_up") == 1


def test_a_server_that_is_gone_is_down_and_the_sizes_stay_unknown() -> None:
    database, metrics, measured = gauges("postgresql://u:p@127.0.0.1:1/x")

    with closing(database):
        measured.measure()

    assert metrics.registry.get_sample_value("orchestrator_postgres_up") == 0
    assert bytes_of(metrics) == dict.fromkeys(CLASSES, 0.0)
