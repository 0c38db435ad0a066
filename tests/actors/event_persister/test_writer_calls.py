import json
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import gevent
import psycopg
import pytest
import structlog
from orchestrator.actors.event_persister import fence, writer_calls
from orchestrator.actors.event_persister.writer_calls import (
    PostgresMoved,
    PostgresSilent,
    WriterCalls,
)
from orchestrator.sql.connection import connect
from orchestrator.sql.database import Database, PostgresSettings
from orchestrator.sql.events.event_writer import EventWriter
from orchestrator.sql.schema.migrator import migrate
from postgres_pair import PostgresPair, postgres_pair
from psycopg.conninfo import conninfo_to_dict

from ...conftest import Server
from .test_actor import Bench, wait_until


@pytest.fixture
def pair(server_folder: Path) -> Iterator[PostgresPair]:
    with postgres_pair(server_folder / f"pair-{secrets.token_hex(4)}") as made:
        with connect(made.url) as connection:
            migrate(connection)
        yield made


def numbers(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        query = "SELECT (payload->>'n')::int FROM events ORDER BY id"
        return [row[0] for row in connection.execute(query).fetchall()]


@pytest.mark.db
@pytest.mark.subprocess
def test_a_frozen_primary_is_given_up_for_the_replica_that_was_promoted(
    tmp_path: Path, pair: PostgresPair
) -> None:
    pair.wait_for_replica()
    bench = Bench(tmp_path, pair.url)
    bench.postgres = PostgresSettings(silent_after_s=3600)
    bench.open()
    bench.wait_for_ids()
    bench.publish(100)
    bench.wait_stored()
    epoch = bench.writer.epoch

    with Server(pair.primary).frozen():
        bench.publish(1000)
        wait_until(lambda: len(bench.state.window) == 1100)
        pair.promote()
        bench.publish(1000)
        bench.wait_stored()
        assert numbers(pair.replica.url) == list(range(1, 2101))
        assert bench.writer.epoch == (epoch or 0) + 1
    bench.publish(10)
    bench.wait_stored()

    shown = bench.shown()
    assert len(shown) == 2110
    assert [event.id for event in shown] == sorted({event.id for event in shown})
    assert numbers(pair.replica.url) == list(range(1, 2111))
    assert set(numbers(pair.primary.url)) <= set(range(1, 1101)), "it wakes, and gets no more"
    assert bench.status().store_error is None
    bench.close()


@pytest.mark.db
@pytest.mark.subprocess
def test_what_a_promoted_replica_lacks_of_what_was_stored_is_said(
    tmp_path: Path, pair: PostgresPair
) -> None:
    bench = Bench(tmp_path, pair.url)
    bench.open()
    bench.wait_for_ids()
    bench.publish(100)
    bench.wait_stored()
    wait_until(lambda: len(numbers(pair.replica.url)) == 100)
    Server(pair.replica).kill()
    bench.publish(50)
    bench.wait_stored()
    Server(pair.primary).kill()
    pair.replica.start()
    with structlog.testing.capture_logs() as lines:
        pair.promote()
        bench.publish(10)
        bench.wait_stored()

    (said,) = [line for line in lines if "lacks the newest events" in line["event"]]
    assert said["stored_up_to_id"] - said["highest_id"] == 50
    assert numbers(pair.replica.url) == [*range(1, 101), *range(151, 161)]
    assert len({event.id for event in bench.shown()}) == 160, "no id is used again"
    bench.close()


@pytest.fixture
def twice_named(pg_url: str, tmp_path: Path) -> str:
    """A URL that names one server by two names, as two hosts that take writes; the second is
    `tmp_path / "other"`.
    """
    with connect(pg_url) as admin:
        migrate(admin)
    there = conninfo_to_dict(pg_url)
    (tmp_path / "other").symlink_to(str(there["host"]))
    hosts = quote(f"{there['host']},{tmp_path}/other", safe="")
    url = f"postgresql://{there['user']}@/{there['dbname']}?host={hosts}&port={there['port']}"
    return f"{url}&target_session_attrs=primary"


@pytest.fixture
def two_names(twice_named: str) -> Iterator[EventWriter]:
    """A writer that holds the lease, at the first of two hosts."""
    with closing(Database(PostgresSettings(), url=twice_named)) as base:
        writer = EventWriter(base)
        writer.claim(instance="one", host="here", pid=1, stale_after_s=30)
        yield writer
        writer.close()


@pytest.mark.db
def test_nothing_is_shown_at_another_host_before_the_claim_is_made_there(
    tmp_path: Path, pg_url: str, twice_named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "WAIT_S", 600.0)
    (tmp_path / "data").mkdir()
    bench = Bench(tmp_path / "data", twice_named)
    bench.open()
    bench.wait_for_ids()
    bench.publish(10)
    bench.wait_stored()
    with connect(pg_url) as admin:
        admin.execute("BEGIN; LOCK TABLE orchestrator_writer IN ACCESS EXCLUSIVE MODE")
        bench.writer.use({"host": f"{tmp_path}/other"})
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'orchestrator writer%' AND datname = current_database()"
        )
        bench.publish(1)
        wait_until(lambda: not bench.state.fence.is_ours(away=False))
        bench.shown()

        bench.publish(10)
        wait_until(lambda: bench.status().journalled_total == 21)
        assert bench.shown() == []
        admin.execute("ROLLBACK")
    bench.wait_stored()

    assert [json.loads(event.payload)["n"] for event in bench.shown()][-10:] == list(range(12, 22))
    assert bench.rows() == list(range(1, 22))
    bench.close()


def renew(url: str, when: str) -> None:
    with connect(url) as admin:
        admin.execute(f"UPDATE orchestrator_writer SET renewed_at = {when}".encode())


@pytest.mark.db
@pytest.mark.parametrize(
    ("when", "gives_up"),
    [
        ("clock_timestamp()", True),
        ("clock_timestamp() - interval '25 s'", True),
        ("clock_timestamp() - interval '1 h'", False),
        ("'-infinity'", False),
    ],
)
def test_a_silent_host_is_given_up_for_one_that_goes_on_with_its_lease(
    pg_url: str,
    two_names: EventWriter,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    *,
    gives_up: bool,
) -> None:
    monkeypatch.setattr(writer_calls, "ASK_AFTER_S", 0.01)
    calls = WriterCalls(two_names, stale_after_s=30.0)
    renew(pg_url, when)
    asked = connect(pg_url)
    with asked, asked.transaction():
        asked.execute("LOCK TABLE orchestrator_writer IN SHARE MODE")

        expected = PostgresMoved if gives_up else PostgresSilent
        with pytest.raises(expected) as raised:
            calls.within(60.0 if gives_up else 1.0, two_names.renew)

    assert type(raised.value) is expected
    assert ("takes writes" in str(raised.value)) is gives_up


@pytest.mark.db
def test_a_call_that_ends_in_time_is_left_alone(
    two_names: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_calls, "ASK_AFTER_S", 0.0)
    calls = WriterCalls(two_names, stale_after_s=30.0)

    for _ in range(20):
        with suppress(PostgresMoved):
            calls.within(60.0, time.sleep, 0.005)
        gevent.sleep(0)  # what was on its way would arrive here

    monkeypatch.setattr(writer_calls, "ASK_AFTER_S", 3600.0)
    assert calls.within(60.0, two_names.committed_max) == 0
