import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from orchestrator.cli.doctor.check_results import CheckResult, Level
from orchestrator.cli.doctor.redis import check_redis, clock_result, connected
from valkeys import free_port, valkey


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
@pytest.mark.parametrize(("query", "name"), [("", "orchestrator-cli"), ("?client_name=me", "me")])
def test_its_connection_is_named(redis_url: str, query: str, name: str) -> None:
    with connected(f"{redis_url}{query}") as client:
        assert client.client_getname() == name


@pytest.mark.redis
def test_an_account_that_may_not_use_the_canaries_channel_is_given_the_line(redis_url: str) -> None:
    assert by_name(check_redis(redis_url))["redis canaries"].level is Level.OK

    with redis.Redis.from_url(redis_url) as client:
        try:
            rights = ("resetchannels", "&data.*", "~*", "+@all")
            client.execute_command("ACL", "SETUSER", "narrow", "on", ">x", *rights)
            url = redis_url.replace("redis://", "redis://narrow:x@")
            found = by_name(check_redis(url))["redis canaries"]
            client.execute_command("ACL", "SETUSER", "narrow", "&orchestrator.canary.*")
            again = by_name(check_redis(url))["redis canaries"]
        finally:
            client.acl_deluser("narrow")

    assert found.level is Level.CRITICAL
    assert found.advice == "ACL SETUSER <account> &orchestrator.canary.*"
    assert again.level is Level.OK


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


@pytest.mark.redis
def test_a_master_with_the_stream_is_well(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.xadd("orchestrator:events", {"channel": "strategy.a", "payload": "{}"})

    found = by_name(check_redis(redis_url))

    assert (found["redis role"].level, found["redis role"].said) == (Level.OK, "a master")
    assert found["redis durable stream"].said == "1 entries wait"


@pytest.mark.redis
def test_a_replica_a_sentinel_and_a_node_of_a_cluster_are_named(
    tmp_path: Path, redis_url: str
) -> None:
    address = urlsplit(redis_url)
    kinds = {
        "replica": ("--replicaof", str(address.hostname), str(address.port)),
        "sentinel": ("--sentinel",),
        "node": ("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
    }
    found = {}
    for kind, options in kinds.items():
        with valkey(tmp_path / kind, *options) as url:
            found[kind] = by_name(check_redis(url))

    assert found["replica"]["redis role"].level is Level.CRITICAL
    assert "a replica of" in found["replica"]["redis role"].said
    assert "a Sentinel" in found["sentinel"]["redis role"].said
    assert found["node"]["redis role"].level is Level.OK
    assert found["node"]["redis durable stream"].level is Level.CRITICAL


ACL_LINES = [
    line.split()[1:]
    for line in (Path(__file__).parents[3] / "docs" / "security.md").read_text().splitlines()
    if line.startswith("ACL SETUSER")
]


@contextmanager
def accounts(url: str) -> Iterator[str]:
    """The accounts of docs/security.md; yields the daemon's URL, and puts all back."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        before = next(line for line in client.acl_list() if line.startswith("user default "))
        names = [words[1] for words in ACL_LINES[:-1]]
        for words in ACL_LINES[:-1]:
            client.execute_command("ACL", *_grouped(words))
    own = urlsplit(url)._replace(netloc=f"daemon:SECRET-1@{urlsplit(url).netloc}").geturl()
    with redis.Redis.from_url(own, decode_responses=True) as client:
        try:
            yield own
        finally:
            client.execute_command("ACL", "SETUSER", *before.split()[1:])
            client.acl_deluser(*(name for name in names if name != "daemon"))
    with redis.Redis.from_url(url) as client:
        client.acl_deluser("daemon")


def _grouped(words: list[str]) -> list[str]:
    """A selector, in brackets, is one argument."""
    return re.findall(r"\([^)]*\)|[^ ]+", " ".join(words))


@pytest.mark.redis
def test_who_may_write_the_permit_is_told(redis_url: str) -> None:
    shared = by_name(check_redis(redis_url))["redis permit"]
    assert shared.level is Level.WARNING
    assert "account" in shared.said
    with accounts(redis_url) as own:
        anybody = by_name(check_redis(own))["redis permit"]
        with redis.Redis.from_url(own) as client:
            client.execute_command("ACL", *ACL_LINES[-1])
        well = by_name(check_redis(own))["redis permit"]

    assert (anybody.level, well.level) == (Level.WARNING, Level.OK)
    assert "without a password" in anybody.said


@pytest.mark.redis
def test_an_agents_account_may_read_the_permit_and_write_none(redis_url: str) -> None:
    with accounts(redis_url):
        agents = urlsplit(redis_url)._replace(
            netloc=f"agents:SECRET-2@{urlsplit(redis_url).netloc}"
        )
        with redis.Redis.from_url(agents.geturl()) as client:
            assert client.get("orchestrator:permit") is None
            assert client.publish("strategy.x", "{}") == 0
            assert client.xadd("orchestrator:events", {"channel": "strategy.x", "payload": "{}"})
            for key in ("orchestrator:permit", "orchestrator:killswitch"):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.set(key, "x")
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.delete("orchestrator:permit")
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.flushall()


@pytest.mark.redis
def test_an_account_that_may_ask_nothing_gets_what_can_be_told(redis_url: str) -> None:
    with accounts(redis_url):
        agents = urlsplit(redis_url)._replace(
            netloc=f"agents:SECRET-2@{urlsplit(redis_url).netloc}"
        )
        found = by_name(check_redis(agents.geturl()))

    names = ("redis pubsub buffer", "redis eviction", "redis permit", "redis clock")
    assert {found[name].level for name in names} == {Level.UNKNOWN}


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
