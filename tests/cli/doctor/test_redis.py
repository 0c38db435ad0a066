from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import pytest
import redis
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.doctor.redis import check_redis, clock_result


def by_name(results: Iterable[CheckResult]) -> dict[str, CheckResult]:
    return {result.name: result for result in results}


@contextmanager
def configured(url: str, settings: Mapping[str, str]) -> Iterator[None]:
    """The server with other settings, for as long as the block."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        before = {name: client.config_get(name)[name] for name in settings}
        try:
            for name, value in settings.items():
                client.config_set(name, value)
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


@pytest.mark.redis
def test_a_small_subscriber_buffer_is_warned_of_with_the_command(redis_url: str) -> None:
    limits = {"client-output-buffer-limit": "pubsub 32mb 8mb 60"}

    with configured(redis_url, limits):
        found = by_name(check_redis(redis_url))

    assert found["redis pubsub buffer"].level is Level.WARNING
    assert found["redis pubsub buffer"].said.startswith("32 MB, or 8 MB for 60 s")
    assert "CONFIG SET client-output-buffer-limit" in found["redis pubsub buffer"].advice


@pytest.mark.redis
def test_a_large_buffer_is_well(redis_url: str) -> None:
    limits = {"client-output-buffer-limit": "pubsub 512mb 256mb 60"}

    with configured(redis_url, limits):
        found = by_name(check_redis(redis_url))

    assert found["redis pubsub buffer"].level is Level.OK


@pytest.mark.redis
def test_eviction_and_a_missing_append_only_file_are_warned_of(redis_url: str) -> None:
    wanting = {"maxmemory": "512mb", "maxmemory-policy": "allkeys-lru", "appendonly": "no"}

    with configured(redis_url, wanting):
        found = by_name(check_redis(redis_url))

    assert found["redis eviction"].level is Level.WARNING
    assert found["redis append-only file"].level is Level.WARNING
    assert found["redis version"].level is found["redis clock"].level is Level.OK


def test_a_server_that_is_away_is_one_finding_with_a_next_step() -> None:
    (result,) = check_redis("redis://127.0.0.1:1/0")

    assert result.level is Level.CRITICAL
    assert "redis.url" in result.advice


def test_a_bad_url_is_said_so() -> None:
    (result,) = check_redis("http://x")

    assert result.level is Level.CRITICAL


def test_a_clock_far_off_is_a_warning() -> None:
    assert clock_result("clock", 0.2).level is Level.OK
    assert clock_result("clock", -90).said == "90 s behind this machine's"
