import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from orchestrator.actors.redis_listener.server_checks import (
    PubsubLimit,
    ServerFacts,
    check,
    inspect,
    parse_pubsub_limit,
    parse_version,
)

MIB = 1024 * 1024
DEFAULT = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"


def test_the_limit_is_found_among_the_classes() -> None:
    assert parse_pubsub_limit(DEFAULT) == PubsubLimit(32 * MIB, 8 * MIB, 60)


@pytest.mark.parametrize("text", ["", "normal 0 0 0", "pubsub 1 2", "pubsub a b c"])
def test_a_setting_that_says_nothing_is_unknown(text: str) -> None:
    assert parse_pubsub_limit(text) is None


@pytest.mark.parametrize(
    ("limit", "ample"),
    [
        (PubsubLimit(32 * MIB, 8 * MIB, 60), False),
        (PubsubLimit(512 * MIB, 256 * MIB, 60), True),
        (PubsubLimit(0, 0, 0), True),
        (PubsubLimit(0, 8 * MIB, 60), False),
        (PubsubLimit(32 * MIB, 0, 0), False),
    ],
)
def test_a_limit_is_ample_when_a_burst_fits_in(limit: PubsubLimit, ample: bool) -> None:
    assert limit.ample is ample


def test_the_remedy_is_a_command_that_is_ample() -> None:
    setting = PubsubLimit(1, 1, 1).remedy.split('"')[1]

    assert setting == "pubsub 512mb 256mb 60"


def test_valkey_is_told_from_redis() -> None:
    assert parse_version("redis_version:7.2.4\r\nvalkey_version:9.1.2\r\n") == ("valkey", "9.1.2")
    assert parse_version("# Server\r\nredis_version:7.4.0\r\n") == ("redis", "7.4.0")
    assert parse_version("") == ("redis", None)


def test_a_server_that_refuses_to_say_leaves_it_unknown() -> None:
    def refuse(*_command: str) -> Any:
        return None

    assert inspect(refuse) == ServerFacts("redis", None, None)


def test_a_server_that_answers_is_described() -> None:
    answers = {"INFO": b"valkey_version:9.1.2", "CONFIG": [b"name", DEFAULT.encode()]}

    facts = inspect(lambda command, *_: answers[command])

    assert facts == ServerFacts("valkey", "9.1.2", PubsubLimit(32 * MIB, 8 * MIB, 60))


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ({"pubsub_limit": PubsubLimit(32 * MIB, 8 * MIB, 60)}, "client-output-buffer-limit"),
        ({"max_memory_bytes": 1, "eviction": "allkeys-lru"}, "maxmemory-policy noeviction"),
        ({"max_memory_bytes": 1, "eviction": "volatile-ttl"}, "maxmemory-policy noeviction"),
        ({"append_only": False}, "appendonly yes"),
    ],
)
def test_what_endangers_events_is_said_with_the_command_that_mends_it(
    facts: dict[str, Any], command: str
) -> None:
    (danger,) = ServerFacts("redis", None, facts.pop("pubsub_limit", None), **facts).dangers

    assert command in danger.command
    assert danger.command in str(danger)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"max_memory_bytes": 0, "eviction": "allkeys-lru"},
        {"max_memory_bytes": 9, "eviction": "noeviction"},
        {"append_only": True},
    ],
)
def test_what_is_well_or_unknown_is_no_danger(facts: dict[str, Any]) -> None:
    assert ServerFacts("redis", None, None, **facts).dangers == ()


DANGEROUS = {
    "client-output-buffer-limit": "pubsub 1mb 1mb 1",
    "maxmemory": "100mb",
    "maxmemory-policy": "allkeys-lru",
    "appendonly": "no",
}


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    """The server, whose settings are put back behind the test."""
    with redis.Redis.from_url(redis_url) as client:
        before = {name: client.config_get(name)[name] for name in DANGEROUS}
        yield client
        for name, value in before.items():
            client.config_set(name, value)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("names", "count"),
    [
        ({"client-output-buffer-limit"}, 1),
        ({"maxmemory"}, 0),
        ({"maxmemory-policy"}, 0),
        ({"maxmemory", "maxmemory-policy"}, 1),
        ({"appendonly"}, 1),
        (DANGEROUS.keys(), 3),
    ],
)
def test_each_danger_of_a_real_server_is_found_and_its_command_mends_it(
    server: redis.Redis, redis_url: str, names: set[str], count: int
) -> None:
    for name in names:
        server.config_set(name, DANGEROUS[name])
    dangers = check(redis_url, limit_s=2.0)
    for danger in dangers:
        server.execute_command(*shlex.split(danger.command))

    assert len(dangers) == count
    assert check(redis_url, limit_s=2.0) == ()


def test_a_server_that_is_away_endangers_nothing_yet() -> None:
    assert check("redis://127.0.0.1:1/0", limit_s=0.5) == ()


ALL_KNOWN: dict[str, Any] = {"max_memory_bytes": 0, "append_only": True}


@pytest.mark.parametrize(
    ("facts", "settings"),
    [
        ({}, ["client-output-buffer-limit", "maxmemory-policy", "appendonly"]),
        ({"max_memory_bytes": 0}, ["client-output-buffer-limit", "appendonly"]),
        ({"max_memory_bytes": 9, "append_only": True}, ["client-output-b", "maxmemory-policy"]),
        ({"max_memory_bytes": 9, "eviction": "noeviction", "append_only": False}, ["client-o"]),
    ],
)
def test_what_the_server_does_not_say_is_unknown(
    facts: dict[str, Any], settings: list[str]
) -> None:
    unknown = ServerFacts("redis", None, None, **facts).unknown

    assert len(unknown) == len(settings)
    assert all(name in danger.what for name, danger in zip(settings, unknown, strict=True))


def test_nothing_is_unknown_of_a_server_that_says_all() -> None:
    assert ServerFacts("redis", None, PubsubLimit(0, 0, 0), **ALL_KNOWN).unknown == ()


@pytest.fixture
def limited(server: redis.Redis, redis_url: str) -> Iterator[Callable[[str], str]]:
    """URLs of users that may not do some commands, as managed servers have them."""

    def user(commands: str) -> str:
        server.execute_command("ACL", "SETUSER", "managed", "reset", "on", ">x", "~*", "&*")
        server.execute_command("ACL", "SETUSER", "managed", "+@all", *commands.split())
        return redis_url.replace("redis://", "redis://managed:x@")

    yield user
    server.execute_command("ACL", "DELUSER", "managed")


@pytest.mark.redis
@pytest.mark.parametrize(
    ("forbidden", "unknown"),
    [("-config", 1), ("-config -info", 3), ("-info", 0), ("-@admin -@dangerous", 3)],
)
def test_where_config_is_forbidden_what_info_has_counts_and_the_rest_is_unknown(
    limited: Callable[[str], str], forbidden: str, unknown: int
) -> None:
    found = check(limited(forbidden), limit_s=2.0)

    assert len(found) == unknown
    assert all(danger.what.startswith("the server does not say") for danger in found)
