import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from orchestrator.agents.health import Health
from orchestrator.agents.heart import Heart
from orchestrator.agents.publisher import SOCKET_TIMEOUT_S, Publisher
from orchestrator.agents.surroundings import RedisBus

pytestmark = pytest.mark.redis

CHANNEL = "heartbeat.a-1"


def heart_of(url: str, health: Health, interval_s: float = 60.0) -> Heart:
    return Heart(
        Publisher(RedisBus(url, SOCKET_TIMEOUT_S), agent_id="a-1", boot="b"),
        channel=CHANNEL,
        interval_s=interval_s,
        health=health,
        about=lambda: {"agent_id": "a-1", "group": "signals"},
        log=logging.getLogger("test"),
    )


@pytest.fixture
def beating() -> Iterator[Callable[[Heart], None]]:
    started: list[tuple[Heart, threading.Thread]] = []

    def run(heart: Heart) -> None:
        thread = threading.Thread(target=heart.run, daemon=True)
        started.append((heart, thread))
        thread.start()

    yield run
    for heart, thread in started:
        heart.stop()
        thread.join(5)
        assert not thread.is_alive()


def test_a_beat_says_who_how_and_how_often(bus: Any) -> None:
    assert heart_of(bus.url, Health(time.monotonic(), 60)).beat()

    beat = bus.wait_for(CHANNEL)
    assert beat["status"] == "active"
    assert (beat["agent_id"], beat["group"], beat["interval_s"]) == ("a-1", "signals", 60.0)
    assert (beat["seq"], beat["boot"]) == (1, "b")


def test_the_last_beat_can_have_a_status_of_its_own(bus: Any) -> None:
    heart_of(bus.url, Health(time.monotonic(), 60)).beat("stopped")

    assert bus.wait_for(CHANNEL)["status"] == "stopped"


def test_it_beats_at_once_and_then_at_its_interval(
    bus: Any, beating: Callable[[Heart], None], eventually: Callable[..., None]
) -> None:
    beating(heart_of(bus.url, Health(time.monotonic(), 60), interval_s=0.05))

    eventually(lambda: len(bus.payloads(CHANNEL)) >= 4)
    assert [beat["seq"] for beat in bus.payloads(CHANNEL)[:4]] == [1, 2, 3, 4]


def test_news_are_told_before_their_turn(bus: Any, beating: Callable[[Heart], None]) -> None:
    health = Health(time.monotonic(), 60)
    heart = heart_of(bus.url, health)
    beating(heart)
    bus.wait_for(CHANNEL)

    health.report("the feed is stale")
    heart.hurry()

    bus.wait_for(CHANNEL, status="error", last_error="the feed is stale")


def test_an_error_counts_as_told_only_when_redis_took_the_beat() -> None:
    health = Health(time.monotonic(), 60)
    health.fail("on_price", ValueError(), 0.0)
    health.succeed("on_price", 0.0)

    assert not heart_of("redis://127.0.0.1:1/0", health).beat()

    assert health.beat(0.0)[0]["status"] == "error"


def test_that_redis_is_away_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    heart = heart_of("redis://127.0.0.1:1/0", Health(time.monotonic(), 60))

    heart.beat()
    heart.beat()

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no heartbeat" in caplog.text
