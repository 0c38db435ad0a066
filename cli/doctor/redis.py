"""``doctor``'s checks of Redis or Valkey."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...actors.redis_listener.server_role import RoleKind, ask_role
from ...agents.tls_advice import tls_advice
from ...protocol.bus_url import read_bus_url
from ...protocol.channels import CANARIES, CANARY_ACL
from ...protocol.permit import KEY as PERMIT_KEY
from ...sql.events.stream_position import STREAM
from ..client.rest import cause_of
from ..formatting import duration
from .check_results import CheckResult, critical, ok, unknown, warning

if TYPE_CHECKING:
    from redis import Redis

LIMIT_S = 3.0
"""For connecting and for each answer."""
LEAST_VERSION = (5, 0)
"""Streams came with 5.0."""
GOOD_BUFFER_BYTES = 256 * 1024 * 1024
"""A burst of 200,000 messages of 1 KiB fits."""
MOST_SKEW_S = 1.0
_ACL_ADVICE = 'give daemon and agents accounts of their own: docs/security.md, "Accounts in Redis"'
_BUFFER_ADVICE = "CONFIG SET client-output-buffer-limit 'pubsub 512mb 256mb 60', and in redis.conf"


def connected(url: str) -> "Redis":
    """A client with short limits; does not connect yet.

    Raises:
        BadBusUrl: it is refused.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from ...agents.publisher import greeting

    place = read_bus_url(url)
    return redis.Redis(
        **place.client_options(),
        redis_connect_func=None if place.client_name else greeting("orchestrator-cli"),
        protocol=2,
        socket_timeout=LIMIT_S,
        socket_connect_timeout=LIMIT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def check_redis(url: str) -> Iterator[CheckResult]:
    """Check the server; only the first result if it does not answer."""
    import redis

    try:
        client = connected(url)
    except ValueError as error:
        yield critical("redis", str(error), "correct redis.url or REDIS_URL")
        return
    with client:
        began = time.monotonic()
        try:
            client.ping()
        except redis.RedisError as error:
            yield _unreachable(error)
            return
        yield ok("redis", f"answers in {duration(time.monotonic() - began)}")
        yield _role(client)
        yield _stream(client)
        yield _canaries(client)
        yield _version(client.info("server"))
        yield _buffer(_config(client, "client-output-buffer-limit"))
        yield _eviction(_config(client, "maxmemory"), _config(client, "maxmemory-policy"))
        yield _durability(_config(client, "appendonly"), _config(client, "appendfsync"))
        yield _permit(client)
        yield _clock(client)


def _unreachable(error: Exception) -> CheckResult:
    import redis

    said = cause_of(error) + tls_advice(error)
    if isinstance(error, redis.AuthenticationError):
        return critical("redis", said, "put the right password into redis.url or REDIS_URL")
    return critical(
        "redis", said, 'start it, correct redis.url or REDIS_URL, or set it to "embedded"'
    )


def _role(client: "Redis") -> CheckResult:
    """What is published at a replica or a Sentinel reaches no agent."""
    import redis

    def ask(*command: str) -> Any:
        connection.send_command(*command)
        try:
            return connection.read_response()
        except redis.ResponseError:
            return None

    connection: Any = client.connection_pool.get_connection()
    try:
        role = ask_role(ask)
    finally:
        client.connection_pool.release(connection)
    if role.trouble is None:
        return ok("redis role", "a master")
    if role.kind is RoleKind.UNKNOWN:
        return unknown("redis role", role.trouble, "allow the account +role or +info")
    return critical("redis role", role.trouble, "set redis.url or REDIS_URL to the master")


def _stream(client: "Redis") -> CheckResult:
    """A node of a cluster takes every subscription, and the keys of its own slots only."""
    import redis

    try:
        entries = int(client.xlen(STREAM))
    except redis.RedisError as error:
        advice = "set redis.url or REDIS_URL to a server that has this key, or allow the account"
        return critical("redis durable stream", f"{STREAM}: {cause_of(error)}", advice)
    return ok("redis durable stream", f"{entries} entries wait")


def _version(info: Mapping[str, Any]) -> CheckResult:
    valkey = info.get("valkey_version")
    text = str(valkey or info.get("redis_version") or "")
    name = f"{'Valkey' if valkey else 'Redis'} {text or 'of an unknown version'}"
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers and numbers < LEAST_VERSION:
        return critical("redis version", name, "use Redis 5 or newer, or any Valkey")
    return ok("redis version", name)


def _config(client: "Redis", name: str) -> str | None:
    """One setting of the server; None if it is not disclosed, as by managed servers."""
    import redis

    try:
        found = client.config_get(name)
    except redis.RedisError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return None if value is None else str(value)


def _buffer(limits: str | None) -> CheckResult:
    """Redis disconnects a subscriber whose output buffer is full, and its pending burst is lost."""
    name = "redis pubsub buffer"
    words = (limits or "").split()
    if "pubsub" not in words:
        return unknown(name, "the server does not say", f"see to it that it is: {_BUFFER_ADVICE}")
    at = words.index("pubsub")
    hard, soft, soft_s = (int(word) for word in words[at + 1 : at + 4])
    least = min((size for size in (hard, soft) if size), default=0)
    said = f"{_megabytes(hard)}, or {_megabytes(soft)} for {soft_s} s"
    if least and least < GOOD_BUFFER_BYTES // 2:
        return warning(name, f"{said}: a burst beyond that is lost", _BUFFER_ADVICE)
    return ok(name, said)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1024 / 1024:.0f} MB" if size_bytes else "no limit"


def _eviction(maxmemory: str | None, policy: str | None) -> CheckResult:
    name = "redis eviction"
    if maxmemory is None or policy is None:
        return unknown(name, "the server does not say", "see to it that the policy is noeviction")
    if maxmemory != "0" and policy != "noeviction":
        return warning(
            name,
            f"{policy}: keys of ours may vanish when memory runs out",
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
        )
    return ok(name, policy)


def _durability(appendonly: str | None, appendfsync: str | None) -> CheckResult:
    name = "redis append-only file"
    if appendonly is None:
        return unknown(name, "the server does not say")
    if appendonly != "yes":
        return warning(
            name,
            "off: what is in streams is lost when Redis ends",
            "CONFIG SET appendonly yes, and in redis.conf, if agents publish durably",
        )
    return ok(name, f"on, fsync {appendfsync}")


def _permit(client: "Redis") -> CheckResult:
    """Who may write the permit can let agents act under a stop."""
    import redis

    name, default = "redis permit", "default"
    try:
        own = str(client.acl_whoami())
        every = [str(line) for line in client.acl_list()]
        [rules] = [line for line in every if line.startswith(f"user {default} ")]
        dry = client.acl_dryrun(default, "SET", PERMIT_KEY, "x")
    except (redis.RedisError, ValueError):
        return unknown(name, "the server does not say who may write it", _ACL_ADVICE)
    if own == default:
        return warning(name, "every agent with this URL's account may write it", _ACL_ADVICE)
    if dry == "OK" and {"on", "nopass"} <= set(rules.split()):
        return warning(name, "anybody may write it, without a password", _ACL_ADVICE)
    return ok(name, f"written by {own}, not by clients without a password")


def _canaries(client: "Redis") -> CheckResult:
    """Without them the daemon cannot tell a bus that is silent from one that is broken."""
    import redis

    name, channel = "redis canaries", f"{CANARIES}doctor"
    try:
        client.publish(channel, "")
        with client.pubsub() as pubsub:  # type: ignore[no-untyped-call] # redis-py
            pubsub.psubscribe(f"{CANARIES}*")
            pubsub.get_message(timeout=LIMIT_S)
    except redis.ResponseError as error:
        return critical(name, f"the account may not use {CANARIES}*: {error}", CANARY_ACL)
    except redis.RedisError as error:
        return unknown(name, f"no answer: {error}", "run doctor again")
    return ok(name, f"{CANARIES}* may be used")


def _clock(client: "Redis") -> CheckResult:
    import redis

    before = time.time()
    try:
        seconds, microseconds = client.time()
    except redis.ResponseError as error:
        return unknown("redis clock", cause_of(error))
    return clock_result("redis clock", seconds + microseconds / 1e6 - (before + time.time()) / 2)


def clock_result(name: str, skew_s: float) -> CheckResult:
    """The skew of another clock."""
    if abs(skew_s) <= MOST_SKEW_S:
        return ok(name, f"within {duration(abs(skew_s))} of this machine's")
    ahead = "ahead of" if skew_s > 0 else "behind"
    return warning(
        name,
        f"{duration(abs(skew_s))} {ahead} this machine's",
        "synchronise both machines (chrony, systemd-timesyncd)",
    )
