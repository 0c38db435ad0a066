from collections.abc import Callable, Iterator

import gevent
import pytest
import redis
from gevent.event import Event as Signal
from orchestrator.daemon.bus import Bus, BusEndangered
from orchestrator.settings import Settings
from structlog.testing import capture_logs

SETTING = "maxmemory-policy"


def bus(url: str, *, strict: bool, on_unusable: Callable[[str], None] = pytest.fail) -> Bus:
    settings = Settings.model_validate(
        {
            "redis": {"strict": strict},
            "bus": {"control_patterns": ["risk.*"], "data_patterns": ["data.*"]},
        }
    )
    return Bus(settings, url=url, instance="0123456789abcdef", on_unusable=on_unusable)


@pytest.fixture
def evicting_url(redis_url: str) -> Iterator[str]:
    """A server that may evict the durable stream."""
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set(SETTING, "allkeys-lru")
        yield redis_url
        client.config_set(SETTING, "noeviction")
        client.config_set("maxmemory", "0")


@pytest.mark.redis
def test_only_strict_settings_refuse_a_server_that_endangers_events(evicting_url: str) -> None:
    bus(evicting_url, strict=False).check()

    with pytest.raises(BusEndangered, match=r"^redis\.strict: .*CONFIG SET maxmemory-policy"):
        bus(evicting_url, strict=True).check()


@pytest.mark.redis
def test_only_strict_settings_refuse_a_server_that_does_not_say(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL SETUSER managed reset on >x ~* &* +@all -config")
        url = redis_url.replace("redis://", "redis://managed:x@")

        bus(url, strict=False).check()
        with pytest.raises(BusEndangered, match=r"does not say .*client-output-buffer-limit"):
            bus(url, strict=True).check()
        client.execute_command("ACL DELUSER managed")


@pytest.mark.redis
def test_options_of_other_clients_are_named_once_in_the_log(redis_url: str) -> None:
    with capture_logs() as logs:
        bus(f"{redis_url}?family=4&keepAlive=1", strict=False).check()

    assert [line.get("options") for line in logs] == ["family, keepAlive"]


def test_a_server_that_is_away_is_not_refused() -> None:
    bus("redis://127.0.0.1:1/0", strict=True).check()


@pytest.mark.redis
def test_a_server_that_came_later_is_refused_when_it_comes(evicting_url: str) -> None:
    told: list[str] = []
    was_told = Signal()

    def end(reason: str) -> None:
        told.append(reason)
        was_told.set()

    subscriptions = bus(evicting_url, strict=True, on_unusable=end).subscribe(down_since_ms=0)
    publishing = gevent.spawn(subscriptions.publisher.run, lambda *_: None)

    assert was_told.wait(5)
    publishing.kill()
    subscriptions.close()
    assert len(told) == 1
    assert SETTING in told[0]


def test_the_canaries_are_no_part_of_what_is_stored() -> None:
    made = bus("redis://127.0.0.1:1/0", strict=False)

    assert made.patterns == ("risk.*", "data.*")
    assert made.canaries.channel.startswith(b"orchestrator.canary.")
