import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import gevent
import psycopg
import pytest
import redis
from faults.proxy import Proxy
from quiet_clock import quiet_s

from ..conftest import Done, Orc, clean_environ

pytestmark = [pytest.mark.db, pytest.mark.redis]

Replay = Callable[..., Done]


@pytest.fixture
def place(pg_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    data = str(tmp_path / "none")
    return {"PG_URL": pg_url, "REDIS_URL": redis_url, "ORCHESTRATOR_DATA_DIR": data}


@pytest.fixture
def database(orc: Orc, place: dict[str, str]) -> Iterator[psycopg.Connection]:
    assert orc("db", "migrate", **place).code == 0
    with psycopg.connect(place["PG_URL"], autocommit=True) as connection:
        yield connection


def fill(database: psycopg.Connection, count: int) -> None:
    database.execute(
        "INSERT INTO events (id, type, source, ts, payload) SELECT n,"
        " CASE n %% 3 WHEN 0 THEN 'heartbeat' WHEN 1 THEN 'risk.killswitch'"
        "  ELSE 'data.market.AAPL.1m' END, 'q-1',"
        " '2026-01-31T00:00:00Z'::timestamptz + n * interval '0.1 second',"
        " jsonb_build_object('n', n) FROM generate_series(1, %s) AS n",
        [count],
    )


@pytest.fixture
def replay(orc: Orc, place: dict[str, str]) -> Replay:
    def run(*words: str, **environ: str) -> Done:
        return orc("event", "replay", *words, **(place | environ))

    return run


@pytest.fixture
def heard(redis_url: str) -> Iterator[Callable[[], list[tuple[str, int]]]]:
    """All that is published on any channel: channel and the payload's number."""
    client = redis.Redis.from_url(redis_url)
    listening = client.pubsub(ignore_subscribe_messages=True)
    listening.psubscribe("*")
    listening.get_message(timeout=5)

    def read() -> list[tuple[str, int]]:
        messages = []
        while (message := listening.get_message(timeout=0.5)) is not None:
            messages.append((message["channel"].decode(), json.loads(message["data"])["n"]))
        return messages

    yield read
    listening.close()
    client.close()


def test_history_goes_below_its_prefix_in_order_and_nowhere_else(
    database: psycopg.Connection, replay: Replay, heard: Callable[[], list[tuple[str, int]]]
) -> None:
    fill(database, 1_000)

    done = replay("--speed", "max", "--to", "replay.monday", "--yes")

    assert done.code == 0, done.err
    assert "1000 events in" in done.err
    messages = heard()
    assert [number for _, number in messages] == list(range(1, 1_001))
    assert {channel for channel, _ in messages} == {
        "replay.monday.heartbeat.q-1",
        "replay.monday.risk.killswitch",
        "replay.monday.data.market.AAPL.1m",
    }


def test_events_come_as_far_apart_as_they_were_or_faster(
    database: psycopg.Connection, replay: Replay
) -> None:
    fill(database, 21)

    at_once = replay("--speed", "max", "--to", "replay.a", "--yes")
    paced = replay("--speed", "2x", "--to", "replay.a", "--yes")

    assert seconds_of(paced) >= 1.0  # two seconds of history at twice the speed
    assert seconds_of(at_once) < seconds_of(paced)


def seconds_of(done: Done) -> float:
    """How long the events took, as the command says."""
    assert done.code == 0, done.err
    said = re.search(r"21 events in ([0-9.]+) (ms|s)\b", done.err)
    assert said is not None, done.err
    return float(said[1]) / {"ms": 1000, "s": 1}[said[2]]


@pytest.mark.parametrize("target", ["risk", "heartbeat.x", "replay", "replay.*", "data.market.X"])
def test_no_live_channel_is_a_target(replay: Replay, target: str) -> None:
    done = replay("--to", target, "--yes")

    assert done.code == 2
    assert "below replay.NAME only" in done.err


def test_it_refuses_where_the_daemon_would_store_it_again(replay: Replay) -> None:
    done = replay("--to", "replay.a", "--yes", ORCHESTRATOR_BUS__DATA_PATTERNS="data.market.*,re*")

    assert done.code == 2
    assert "it subscribes to re*" in done.err


def test_it_asks_first(database: psycopg.Connection, replay: Replay) -> None:
    fill(database, 1)

    done = replay("--to", "replay.a")

    assert done.code == 2
    assert "add --yes" in done.err


def test_a_span_of_one_kind_is_replayed_alone(
    database: psycopg.Connection, replay: Replay, heard: Callable[[], list[tuple[str, int]]]
) -> None:
    fill(database, 100)
    span = ("--since", "2026-01-31T00:00:03Z", "--until", "2026-01-31T00:00:04Z")

    replay("data.market.*", *span, "--speed", "max", "--to", "replay.a", "--yes")

    assert [number for _, number in heard()] == [32, 35, 38]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_replay_that_was_broken_off_goes_on_without_a_gap_or_a_double(  # noqa: PLR0913, PLR0917
    database: psycopg.Connection,
    replay: Replay,
    heard: Callable[[], list[tuple[str, int]]],
    place: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    fill(database, 400)
    state = tmp_path / "replay.a.state"

    process = begin(place, tmp_path, "--speed", "20x")
    wait_for(process, lambda: state.exists() and json.loads(state.read_text())["done"] > 0)
    process.send_signal(number)
    process.communicate(timeout=30)
    done = replay("--to", "replay.a", "--yes", "--speed", "max", "--resume")

    assert process.returncode == 130
    assert done.code == 0, done.err
    assert [number for _, number in heard()] == list(range(1, 401))
    assert not state.exists()


def test_what_redis_had_taken_when_it_was_broken_off_is_noted(
    database: psycopg.Connection,
    replay: Replay,
    heard: Callable[[], list[tuple[str, int]]],
    place: dict[str, str],
    tmp_path: Path,
) -> None:
    """The answer is on its way: all of a batch is published, and nobody has said so."""
    fill(database, 400)
    with Proxy(urlsplit(place["REDIS_URL"]).port or 6379) as proxy:
        sent = Event()
        proxy.to_server = lambda data: (b"PUBLISH" in data and sent.set()) or data
        proxy.to_client = lambda data: (sent.is_set() and gevent.sleep(0.3)) or data
        slow = place | {"REDIS_URL": f"redis://127.0.0.1:{proxy.port}"}
        process = begin(slow, tmp_path, "--speed", "max")
        wait_for(process, sent.is_set)
        process.send_signal(signal.SIGINT)
        wait_for(None, lambda: process.poll() is not None)
    done = replay("--to", "replay.a", "--yes", "--speed", "max", "--resume")

    assert process.returncode == 130
    assert done.code == 0, done.err
    assert [number for _, number in heard()] == list(range(1, 401))


def test_a_lost_connection_is_not_tried_again_in_silence(
    database: psycopg.Connection,
    heard: Callable[[], list[tuple[str, int]]],
    place: dict[str, str],
    tmp_path: Path,
) -> None:
    fill(database, 100)
    with Proxy(urlsplit(place["REDIS_URL"]).port or 6379) as proxy:
        sent = Event()
        proxy.to_server = lambda data: (b"PUBLISH" in data and sent.set()) or data
        proxy.to_client = lambda data: None if sent.is_set() else data
        process = begin(
            place | {"REDIS_URL": f"redis://127.0.0.1:{proxy.port}"}, tmp_path, "--speed", "max"
        )
        wait_for(process, sent.is_set)
        assert [number for _, number in heard()] == list(range(1, 101))
        proxy.cut()
        wait_for(None, lambda: process.poll() is not None)

    assert process.returncode == 3
    assert b"may be published twice" in process.communicate()[1]
    assert heard() == []


def begin(place: dict[str, str], folder: Path, *words: str) -> subprocess.Popen[bytes]:
    command = (sys.executable, "-m", "orchestrator", "event", "replay", "--to", "replay.a", "--yes")
    return subprocess.Popen(
        [*command, *words], cwd=folder, env=clean_environ(**place), stderr=subprocess.PIPE
    )


def wait_for(process: subprocess.Popen[bytes] | None, condition: Callable[[], object]) -> None:
    """The condition holds, while the process (if any) lives."""
    end = quiet_s() + 30
    while not condition():
        if process is not None:
            assert process.poll() is None, process.communicate()[1]
        assert quiet_s() < end
        time.sleep(0.01)
